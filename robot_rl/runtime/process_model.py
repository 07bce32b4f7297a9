"""The progress model that a run's configuration names."""

from __future__ import annotations

from pathlib import Path

from robot_rl.core.protocols import RewardModel
from robot_rl.rewards.process_config import TASK_MODEL
from robot_rl.runtime.config import TrainConfig


def open_progress(config: TrainConfig) -> RewardModel | None:
    """What says how far an episode has come; None without a process reward.

    Raises:
        ConfigError: the task is unknown, the model is of another one, or something that it needs is not there.
        DataError: there is no such model, or it is damaged.
    """
    if not config.process.on:
        return None
    if config.process.model == TASK_MODEL:
        from robot_rl.envs.judge import TaskJudge
        from robot_rl.envs.options import split_options
        from robot_rl.envs.tasks import make_task
        from robot_rl.rewards.progress import Restricted

        _, options = split_options(config.task_options)
        return Restricted(TaskJudge(make_task(config.task, **options)))
    from robot_rl.rewards.progress import open_seen_progress

    return open_seen_progress(Path(config.process.model), config.task)
