"""Hard negatives: frames without success that a classifier finds convincing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from robot_rl.core.types import Array
from robot_rl.rewards.frames import Clip, read_clips, relabelled
from robot_rl.rewards.model_file import Scorer
from robot_rl.rewards.spans import NO, UNKNOWN

HARD = "hard_negative"


@dataclass(frozen=True)
class Found:
    """One episode in which something convinced a classifier that should not have, or may not.

    Attributes:
        clip: the episode, its hard negatives labelled as such.
        p: probability of each frame ``[T+1]``.
        negatives: frames that show no success for certain.
        worst: highest probability of a frame that is none, or may be none.
    """

    clip: Clip
    p: Array
    negatives: npt.NDArray[np.intp]
    worst: float


def mine(
    scorer: Scorer,
    files: Sequence[Path],
    *,
    least: float = 0.5,
    on_file: Callable[[int, int], None] = lambda done, of: None,
) -> list[Found]:
    """Look through episodes, one at a time.

    Args:
        scorer: the classifier.
        files: of episodes.
        least: share of the threshold from which a frame is convincing.
        on_file: called with how many were looked through, and of how many.

    Raises:
        DataError: a file is broken or lacks a camera.
    """
    bar = least * scorer.info.gate.on
    out = []
    for k, file in enumerate(files):
        (clip,) = read_clips([file], tuple(scorer.info.cameras), np.array(scorer.info.home_base_tcp))
        p = np.min(np.stack(list(scorer.score(clip.images).values())), axis=0)
        negatives = np.flatnonzero((clip.success == NO) & (p >= bar))
        open_ones = np.flatnonzero((clip.success == UNKNOWN) & (p >= bar)) if not clip.has_success else negatives[:0]
        if negatives.size or open_ones.size:
            worst = float(p[np.concatenate([negatives, open_ones])].max())
            out.append(Found(relabelled(clip, negatives.tolist(), NO, HARD), p, negatives, worst))
        on_file(k + 1, len(files))
    return out
