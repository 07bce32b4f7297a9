"""``robot-rl reward train``, ``evaluate`` and ``audit``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import tyro

from robot_rl.cli.arguments import parse
from robot_rl.cli.meter import Meter
from robot_rl.core.config import Range, check_ranges
from robot_rl.core.errors import ConfigError
from robot_rl.core.types import Array
from robot_rl.rewards.calibrate import FLOOR
from robot_rl.rewards.fit import FitConfig
from robot_rl.runtime.config import Option

if TYPE_CHECKING:
    from robot_rl.rewards.evaluate import Evaluation
    from robot_rl.rewards.frames import Clip
    from robot_rl.rewards.model_file import Scorer

Crop = tuple[float, float, float, float]


@dataclass(frozen=True)
class TrainArguments:
    """Train a success classifier on filmed or recorded episodes; three fifths train, one calibrates, one evaluates.

    Attributes:
        data: folders of episodes, or files.
        out: folder of the model; one that is there is replaced, and its version counts on.
        cameras: through which it looks; none given means all that the episodes have. One that cannot tell is left out.
        crop: part of a camera's picture, as NAME LEFT TOP RIGHT BOTTOM in [0, 1], several in a row; see robot-rl crop.
        size: side of the pictures that its networks see, pixels.
        members: networks a view, whose disagreement counts against success.
        encoder: name of a frozen encoder whose features are used instead of pictures, as in robot-rl train.
        target_fpr: false-positive rate over frames that the threshold is set for.
        floor: least threshold, of a probability at even odds.
        k_on: looks in a row that must agree before the task counts as done.
        require: also check the gripper's opening and the tool's height against those of the successes.
        settle_s: frames this close to where success begins or ends are left out.
        fit: how each network is trained.
        task_options: options of the task, as NAME=VALUE.
        seed: of split, weights and batches.
    """

    data: Annotated[tuple[Path, ...], tyro.conf.Positional]
    out: Path
    cameras: tuple[str, ...] = ()
    crop: tuple[str, ...] = ()
    size: Annotated[int, Range(16, 512)] = 64
    members: Annotated[int, Range(1, 20)] = 3
    encoder: str = ""
    target_fpr: Annotated[float, Range(1e-4, 0.5)] = 0.01
    floor: Annotated[float, Range(0.01, 0.99)] = FLOOR
    k_on: Annotated[int, Range(1, 100)] = 3
    require: bool = True
    settle_s: Annotated[float, Range(0.0, 10.0)] = 0.3
    fit: FitConfig = field(default_factory=FitConfig)
    task_options: dict[str, Option] = field(default_factory=dict)
    seed: Annotated[int, Range(0)] = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True)
class JudgeArguments:
    """Judge a model on episodes: frame by frame, by kind of situation, and under its gate.

    Attributes:
        model: its folder.
        data: folders of episodes, or files.
        save: write the result into the model, if it has seen none of these episodes.
        settle_s: frames this close to where success begins or ends are left out.
    """

    model: Annotated[Path, tyro.conf.Positional]
    data: Annotated[tuple[Path, ...], tyro.conf.Positional]
    save: bool = True
    settle_s: Annotated[float, Range(0.0, 10.0)] = 0.3


@dataclass(frozen=True)
class AuditArguments:
    """Write one page about a model, and fail with exit code 1 if it does not keep its limits.

    Attributes:
        model: its folder.
        data: folders of episodes that it has not seen, or files.
        out: the page; None for audit.html in the folder of the model.
        settle_s: frames this close to where success begins or ends are left out.
    """

    model: Annotated[Path, tyro.conf.Positional]
    data: Annotated[tuple[Path, ...], tyro.conf.Positional]
    out: Path | None = None
    settle_s: Annotated[float, Range(0.0, 10.0)] = 0.3


def train(argv: Sequence[str]) -> int:
    """Run ``robot-rl reward train``."""
    a: TrainArguments = parse(TrainArguments, argv, verb="reward train")
    from robot_rl.rewards.model_file import write_model
    from robot_rl.rewards.train import TrainSpec, train_classifier
    from robot_rl.vision.frozen import open_encoder

    home = home_of(a.data, a.task_options)
    clips = _read(a.data, a.cameras, home, a.settle_s)
    crops = _crops(a.crop)
    spec = TrainSpec(a.size, crops, a.members, a.fit, a.target_fpr, a.floor, a.k_on, a.require, a.seed)
    encoder = (a.encoder, open_encoder(a.encoder)) if a.encoder else None
    try:
        info, arrays = train_classifier(clips, spec, home, encoder=encoder, on_progress=progress())
    finally:
        if encoder is not None:
            encoder[1].close()
    written = write_model(a.out, info, arrays)
    print(f"{a.out}: version {written.version}, {', '.join(written.cameras)}, threshold {written.gate.on:.3f}")
    if written.card["left_out"]:
        print(f"left out, because they cannot tell: {', '.join(written.card['left_out'])}")
    for bound in written.gate.require:
        print(f"requires {bound.low:g} <= {bound.reading} <= {bound.high:g}")
    if not written.evaluated:
        print("too few episodes were left over to evaluate it: robot-rl reward evaluate, before it rewards a robot")
    else:
        with closing(_open(a.out)) as scorer:
            held = [c for c in clips if c.episode_id not in written.card["episodes"]]
            _tell(_judge(scorer, held))
    return 0


def evaluate(argv: Sequence[str]) -> int:
    """Run ``robot-rl reward evaluate``."""
    a: JudgeArguments = parse(JudgeArguments, argv, verb="reward evaluate")
    from robot_rl.rewards.model_file import write_info

    with closing(_open(a.model)) as scorer:
        clips = _clips_for(scorer, a.data, a.settle_s)
        known = set(scorer.info.card.get("episodes", ()))
        seen = sum(c.episode_id in known for c in clips)
        result = _judge(scorer, clips)
        _tell(result)
        if seen:
            print(f"{seen} of these episodes were trained on, so this says nothing about new ones")
        elif a.save:
            write_info(a.model, replace(scorer.info, evaluation=result.to_dict(held_out=True)))
            print(f"noted in {a.model}" if result.enough else f"noted in {a.model}, but there are too few episodes")
    return 0


def audit(argv: Sequence[str]) -> int:
    """Run ``robot-rl reward audit``."""
    a: AuditArguments = parse(AuditArguments, argv, verb="reward audit")
    from robot_rl.evaluation.audit import audit_model
    from robot_rl.evaluation.audit_page import write_page

    with closing(_open(a.model)) as scorer:
        found = audit_model(scorer, _clips_for(scorer, a.data, a.settle_s), on_progress=progress())
    page = write_page(found, a.out or a.model / "audit.html")
    _tell(found.evaluation)
    for complaint in found.complaints:
        print(f"FAILS  {complaint}")
    print(f"{'fails' if found.complaints else 'passes'}: {page}")
    return 1 if found.complaints else 0


def progress() -> Callable[[str, int, int], None]:
    """Shows how far each of several pieces of work has come."""
    meters: dict[str, Meter] = {}

    def tell(what: str, done: int, of: int) -> None:
        meters.setdefault(what, Meter(what))(done, of)

    return tell


def home_of(data: Sequence[Path], task_options: dict[str, Option] | None = None) -> Array:
    """Home of the task of recorded episodes ``[7]``.

    Raises:
        DataError: nothing is there.
        ConfigError: the task is unknown.
    """
    from robot_rl.data.demos import episode_files
    from robot_rl.data.episode_log import read_meta
    from robot_rl.envs.tasks import make_task

    meta = read_meta(episode_files(data[0])[0])
    return np.asarray(make_task(meta.task, **(task_options or {})).home_base_tcp)


def _crops(words: Sequence[str]) -> dict[str, Crop]:
    if len(words) % 5:
        raise ConfigError(f"--crop got {' '.join(words)}, expected NAME LEFT TOP RIGHT BOTTOM, once for each camera")
    try:
        rows = [words[i : i + 5] for i in range(0, len(words), 5)]
        return {row[0]: (float(row[1]), float(row[2]), float(row[3]), float(row[4])) for row in rows}
    except ValueError as e:
        raise ConfigError(f"--crop got {' '.join(words)}, expected four numbers in [0, 1] after each name") from e


def _open(model: Path) -> Scorer:
    from robot_rl.rewards.model_file import load_reward_model

    return load_reward_model(model)


def _read(data: Sequence[Path], cameras: Sequence[str], home: Array, settle_s: float) -> list[Clip]:
    from robot_rl.rewards.frames import count_frames, read_clips

    clips = read_clips(data, cameras, home, settle_s=settle_s, on_file=Meter("reading"))
    counts = ", ".join(f"{kind} {n}" for kind, n in count_frames(clips).items())
    print(f"{len(clips)} episodes, frames: {counts}")
    return clips


def _clips_for(scorer: Scorer, data: Sequence[Path], settle_s: float) -> list[Clip]:
    return _read(data, tuple(scorer.info.cameras), np.array(scorer.info.home_base_tcp), settle_s)


def _judge(scorer: Scorer, clips: Sequence[Clip]) -> Evaluation:
    from robot_rl.rewards.evaluate import evaluate_scorer

    return evaluate_scorer(scorer, clips, on_clip=Meter("judging"))


def _tell(result: Evaluation) -> None:
    print(f"false positives   {result.fpr.text()}")
    print(f"recall            {result.recall.text()}")
    for kind, rate in result.by_bucket.items():
        print(f"  {kind:<16}{rate.text()}")
    print(f"ended too early   {result.false_ends.text()} of episodes")
    print(f"missed successes  {result.missed.text()} of successful episodes")
    if result.delays:
        print(f"delay             {np.median(result.delays):.0f} frames, at most {max(result.delays)}")
