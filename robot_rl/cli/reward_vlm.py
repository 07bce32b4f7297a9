"""``robot-rl reward vlm text|goal|head|lora``: reward models from a CLIP in a folder of this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from robot_rl.cli.arguments import parse
from robot_rl.cli.meter import Meter
from robot_rl.core.errors import ConfigError, DataError, unknown_name

if TYPE_CHECKING:
    from robot_rl.core.types import Array
    from robot_rl.rewards.clip_backbone import ClipBackbone
    from robot_rl.rewards.frames import Clip
    from robot_rl.rewards.model_file import ModelInfo
    from robot_rl.vision.preprocess import PreprocessSpec

USAGE = """\
usage: robot-rl reward vlm text DATA --backbone DIR --goal TEXT --baseline TEXT --out MODEL   similarity to words
       robot-rl reward vlm goal DATA --backbone DIR --out MODEL           similarity to the ends of successes
       robot-rl reward vlm head DATA --backbone DIR --out MODEL           success classifier on frozen embeddings
       robot-rl reward vlm lora DATA --backbone DIR --out MODEL           the same with adapters in the last blocks

DIR holds open_clip_config.json and the weights as safetensors, as open_clip writes them; nothing is downloaded."""


@dataclass(frozen=True)
class Common:
    """What all four have in common.

    Attributes:
        data: recorded episodes with pictures: runs, folders of episodes, or files.
        backbone: folder of a CLIP as open_clip writes it.
        out: folder of the model.
        cameras: whose pictures are judged; by default all.
        crop: part of every picture that is judged: left, top, right, bottom, relative to it. An object of fewer than
            32 pixels after the picture was brought to the model's size is hardly seen.
        pad: keep the shape of the pictures and fill up with black; otherwise they are squashed to a square.
        cache: folder that keeps embeddings of the frozen backbone for the next time.
        settle_s: frames this close to where success begins or ends are left out.
        target_fpr: false-positive rate over frames that the threshold is set for.
        seed: of the split of episodes and of everything random.
    """

    data: Annotated[tuple[Path, ...], tyro.conf.Positional]
    backbone: Path
    out: Path
    cameras: tuple[str, ...] = ()
    crop: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    pad: bool = False
    cache: Path | None = None
    settle_s: float = 0.3
    target_fpr: float = 0.01
    seed: int = 0


@dataclass(frozen=True)
class TextArguments(Common):
    """Make a reward of a goal in words (VLM-RM): similarity along the line from a baseline to the goal.

    Where the data hold success and other frames, the similarity is calibrated on them and judged on other episodes.
    The model is a progress score, for --process.model or to watch; it ends no episode unless --may-end gives it a
    threshold, which is refused if it cannot tell success from what is not.

    Attributes:
        goal: descriptions of the scene with the task done; each goes into several sentences.
        baseline: descriptions of the same scene with the task not done.
        alpha: 0 is the plain cosine to the goal, 1 looks only along the line from baseline to goal.
        may_end: give it a gate that opens, at a threshold for the false-positive rate.
    """

    goal: tuple[str, ...] = ()
    baseline: tuple[str, ...] = ()
    alpha: float = 0.75
    may_end: bool = False


@dataclass(frozen=True)
class GoalArguments(Common):
    """Make a reward of pictures of the goal: similarity to the ends of successes, away from the beginnings.

    Attributes:
        alpha: 0 is the plain cosine to the goal, 1 looks only along the line from beginning to end.
        may_end: give it a gate that opens, at a threshold for the false-positive rate.
    """

    alpha: float = 0.75
    may_end: bool = False


@dataclass(frozen=True)
class HeadArguments(Common):
    """Train a success classifier on the frozen embeddings of a CLIP: a linear probe for each camera.

    Attributes:
        l2: charge on the squares of its weights.
        k_on: looks in a row that the gate wants.
    """

    l2: float = 1e-2
    k_on: int = 3


@dataclass(frozen=True)
class LoraArguments(HeadArguments):
    """Train a success classifier on a CLIP with low-rank adapters in its last blocks; needs 300 labelled frames.

    Attributes:
        rank: of an adapter.
        blocks: in how many of the last blocks there are adapters.
        updates: gradient steps.
        batch: frames of a step, half of them successes.
        learning_rate: of the adapters.
    """

    rank: int = 4
    blocks: int = 4
    updates: int = 200
    batch: int = 16
    learning_rate: float = 1e-3


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if argv else 2
    if argv[0] not in VERBS:
        raise ConfigError(unknown_name("verb of robot-rl reward vlm", argv[0], VERBS))
    kind, make = VERBS[argv[0]]
    a: Any = parse(kind, argv[1:], verb=f"reward vlm {argv[0]}")
    if not a.data:
        raise ConfigError("which episodes? Give a run folder, a folder of episodes or a file")
    from robot_rl.cli.reward_train import home_of
    from robot_rl.rewards.clip_backbone import open_backbone
    from robot_rl.rewards.frames import read_clips
    from robot_rl.rewards.model_file import write_model

    backbone = open_backbone(a.backbone, cache=a.cache)
    try:
        home = home_of(a.data)
        clips = read_clips(a.data, a.cameras, home, settle_s=a.settle_s, on_file=Meter("reading"))
        if not clips:
            raise DataError("there is no episode in the data")
        info, arrays = make(a, backbone, clips, home)
    finally:
        backbone.close()
    written = write_model(a.out, info, arrays)
    _say(a.out, written)
    return 0


def _text(a: TextArguments, backbone: ClipBackbone, clips: list[Clip], home: Array) -> tuple[ModelInfo, dict[str, Any]]:
    from robot_rl.rewards.vlm import TEMPLATES, TEXT, make_similarity, text_side

    if not a.goal or not a.baseline:
        raise ConfigError("a goal needs words, and so does its baseline: --goal 'TEXT' --baseline 'TEXT'")
    both = text_side(backbone, a.goal), text_side(backbone, a.baseline)
    words = {"goal": list(a.goal), "baseline": list(a.baseline), "templates": list(TEMPLATES)}
    return make_similarity(
        TEXT,
        backbone,
        clips,
        dict.fromkeys(clips[0].images, both),
        home,
        specs=_specs(a, backbone, clips),
        alpha=a.alpha,
        words=words,
        may_end=a.may_end,
        target_fpr=a.target_fpr,
        seed=a.seed,
    )


def _goal(a: GoalArguments, backbone: ClipBackbone, clips: list[Clip], home: Array) -> tuple[ModelInfo, dict[str, Any]]:
    from robot_rl.rewards.spans import YES
    from robot_rl.rewards.vlm import GOAL_IMAGE, make_similarity, mean_unit

    specs = _specs(a, backbone, clips)
    done = [clip for clip in clips if clip.success[-1] == YES]
    if not done:
        raise DataError("no episode ends in success, so that there is no picture of the goal: record or label one")
    sides = {
        name: tuple(
            mean_unit(backbone.encode_images(_stack(clips_, name, at), specs[name]))
            for clips_, at in ((done, -1), (clips, 0))
        )
        for name in clips[0].images
    }
    return make_similarity(
        GOAL_IMAGE,
        backbone,
        clips,
        sides,  # type: ignore[arg-type]
        home,
        specs=specs,
        alpha=a.alpha,
        words={"goal": [clip.episode_id for clip in done], "baseline": [clip.episode_id for clip in clips]},
        may_end=a.may_end,
        target_fpr=a.target_fpr,
        seed=a.seed,
    )


def _head(a: HeadArguments, backbone: ClipBackbone, clips: list[Clip], home: Array) -> tuple[ModelInfo, dict[str, Any]]:
    from robot_rl.rewards.clip_train import ClipFit, train_head

    fit = ClipFit(a.l2, target_fpr=a.target_fpr, k_on=a.k_on, seed=a.seed)
    if isinstance(a, LoraArguments):
        fit = ClipFit(
            a.l2, a.rank, a.blocks, a.updates, a.batch, a.learning_rate, a.target_fpr, k_on=a.k_on, seed=a.seed
        )
    meters: dict[str, Meter] = {}
    return train_head(
        backbone,
        clips,
        home,
        fit,
        specs=_specs(a, backbone, clips),
        on_update=lambda what, done, of: meters.setdefault(what, Meter(what))(done, of),
    )


def _specs(a: Common, backbone: ClipBackbone, clips: list[Clip]) -> dict[str, PreprocessSpec]:
    from dataclasses import replace

    spec = replace(backbone.spec, crop=a.crop, resize="pad" if a.pad else "squash")
    return dict.fromkeys(clips[0].images, spec)


def _stack(clips: Sequence[Clip], camera: str, at: int) -> Any:
    import numpy as np

    return np.stack([clip.images[camera][at] for clip in clips])


def _say(out: Path, info: ModelInfo) -> None:
    print(f"{out}: version {info.version}, {info.kind}, {', '.join(info.cameras)}")
    for name, value in info.card.get("auc", {}).items():
        print(f"  {name}: a frame of success scores above another one in {100 * value:.1f} % of pairs")
    if info.gate.on >= 1.0:
        print("  a score only: it ends no episode")
    else:
        print(f"  threshold {info.gate.on:.3f}; robot-rl reward audit {out} DATA says whether it can be trusted")
    if not info.evaluated:
        print("  not judged on enough episodes that it has not seen: robot-rl reward evaluate does that")


VERBS: dict[str, tuple[type[Common], Callable[..., tuple[ModelInfo, dict[str, Any]]]]] = {
    "text": (TextArguments, _text),
    "goal": (GoalArguments, _goal),
    "head": (HeadArguments, _head),
    "lora": (LoraArguments, _head),
}
