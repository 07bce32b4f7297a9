"""What an episode earns for the progress that a model saw in it: forms that cannot be farmed.

A process model's answer ``Phi`` in [0, 1] is not to be trusted: its plain sum pays most for loitering where the score
is high. So only shapes are paid whose sum over an episode is bounded whatever its length, worked out when the episode
has ended and the whole of it is known.

Sources: [PBRS] Ng, Harada and Russell 1999, "Policy invariance under reward transformations"; [PURE] Cheng et al. 2025,
arXiv 2504.15275; [CLIP] Gao et al. 2024, arXiv 2410.15115. Never here: the positive part of a difference, which pays
for the noise of a score that goes up and down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DataError
from robot_rl.core.types import Array, Float32

Form = Literal["none", "potential", "clip", "delta", "min_form", "softmin", "naive_sum"]
MAX_EMA_FRAMES = 3
FAILED_AT_MOST = 0.9
BOUND = 1.0
_ROUNDING = 1e-4


@dataclass(frozen=True)
class Shaping:
    """How progress becomes reward.

    Attributes:
        form: one of `Form`:

            - ``none`` pays nothing.
            - ``potential`` pays ``gamma Phi' - Phi`` with ``Phi = 0`` after a terminal step and kept at a truncation,
              so that the best policy stays the best [PBRS].
            - ``clip`` pays ``min(p - clip_at, 0) clip_scale``, that is charges for bad steps only, until the episode
              has been charged 1 [CLIP].
            - ``delta`` pays ``p_t - p_{t+1}``, and ``p`` at the last step: from every step on it sums to the score of
              that step, however many follow [CLIP].
            - ``min_form`` pays the growth of the suffix minimum ``min_{k >= t} Phi_k``: only progress that is kept to
              the end counts, a peak earns nothing.
            - ``softmin`` pays ``w_t r_t`` with ``r = 2 p - 1`` and weights ``w = softmax(-r / temperature)`` that are
              normalised over the episode before they are applied: the worst step decides [PURE].
            - ``naive_sum`` pays ``Phi`` at every step. It is farmed by loitering, and here to be compared with.
        gamma: discount of the learner, in [0, 1]; for ``potential``.
        ema_frames: span of the exponential average that smooths the score first, 1 to 3; 1 does not smooth. A longer
            one would make the potential depend on what the state does not show.
        clip_at: score below which ``clip`` charges.
        clip_scale: charge of a step that is 1 below.
        temperature: of ``softmin``, positive.
    """

    form: Form = "none"
    gamma: float = 0.97
    ema_frames: int = 1
    clip_at: float = 0.5
    clip_scale: float = 0.1
    temperature: float = 0.1


def smooth(phi: npt.ArrayLike, frames: int) -> Array:
    """Exponential average with the weight ``2 / (frames + 1)`` of the newest value, begun at the first one.

    Args:
        phi: scores ``[T]``.
        frames: span, 1 to 3.

    Raises:
        DataError: another span.
    """
    if not 1 <= frames <= MAX_EMA_FRAMES:
        raise DataError(f"progress is smoothed over 1 to {MAX_EMA_FRAMES} frames, got {frames}")
    out = np.array(phi, np.float64)
    weight = 2.0 / (frames + 1)
    for t in range(1, len(out)):
        out[t] = weight * out[t] + (1.0 - weight) * out[t - 1]
    return out


def worst(scores: npt.ArrayLike) -> Array:
    """The most pessimistic member's score of each frame ``[T]``, given those of all members ``[members, T]``."""
    return np.asarray(np.min(np.asarray(scores, np.float64), axis=0))


def shape(phi: npt.ArrayLike, how: Shaping, *, terminated: bool, success: bool) -> Float32:
    """The process reward of each step of an episode.

    Args:
        phi: progress before the first step and after each one ``[T + 1]``; what leaves [0, 1] is clipped.
        how: form and its numbers.
        terminated: the last step ended the task, rather than cutting the episode.
        success: the task was solved. ``min_form`` holds a failure below `FAILED_AT_MOST` and pays nothing for its
            last step.

    Returns:
        ``float32[T]``; the sum is within [-1, 1], for ``potential`` the sum discounted by `Shaping.gamma`; the one
        exception is ``naive_sum``.

    Raises:
        DataError: there is no progress before the first step, or something is not finite.
    """
    scores = np.asarray(phi, np.float64)
    if scores.ndim != 1 or not len(scores) or not np.isfinite(scores).all():
        raise DataError(f"an episode of T steps needs T + 1 finite scores, got {scores.tolist()}")
    scores = smooth(np.clip(scores, 0.0, 1.0), how.ema_frames)
    if len(scores) == 1:
        return np.zeros(0, np.float32)
    if how.form == "potential":
        out = _potential(scores, how.gamma, terminated=terminated)
    elif how.form == "clip":
        out = _clip(scores[1:], how.clip_at, how.clip_scale)
    elif how.form == "delta":
        out = -np.diff(scores[1:], append=0.0)
    elif how.form == "min_form":
        out = _min_form(scores, success=success)
    elif how.form == "softmin":
        out = _softmin(2.0 * scores[1:] - 1.0, how.temperature)
    elif how.form == "naive_sum":
        out = scores[1:]
    else:
        out = np.zeros(len(scores) - 1)
    return out.astype(np.float32)


def _potential(phi: Array, gamma: float, *, terminated: bool) -> Array:
    after = phi[1:].copy()
    if terminated:
        after[-1] = 0.0
    return gamma * after - phi[:-1]


def _clip(p: Array, at: float, scale: float) -> Array:
    charged = np.minimum(np.cumsum(scale * np.maximum(at - p, 0.0)), BOUND)
    return -np.diff(charged, prepend=0.0)


def _min_form(phi: Array, *, success: bool) -> Array:
    kept = phi if success else np.minimum(phi, FAILED_AT_MOST)
    credit = np.diff(np.minimum.accumulate(kept[::-1])[::-1])
    if not success:
        credit[-1] = 0.0
    return credit


def _softmin(r: Array, temperature: float) -> Array:
    weights = np.exp(-(r - r.min()) / temperature)
    return np.asarray(weights / weights.sum() * r)


def helped(intervened: Sequence[bool], after_steps: int) -> npt.NDArray[np.bool_]:
    """Steps whose progress is not the policy's doing: an operator's own, and `after_steps` after he let go ``[T]``."""
    out = np.zeros(len(intervened), bool)
    until = -1
    for t, operator in enumerate(intervened):
        if operator:
            until = t + after_steps
        out[t] = t <= until
    return out


def earned(values: Float32, masked: npt.NDArray[np.bool_], how: Shaping) -> Float32:
    """What of an episode's process reward may be stored: nothing in masked steps, and never more than the bound.

    Leaving out steps can undo what made the sum bounded (whoever lets the score fall in masked steps could raise it
    again and again in others), so an episode that exceeds the bound then is scaled down to it.

    Args:
        values: of `shape` ``[T]``.
        masked: of `helped` ``[T]``.
        how: what made the values.
    """
    kept = np.where(masked, 0.0, values).astype(np.float32)
    most = _largest_sum(kept, how)
    return kept if how.form == "naive_sum" or most <= BOUND + _ROUNDING else np.asarray(kept / np.float32(most))


def check_bound(values: Float32, how: Shaping) -> None:
    """Assert the contract before an episode's process reward is stored.

    Raises:
        DataError: it sums to more than the bound from some step on, or something is not finite.
    """
    if not np.isfinite(values).all():
        raise DataError(f"the process reward of an episode is not finite: {values.tolist()}")
    most = _largest_sum(values, how)
    if how.form != "naive_sum" and most > BOUND + _ROUNDING:
        raise DataError(f"the process reward {how.form} of an episode sums to {most:.3f}, expected at most {BOUND:g}")


def _largest_sum(values: Float32, how: Shaping) -> float:
    """The largest absolute sum from any step to the end."""
    gamma = how.gamma if how.form == "potential" else 1.0
    most = total = 0.0
    for value in values[::-1].astype(np.float64):
        total = value + gamma * total
        most = max(most, abs(total))
    return most


def reachable(how: Shaping) -> tuple[float, float]:
    """Least and largest discounted sum of process rewards that a value function may hold, per unit of weight.

    For ``potential`` the value of a state shifts by ``-Phi`` [PBRS, theorem 1]; for the others it is what an episode
    can pay from any step on.
    """
    if how.form == "naive_sum":
        return 0.0, 1.0 / (1.0 - how.gamma) if how.gamma < 1.0 else np.inf
    lows = {"potential": -1.0, "clip": -1.0, "delta": -1.0, "softmin": -1.0}
    highs = {"delta": 1.0, "min_form": 1.0, "softmin": 1.0}
    return lows.get(how.form, 0.0), highs.get(how.form, 0.0)
