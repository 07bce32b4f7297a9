"""Probabilities that mean something, and a threshold whose false positives were counted.

Sources: C. Guo et al., "On calibration of modern neural networks", ICML 2017, for the temperature; V. Vovk et al.,
"Algorithmic learning in a random world", 2005, for the conformal quantile; C. Clopper and E. Pearson, "The use of
confidence or fiducial limits", Biometrika 26, 1934, for the bounds of a rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DataError
from robot_rl.core.types import Array

MIN_PER_CLASS = 30
FLOOR = 0.5
"""Least threshold, of a probability at even odds: a model that separates its calibration frames perfectly would
otherwise spend all the false positives that it is allowed, and have nothing left when the light changes."""
EDGE = 1e-6
"""How near to 0 and 1 a model comes that promises no certainty."""
_TEMPERATURES = np.exp(np.linspace(0.0, math.log(10.0), 200))


def sigmoid(logits: npt.ArrayLike) -> Array:
    """``1 / (1 + exp(-x))`` without overflow."""
    x = np.asarray(logits, np.float64)
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


def calibrated(raw: Mapping[str, npt.ArrayLike], offset: float, temperature: Mapping[str, float]) -> dict[str, Array]:
    """Probabilities ``sigmoid((x + offset) / temperature)`` of the logits of each view.

    Args:
        raw: logits ``[N]`` by camera.
        offset: log odds of how frequent successes are, where training drew both kinds alike.
        temperature: by camera, see `fit_temperature`.

    Returns:
        ``float64[N]`` by camera.
    """
    return {name: sigmoid((np.asarray(x, np.float64) + offset) / temperature[name]) for name, x in raw.items()}


def off_edges(p: Array) -> Array:
    """Probabilities kept `EDGE` away from 0 and 1."""
    return np.clip(p, EDGE, 1.0 - EDGE)


def fit_temperature(logits: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """The divisor of the logits in [1, 10] with the least negative log likelihood; never sharpens.

    Args:
        logits: of frames that were not trained on ``[N]``.
        labels: 0 or 1 ``[N]``.

    Returns:
        The temperature; 1 with fewer than 30 frames of a class, which could not tell.
    """
    x, y = np.asarray(logits, np.float64), np.asarray(labels, bool)
    if min(y.sum(), (~y).sum()) < MIN_PER_CLASS:
        return 1.0
    signed = np.where(y, x, -x)[None] / _TEMPERATURES[:, None]
    losses = np.logaddexp(0.0, -signed).mean(1)
    return float(_TEMPERATURES[int(np.argmin(losses))])


def threshold_at(negatives: npt.ArrayLike, target_fpr: float, floor: float = FLOOR) -> float:
    """Split-conformal threshold: a negative frame like these reaches it with at most the target probability.

    Args:
        negatives: probabilities that a model gives negative frames it was not trained on ``[n]``.
        target_fpr: wanted false-positive rate in (0, 1).
        floor: least threshold.

    Raises:
        DataError: there are too few frames for such a rate.
    """
    scores = np.sort(np.asarray(negatives, np.float64))
    if not 0.0 < target_fpr < 1.0:
        raise DataError(f"a false-positive rate lies between 0 and 1, got {target_fpr}")
    rank = math.ceil((len(scores) + 1) * (1.0 - target_fpr) - 1e-9)
    if rank > len(scores):
        raise DataError(
            f"a false-positive rate of {target_fpr:g} needs at least {math.ceil(1.0 / target_fpr) - 1} negative frames "
            f"to calibrate on, there are {len(scores)}: collect more, or ask for a higher rate"
        )
    # What reaches the threshold counts as success, so that it lies just above the frame of that rank.
    return max(float(np.nextafter(scores[rank - 1], np.inf)), floor)


def rate_bounds(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Clopper-Pearson interval of a rate; [0, 1] without trials.

    Args:
        hits: 0 to `n`.
        n: trials.
        confidence: two-sided coverage.

    Raises:
        DataError: the counts are out of range.
    """
    if not 0 <= hits <= n:
        raise DataError(f"got {hits} of {n}, expected 0 <= hits <= trials")
    tail = 0.5 * (1.0 - confidence)
    low = 0.0 if hits == 0 else _solve(lambda p: 1.0 - _cdf(hits - 1, n, p), tail)
    high = 1.0 if hits == n else _solve(lambda p: 1.0 - _cdf(hits, n, p), 1.0 - tail)
    return low, high


def _cdf(k: int, n: int, p: float) -> float:
    """Probability of at most `k` hits."""
    if p <= 0.0 or p >= 1.0:
        return 1.0 if p <= 0.0 else float(k >= n)
    i = np.arange(k + 1)
    choose = np.array([math.lgamma(n + 1) - math.lgamma(j + 1) - math.lgamma(n - j + 1) for j in range(k + 1)])
    logs = choose + i * math.log(p) + (n - i) * math.log1p(-p)
    return min(1.0, float(np.exp(logs).sum()))


def _solve(rising: Callable[[float], float], value: float) -> float:
    """Where a function that rises on [0, 1] takes a value, to 1e-9."""
    low, high = 0.0, 1.0
    while high - low > 1e-9:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if rising(middle) < value else (low, middle)
    return 0.5 * (low + high)


def expected_error(p: npt.ArrayLike, labels: npt.ArrayLike, bins: int = 10) -> float:
    """Expected calibration error: mean distance between what is promised and what happens, over equal bins."""
    probability, y = np.asarray(p, np.float64), np.asarray(labels, np.float64)
    if not len(probability):
        return math.nan
    which = np.minimum((probability * bins).astype(int), bins - 1)
    return float(
        sum(
            (which == b).mean() * abs(probability[which == b].mean() - y[which == b].mean())
            for b in range(bins)
            if (which == b).any()
        )
    )
