"""From a run's configuration to its environment and operator. Loads no JAX."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from robot_rl.core.transition import StepRecord
from robot_rl.data.demos import load_demos
from robot_rl.runtime.collector import Env, TeleopFactory
from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.demos import record_demos


def open_env(config: TrainConfig) -> Env:
    """The task's environment as the configuration describes it.

    Raises:
        ConfigError: unknown task or option.
    """
    from robot_rl.envs import make_env

    options: dict[str, Any] = dict(config.task_options)
    return make_env(config.task, **options)


def teleop_factory(config: TrainConfig, env: Env) -> TeleopFactory | None:
    """What builds the operator's stand-in for an episode, or None without corrections."""
    if config.corrections == "none":
        return None
    from robot_rl.envs import make_corrector

    def make(rng: Any) -> Any:
        return make_corrector(env, rng)  # type: ignore[arg-type]

    return make


def gather_demos(config: TrainConfig, folder: Path, env: Env, note: Callable[[str], None]) -> list[list[StepRecord]]:
    """Demonstrations of a run: read from the configured folder, or recorded into `folder` by the scripted expert.

    Raises:
        DataError: the configured folder holds none, or some for another task.
    """
    wanted = config.demos
    if wanted.dir is not None:
        return load_demos(wanted.dir, env.state_spec, config.task)
    if wanted.n == 0:
        return []
    have = len(list(folder.glob("*.mcap")))
    if have < wanted.n:
        _record(config, folder, wanted.n - have, note)
    return load_demos(folder, env.state_spec, config.task)


def _record(config: TrainConfig, folder: Path, n: int, note: Callable[[str], None]) -> None:
    from robot_rl.envs import make_expert

    # An environment of its own: what was recorded must not shift the training episodes.
    own: Any = open_env(config)
    try:
        report = record_demos(
            own,
            lambda rng: make_expert(own, rng),
            n=n,
            seed=config.seed,
            folder=folder,
            task_options=config.task_options,
        )
    finally:
        own.close()
    note(f"recorded {report.kept} demonstrations ({report.failed} failed attempts thrown away)")
