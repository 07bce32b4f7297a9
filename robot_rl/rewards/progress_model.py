"""A progress model learnt from one's own episodes: the file kind ``progress``.

Each frame of a success is labelled with the share of the work that is behind it (time, as long as something moves;
ReWiND, Zhang et al. 2025, arXiv 2505.10911, and SARM, arXiv 2509.25358, label so), each frame of a failure with 0. The
model judges single pictures. So it cannot learn that time itself is progress, which models of films do unless they are
shown films that run backwards or stand still; a standstill does not count as work either.

Its answer is the least of all members and views. It is no probability of success, and its gate never opens.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from robot_rl.core.errors import DataError
from robot_rl.core.types import Array, Float32, Image
from robot_rl.rewards.calibrate import sigmoid
from robot_rl.rewards.cnn import logits
from robot_rl.rewards.frames import Clip, split_clips
from robot_rl.rewards.gate import NEVER
from robot_rl.rewards.model_file import CameraInfo, ModelInfo, checked_pictures
from robot_rl.rewards.monitor import ranks
from robot_rl.rewards.process import worst
from robot_rl.rewards.spans import YES
from robot_rl.vision.preprocess import PreprocessSpec, preprocess

if TYPE_CHECKING:
    from robot_rl.rewards.progress_fit import ProgressFit

KIND = "progress"
STILL_SHARE = 0.1
HELD_OUT = 0.25
HIGH = 0.8
MIN_EPISODES = 4


class ProgressScorer:
    """`robot_rl.rewards.model_file.Scorer` that answers how far the task has come, in [0, 1].

    Args:
        info: of the model.
        arrays: its weights, named ``<camera>/<member>/<layer>``.

    Raises:
        DataError: weights are missing.
    """

    def __init__(self, info: ModelInfo, arrays: Mapping[str, Any]) -> None:
        self._info, self._arrays = info, arrays
        self._members = int(info.settings["members"])
        if any(f"{c}/{m}/dense1.weight" not in arrays for c in info.cameras for m in range(self._members)):
            raise DataError(f"the progress model lacks weights of a camera: expected {', '.join(info.cameras)}")

    @property
    def info(self) -> ModelInfo:
        """What is known about it."""
        return self._info

    def score(self, images: Mapping[str, Image]) -> dict[str, Array]:
        """Progress by camera ``float64[N]``, each that of its most pessimistic member."""
        out = {}
        for name, pictures in checked_pictures(self._info, images).items():
            inputs = preprocess(pictures, self._info.cameras[name].preprocess)
            members = [sigmoid(logits(self._arrays, f"{name}/{m}/", inputs)) for m in range(self._members)]
            out[name] = worst(members)
        return out

    def close(self) -> None:
        """Nothing to release. May be called twice."""


def open_progress_model(info: ModelInfo, arrays: Mapping[str, Any]) -> ProgressScorer:
    """Open a model file of the kind ``progress``.

    Raises:
        DataError: weights are missing.
    """
    return ProgressScorer(info, arrays)


def targets(clip: Clip) -> Array:
    """What a model should say of each frame of an episode ``[T + 1]``.

    Until the first frame of success the share of motion that is behind, 1 from there on; 0 all through a failure.
    """
    n, found = len(clip.success), np.flatnonzero(clip.success == YES)
    if not len(found):
        return np.zeros(n)
    end = int(found[0])
    moved = np.zeros(n - 1)
    for images in clip.images.values():
        moved += np.abs(np.diff(images.astype(np.int16), axis=0)).mean(axis=(1, 2, 3))
    busy = (moved > STILL_SHARE * np.median(moved[:end])) if end else np.zeros(n - 1, bool)
    behind = np.concatenate([[0.0], np.cumsum(busy[:end])])
    out = np.ones(n)
    out[: end + 1] = behind / max(1.0, behind[-1])
    out[end] = 1.0
    return out


def train_progress(
    clips: Sequence[Clip],
    home_base_tcp: Array,
    *,
    size: int = 64,
    crops: Mapping[str, tuple[float, float, float, float]] | None = None,
    fit: ProgressFit | None = None,
    seed: int = 0,
    on_progress: Callable[[str, int, int], None] = lambda what, done, of: None,
) -> tuple[ModelInfo, dict[str, Float32]]:
    """Train on three quarters of the episodes and judge on the rest.

    Args:
        clips: episodes of one task with the same cameras, at least four with success; failures among them teach it
            what only looks like progress.
        home_base_tcp: home of the task ``[7]``.
        size: side of the pictures that the networks see, pixels.
        crops: part of each camera's picture that they see, (left, top, right, bottom) in [0, 1]; all by default.
        fit: how the networks are trained; None for the defaults.
        seed: of split, weights and batches.
        on_progress: called with what is done, how much of it, and of how much.

    Returns:
        What is known about the model, and its arrays; for `robot_rl.rewards.model_file.write_model`.

    Raises:
        DataError: too few episodes succeed.
    """
    from robot_rl.rewards.progress_fit import ProgressFit, fit_view

    config = fit or ProgressFit()
    good = sum(c.has_success for c in clips)
    if good < MIN_EPISODES:
        raise DataError(f"{good} of {len(clips)} episodes succeed, a progress model needs at least {MIN_EPISODES}")
    train, test = split_clips(clips, (HELD_OUT,), seed)
    wanted = np.concatenate([targets(c) for c in train])
    episodes = np.concatenate([np.full(len(c.success), k, np.intp) for k, c in enumerate(train)])
    failed = np.concatenate([np.full(len(c.success), not c.has_success, np.intp) for c in train])
    arrays: dict[str, Float32] = {}
    cameras: dict[str, CameraInfo] = {}
    for number, (name, images) in enumerate(train[0].images.items(), 1):
        spec = PreprocessSpec(size, crop=(crops or {}).get(name, (0.0, 0.0, 1.0, 1.0)))
        cameras[name] = CameraInfo((images.shape[1], images.shape[2]), spec)
        inputs = np.concatenate([preprocess(c.images[name], spec) for c in train])
        what, steps = f"view {number} of {len(train[0].images)}", config.members * config.updates
        fitted = fit_view(
            inputs, wanted, episodes, failed, config, seed=seed, on_update=_tell(on_progress, what, steps)
        )
        arrays |= {f"{name}/{key}": value for key, value in fitted.items()}
    info = ModelInfo(
        KIND,
        train[0].task,
        cameras,
        NEVER,
        tuple(map(float, home_base_tcp)),
        settings={"members": config.members},
        card={
            "made_s": time.time(),
            "episodes": sorted(c.episode_id for c in train),
            "successes": sum(c.has_success for c in train),
            "frames": len(wanted),
            "fit": asdict(config),
        },
        evaluation=judge_progress(ProgressScorer(_bare(cameras, config.members), arrays), test),
    )
    return info, arrays


def judge_progress(scorer: ProgressScorer, clips: Sequence[Clip]) -> dict[str, Any]:
    """How a model does on episodes that it has not seen, plain data.

    ``order`` is the mean rank correlation of its answer with time in successes; ``end_success`` and ``end_failure`` are
    its mean answers at the ends; ``fooled`` is the share of failures that end above 0.8.
    """
    ends: dict[bool, list[float]] = {True: [], False: []}
    order = []
    for clip in clips:
        phi = np.min(np.stack(list(scorer.score(clip.images).values())), axis=0)
        ends[clip.has_success].append(float(phi[-1]))
        if clip.has_success:
            order.append(_correlation(phi))
    out: dict[str, Any] = {"held_out": bool(ends[True]), "episodes": len(clips)}
    if ends[True]:
        out |= {"order": float(np.mean(order)), "end_success": float(np.mean(ends[True]))}
    if ends[False]:
        out |= {"end_failure": float(np.mean(ends[False])), "fooled": float(np.mean(np.array(ends[False]) > HIGH))}
    return out


def _correlation(phi: Array) -> float:
    a, b = ranks(phi), np.arange(len(phi), dtype=np.float64)
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0.0 else 0.0


def _bare(cameras: Mapping[str, CameraInfo], members: int) -> ModelInfo:
    return ModelInfo(KIND, "", cameras, NEVER, settings={"members": members})


def _tell(on_progress: Callable[[str, int, int], None], what: str, steps: int) -> Callable[[int], None]:
    return lambda done: on_progress(what, done, steps)
