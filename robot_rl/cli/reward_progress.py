"""``robot-rl reward progress DATA... --out MODEL``: a progress model from one's own episodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from robot_rl.cli.arguments import parse
from robot_rl.cli.meter import Meter
from robot_rl.cli.reward_train import home_of, progress
from robot_rl.core.config import Range, check_ranges
from robot_rl.core.errors import ConfigError
from robot_rl.runtime.config import Option


@dataclass(frozen=True)
class FitArguments:
    """How the networks are trained, see robot_rl.rewards.progress_fit.

    Attributes:
        members: networks a view; the most pessimistic one speaks.
        updates: gradient steps of each.
        batch: frames of a step.
        failures: share of a batch from episodes without success, where there are any.
    """

    members: int = 3
    updates: int = 400
    batch: int = 32
    failures: float = 0.3


@dataclass(frozen=True)
class ProgressArguments:
    """Learn how far a task has come from pictures of episodes that succeed, and of some that fail.

    Each frame of a success is labelled with the share of motion that is behind it, each frame of a failure with 0; a
    quarter of the episodes is held out to judge the model. robot-rl train TASK --process.form potential
    --process.model MODEL rewards with it, robot-rl reward relabel lets it look at recorded episodes.

    Attributes:
        data: folders of episodes with pictures, or files.
        out: folder of the model; one that is there is replaced, and its version counts on.
        cameras: through which it looks; none given means all that the episodes have.
        size: side of the pictures that its networks see, pixels.
        fit: how each network is trained.
        task_options: options of the task, as NAME=VALUE.
        seed: of split, weights and batches.
    """

    data: Annotated[tuple[Path, ...], tyro.conf.Positional]
    out: Path
    cameras: tuple[str, ...] = ()
    size: Annotated[int, Range(16, 512)] = 64
    fit: FitArguments = field(default_factory=FitArguments)
    task_options: dict[str, Option] = field(default_factory=dict)
    seed: Annotated[int, Range(0)] = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    a: ProgressArguments = parse(ProgressArguments, argv, verb="reward progress")
    if not a.data:
        raise ConfigError("which episodes? Give a folder of episodes with pictures, or files")
    from robot_rl.rewards.frames import read_clips
    from robot_rl.rewards.model_file import write_model
    from robot_rl.rewards.progress_fit import ProgressFit
    from robot_rl.rewards.progress_model import train_progress

    home = home_of(a.data, a.task_options)
    clips = read_clips(a.data, a.cameras, home, on_file=Meter("reading"))
    fit = ProgressFit(**vars(a.fit))
    info, arrays = train_progress(clips, home, size=a.size, fit=fit, seed=a.seed, on_progress=progress())
    written = write_model(a.out, info, arrays)
    print(f"{a.out}: version {written.version}, {', '.join(written.cameras)}, from {info.card['successes']} successes")
    names = {
        "order": "rank correlation with time in successes",
        "end_success": "progress at the end of a success",
        "end_failure": "progress at the end of a failure",
        "fooled": "failures that end above 0.8",
    }
    for name, text in names.items():
        if name in info.evaluation:
            print(f"{text:<42}{info.evaluation[name]:.2f}")
    if "fooled" not in info.evaluation:
        print(
            "no failure was held out, so nobody knows what it makes of one: record some, or film some (reward collect)"
        )
    return 0
