"""What a run is told about its process reward."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from robot_rl.core.config import Range, check_ranges
from robot_rl.core.errors import ConfigError
from robot_rl.rewards.monitor import MonitorConfig
from robot_rl.rewards.process import MAX_EMA_FRAMES, Form, Shaping

TASK_MODEL = "task"
ANNEALED_BY = 0.2


@dataclass(frozen=True)
class ProcessConfig:
    """A dense reward for progress, beside success and never instead of it.

    Records carry what a process model says of each step; when an episode ends, the learner makes the process reward
    from it (`robot_rl.rewards.process`), bounded by 1 an episode whatever its length.

    Attributes:
        form: ``none`` learns from success alone; ``potential`` pays for differences of progress and leaves the best
            policy the best; ``min_form`` pays for progress that is kept to the end; ``softmin``, ``delta`` and ``clip``
            read progress as the quality of steps; ``naive_sum`` is farmed. See docs/process_rewards.md.
        model: where progress comes from: ``task``, the simulator's own potential of the task, or the folder of a
            progress model.
        beta: weight of the process reward beside the 1 of success.
        anneal_above: share of unaided successes among the newest 20 episodes from which the weight falls, to 0 at 0.2
            more or at 1; it never rises again. 1 keeps it.
        mask_after_intervention_s: progress while a person is in command, and for this long after, is not the policy's
            and earns nothing, seconds.
        ema_frames: span of the average that smooths progress, 1 does not.
        clip_at: score below which the form ``clip`` charges.
        temperature: of the form ``softmin``.
        allow_naive_sum: the form ``naive_sum`` is meant, which is farmed by loitering.
        monitor: when the reward is taken to be farmed.
    """

    form: Form = "none"
    model: str = TASK_MODEL
    beta: Annotated[float, Range(0.0, 10.0)] = 0.2
    anneal_above: Annotated[float, Range(0.0, 1.0)] = 0.7
    mask_after_intervention_s: Annotated[float, Range(0.0, 10.0)] = 0.5
    ema_frames: Annotated[int, Range(1, MAX_EMA_FRAMES)] = 1
    clip_at: Annotated[float, Range(0.0, 1.0)] = 0.5
    temperature: Annotated[float, Range(1e-3, 10.0)] = 0.1
    allow_naive_sum: bool = False
    monitor: MonitorConfig = field(default_factory=MonitorConfig)

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: a value is out of range, no model is named, or the naive sum was not allowed.
        """
        check_ranges(self)
        if self.form == "naive_sum" and not self.allow_naive_sum:
            raise ConfigError(
                "process.form naive_sum pays for loitering where the score is high: use potential or min_form, or add "
                "--process.allow-naive-sum to see it happen"
            )
        if self.on and not self.model:
            raise ConfigError(
                f"process.form {self.form} needs process.model: {TASK_MODEL}, or a progress model's folder"
            )

    @property
    def on(self) -> bool:
        """Whether there is a process reward."""
        return self.form != "none"

    def shaping(self, gamma: float) -> Shaping:
        """The form with the discount of the learner."""
        return Shaping(self.form, gamma, self.ema_frames, self.clip_at, temperature=self.temperature)


def anneal(config: ProcessConfig, success: float) -> float:
    """Factor in [0, 1] of `ProcessConfig.beta` at a success rate in [0, 1]."""
    start = config.anneal_above
    if success <= start or start >= 1.0:
        return 1.0
    return max(0.0, 1.0 - (success - start) / (min(1.0, start + ANNEALED_BY) - start))
