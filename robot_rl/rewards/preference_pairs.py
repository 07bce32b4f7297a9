"""Which pairs are worth asking about: those that a reward ensemble disagrees on, spread over what was recorded.

Source: RL-VLM-F (Wang et al. 2024, arXiv 2402.03681) asks about pairs of single frames; disagreement of the ensemble
and k-centre coverage are those of PEBBLE (Lee et al. 2021, arXiv 2106.05091, section 4.2).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DataError
from robot_rl.core.types import Float32
from robot_rl.rewards.preferences import Clip, Pair

CANDIDATES = 10
"""Pairs that are drawn for each one that is asked about."""
LEAST_CANDIDATES = 500
SHORTLIST = 3
"""Of those, how many of the most disputed ones coverage chooses from, for each that is asked about."""


def sample_clips(
    episode_id: str, steps: int, *, frames: int, stride: int, count: int, rng: np.random.Generator
) -> list[Clip]:
    """Clips of one episode whose ends are spread evenly over it, each moved at random within its share.

    Args:
        episode_id: which.
        steps: of the episode; the observation after the last one counts too.
        frames: pictures in a clip.
        stride: steps between them.
        count: at most so many; fewer if the episode has not as many ends.
        rng: moves them.

    Returns:
        Clips with `frames` pictures, none if the episode is too short for one.
    """
    reach = (frames - 1) * stride
    ends = np.arange(reach, steps + 1)
    if not len(ends):
        return []
    shares = np.array_split(ends, min(count, len(ends)))
    return [
        Clip(episode_id, tuple(int(end) - stride * k for k in range(frames - 1, -1, -1)))
        for end in (rng.choice(share) for share in shares)
    ]


def gold_pair(episode_id: str, steps: int, *, frames: int, stride: int) -> Pair | None:
    """The beginning and the end of an episode that succeeded: the end is the better one.

    Returns:
        None where the two would overlap.
    """
    reach = (frames - 1) * stride
    if steps < 2 * reach + 2:
        return None
    begin = tuple(range(0, reach + 1, stride))
    return Pair(Clip(episode_id, begin), Clip(episode_id, tuple(steps - reach + k for k in begin)), gold=True)


def choose_pairs(
    clips: Sequence[Clip],
    features: Float32,
    count: int,
    rng: np.random.Generator,
    *,
    scores: Float32 | None = None,
    asked: frozenset[str] = frozenset(),
) -> list[Pair]:
    """Pairs of different clips to ask about next.

    Args:
        clips: candidates, at least two.
        features: what tells them apart ``[N, F]``.
        count: at most so many.
        rng: draws the candidates.
        scores: reward of each clip by each member of an ensemble ``[M, N]``; None covers without regard to dispute.
        asked: ids of pairs that are left out.

    Raises:
        DataError: there are fewer than two clips.
    """
    n = len(clips)
    if n < 2:
        raise DataError(f"got {n} clips, at least 2 are needed to compare: record more or longer episodes")
    drawn = rng.integers(0, n, (max(CANDIDATES * count, LEAST_CANDIDATES), 2))
    drawn = drawn[drawn[:, 0] != drawn[:, 1]]
    unique: dict[str, tuple[int, int]] = {}
    for a, b in drawn.tolist():
        pair = Pair(clips[a], clips[b])
        if pair.first != pair.second and pair.id not in asked:
            unique.setdefault(pair.id, (a, b))
    index = np.array(list(unique.values()), np.int64).reshape(-1, 2)
    if scores is not None:
        order = np.argsort(-disagreement(scores[:, index[:, 0]], scores[:, index[:, 1]]), kind="stable")
        index = index[order[: SHORTLIST * count]]
    chosen = k_center(np.concatenate([features[index[:, 0]], features[index[:, 1]]], axis=1), count)
    return [Pair(clips[index[i, 0]], clips[index[i, 1]]) for i in chosen]


def disagreement(first: Float32, second: Float32) -> npt.NDArray[np.float64]:
    """Standard deviation over the ensemble of the probability that the second clip is better.

    Args:
        first: reward of the first clips ``[M, P]``.
        second: reward of the second clips ``[M, P]``.

    Returns:
        ``[P]`` in [0, 0.5].
    """
    gap = np.clip(second.astype(np.float64) - first, -50.0, 50.0)
    spread: npt.NDArray[np.float64] = (1.0 / (1.0 + np.exp(-gap))).std(axis=0)
    return spread


def k_center(points: Float32, count: int) -> list[int]:
    """Greedy k-centre: start with the first point, then always the one farthest from those chosen.

    Args:
        points: ``[N, F]``.
        count: how many.

    Returns:
        At most `count` different indices, in the order of choice. The largest distance of any point to the nearest
        chosen one is at most twice the best possible (Gonzalez 1985).
    """
    if not len(points) or count < 1:
        return []
    chosen = [0]
    nearest = _distance(points, 0)
    nearest[0] = -1.0
    while len(chosen) < min(count, len(points)):
        far = int(nearest.argmax())
        chosen.append(far)
        nearest = np.minimum(nearest, _distance(points, far))
        nearest[chosen] = -1.0
    return chosen


def _distance(points: Float32, to: int) -> npt.NDArray[np.float64]:
    distance: npt.NDArray[np.float64] = np.square(points.astype(np.float64) - points[to]).sum(axis=1)
    return distance
