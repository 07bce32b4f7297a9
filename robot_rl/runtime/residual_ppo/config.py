"""Everything a run of residual PPO is told, as one frozen dataclass that is written beside its results."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from robot_rl.agents.ppo_config import PpoConfig
from robot_rl.core.config import Range, check_ranges
from robot_rl.core.errors import ConfigError
from robot_rl.runtime.base_config import BaseConfig
from robot_rl.runtime.config import EvalConfig, Option


@dataclass(frozen=True)
class ResidualPpoConfig:
    """One run of residual PPO (ResiP: Ankile et al. 2024, arXiv 2407.16677).

    Attributes:
        task: id of the task; ``robot-rl tasks`` lists them.
        task_options: options of the task, for example ``clearance_mm=0.2``.
        base: the frozen policy that is corrected, one that looks at states alone, and how it is followed [ResiP: 8 of
            its steps].
        seed: of everything random; the result does not depend on the number of workers.
        env_steps: environment steps to train for, of all environments together, rounded up to whole iterations [ResiP:
            hundreds of millions].
        envs: environments that are stepped together [ResiP: 1024 on a GPU].
        steps: of each between two iterations [ResiP: 700, a whole episode there].
        workers: processes that simulate; 0 for one a core, but no more than environments.
        agent: networks and hyper-parameters.
        evaluation: what is evaluated, and when.
        checkpoint_every: iterations between checkpoints.
        keep_checkpoints: newest checkpoints kept, besides the best.
        out_dir: where run folders are made.
        report: write ``report.html`` at the end.
    """

    task: str = "PegInsert"
    task_options: dict[str, Option] = field(default_factory=dict)
    base: BaseConfig = field(default_factory=BaseConfig)
    seed: Annotated[int, Range(0, 2**31 - 1)] = 0
    env_steps: Annotated[int, Range(1)] = 1_000_000
    envs: Annotated[int, Range(1, 100_000)] = 64
    steps: Annotated[int, Range(1, 100_000)] = 60
    workers: Annotated[int, Range(0, 256)] = 0
    agent: PpoConfig = field(default_factory=PpoConfig)
    evaluation: EvalConfig = field(default_factory=lambda: EvalConfig(every=100_000))
    checkpoint_every: Annotated[int, Range(1)] = 10
    keep_checkpoints: Annotated[int, Range(1)] = 3
    out_dir: Path = Path("runs")
    report: bool = True

    def __post_init__(self) -> None:
        """Check the ranges, and what only fits together.

        Raises:
            ConfigError: a value is out of range, or a residual of one proposal is asked to have several.
        """
        check_ranges(self)
        if self.base.proposals != 1:
            raise ConfigError(f"base.proposals is {self.base.proposals}, but residual PPO corrects one: leave it at 1")
        if self.workers > self.envs:
            raise ConfigError(f"{self.workers} workers cannot share {self.envs} environments: give at most {self.envs}")
