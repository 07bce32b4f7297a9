"""Everything a cloning run is told, as one frozen dataclass that is written beside its results."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from robot_rl.core.config import Range, check_ranges
from robot_rl.core.crops import Crop
from robot_rl.core.errors import ConfigError
from robot_rl.core.imperfections import Imperfections
from robot_rl.core.randomisation import Randomisation
from robot_rl.policies.base.config import BaseConfig
from robot_rl.runtime.config import DemoConfig, Option, TrainConfig
from robot_rl.runtime.pictures import PictureConfig

RECORDED = 20
"""Demonstrations that the scripted expert is asked for unless told otherwise, as in ``robot-rl train``."""


@dataclass(frozen=True)
class CloneOptions:
    """What a cloning run is told beside what the policy is.

    Attributes:
        task: id of the task; ``robot-rl tasks`` lists them.
        task_options: options of the task, for example ``clearance_mm=0.2``.
        demos: folder of recorded episodes, or of a LeRobotDataset that this program exported; None records them from
            the scripted expert, in simulation.
        n_demos: how many are learnt from: recorded (20 unless given), or the first by name of those that are there
            (all unless given). More of them make a better policy; this is the first thing to turn.
        all_episodes: also clone episodes without success; by default only successes are learnt from.
        held_out: share of the demonstrations that are not learnt from, over which the held-out loss is taken; rounded
            up to whole episodes, of which at least one is left to learn from. 0 for none.
        replan_every: steps for which a plan is followed before the next one; at most the horizon. Small reacts to
            contact, large stays with one of several ways to do a task (Diffusion Policy, 2303.04137: half the horizon).
        rollout_every: optimiser steps between checkpoints that are saved and rolled out during training; 0 for none.
        rollout_episodes: episodes of each of these.
        validation_seed: base of the initial states of these; none of them occurs in the evaluation at the end.
        eval_episodes: episodes of the evaluation at the end; 0 for none.
        eval_seed: base of its initial states, the same for every run so that runs compare.
        checkpoint: which one is evaluated at the end: the last, or the one that did best in rollouts during training
            (the last, if there were none). A held-out loss chooses none: it says little about success.
        workers: processes that share the episodes of the evaluation at the end.
        imperfections: latency, loss and noise of the simulated devices; ``--imperfections franka`` is a preset.
        randomise: how far the simulated scene looks different from episode to episode; ``--randomise lab`` is a preset.
        crops: left, top, width, height by camera: the part of its picture that is seen.
        image_size: side of the square pictures that networks see, pixels.
        device: that torch trains on, such as ``cuda``; ``auto`` takes a GPU if there is one. Base policies act on the
            processor.
        seed: of everything random.
        out_dir: where run folders are made.
        report: write ``report.html`` at the end.
    """

    task: str = "PickCube"
    task_options: dict[str, Option] = field(default_factory=dict)
    demos: Path | None = None
    n_demos: Annotated[int | None, Range(1, 10_000)] = None
    all_episodes: bool = False
    held_out: Annotated[float, Range(0.0, 0.9)] = 0.1
    replan_every: Annotated[int, Range(1, 512)] = 8
    rollout_every: Annotated[int, Range(0)] = 0
    rollout_episodes: Annotated[int, Range(1)] = 20
    validation_seed: Annotated[int, Range(0)] = 1_000_000
    eval_episodes: Annotated[int, Range(0)] = 100
    eval_seed: Annotated[int, Range(0)] = 10_000
    checkpoint: Literal["last", "best"] = "last"
    workers: Annotated[int, Range(1, 64)] = 1
    imperfections: Imperfections = field(default_factory=Imperfections)
    randomise: Randomisation = field(default_factory=Randomisation)
    crops: dict[str, Crop] = field(default_factory=dict)
    image_size: Annotated[int, Range(16, 1024)] = 128
    device: str = "auto"
    seed: Annotated[int, Range(0, 2**31 - 1)] = 0
    out_dir: Path = Path("runs")
    report: bool = True

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True)
class CloneConfig(CloneOptions):
    """One cloning run.

    Attributes:
        model: the base policy and how it is trained.
    """

    model: BaseConfig = field(default_factory=BaseConfig)

    def __post_init__(self) -> None:
        """Check what only fits together.

        Raises:
            ConfigError: a plan would be followed for longer than it is.
        """
        super().__post_init__()
        if self.replan_every > self.model.horizon:
            raise ConfigError(
                f"replan_every is {self.replan_every}, but a plan holds {self.model.horizon} actions: replan more "
                "often, or give a longer --horizon"
            )
        if self.model.guidance.on == "goal":
            raise ConfigError(
                "guidance.on is goal, and nobody gives a goal while a task is done: choose observation or nothing"
            )

    @property
    def world(self) -> TrainConfig:
        """The same task, scene and cameras as a training run has them, which is what environments are opened with."""
        return TrainConfig(
            task=self.task,
            task_options=self.task_options,
            imperfections=self.imperfections,
            randomise=self.randomise,
            crops=self.crops,
            pictures=self.pictures,
            seed=self.seed,
            demos=DemoConfig(n=self.n_demos or RECORDED),
        )

    @property
    def pictures(self) -> PictureConfig:
        """What the policy looks at."""
        return PictureConfig(cameras=self.model.sight.cameras, image_size=self.image_size)
