"""Statistics of success rates and of the time to success: intervals first, point estimates second.

Sources: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927, for the
interval of a rate; R. Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice", NeurIPS
2021, for the interquartile mean and intervals by resampling of runs; P. Royston and M. Parmar, "Restricted mean
survival time", BMC Medical Research Methodology 13, 2013, for means of times cut at a limit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import ConfigError
from robot_rl.core.types import Array

# Bounds the memory of a bootstrap over many runs.
POINTS_AT_ONCE = 32


@dataclass(frozen=True)
class Interval:
    """A closed interval.

    Attributes:
        low: lower end.
        high: upper end.
    """

    low: float
    high: float


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Two-sided Wilson score interval of a success probability.

    Unlike the normal interval it stays inside [0, 1] and does not collapse to a point when all episodes agree: 100 of
    100 successes give a lower bound of 0.963.

    Args:
        successes: number of successes, 0 to `n`.
        n: number of independent trials; with none, nothing is known and the interval is [0, 1].
        confidence: two-sided coverage in (0, 1).

    Raises:
        ConfigError: counts or confidence are out of range.
    """
    if not 0 <= successes <= n:
        raise ConfigError(f"got {successes} successes of {n} trials, expected 0 <= successes <= trials")
    if not 0.0 < confidence < 1.0:
        raise ConfigError(f"confidence is {confidence}, expected a value between 0 and 1, such as 0.95")
    if n == 0:
        return Interval(0.0, 1.0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2.0)
    rate = successes / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # The ends are exact where rounding would leave 1e-17 beside them.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Interval(low, high)


@dataclass(frozen=True)
class TimeToSuccess:
    """How long success takes, with failures counted and not left out.

    Attributes:
        restricted_mean_s: mean of min(time to success, `limit_s`) over *all* episodes; a failed episode counts as
            `limit_s`, whenever it stopped, because it would not have succeeded by then. NaN without episodes.
        median_s: median over all episodes with failures as infinitely long; infinite when half or more failed.
        mean_successful_s: plain mean over the successful episodes only, which flatters a policy that gives up on the
            hard ones; NaN without successes.
        limit_s: where times are cut, normally the time limit of the task.
    """

    restricted_mean_s: float
    median_s: float
    mean_successful_s: float
    limit_s: float


def time_to_success(times_s: npt.ArrayLike, successes: npt.ArrayLike, limit_s: float) -> TimeToSuccess:
    """Summarise times to success, censored at a limit.

    Args:
        times_s: duration of each episode in seconds ``[n]``, not negative.
        successes: whether each succeeded ``[n]``.
        limit_s: cut, positive.

    Raises:
        ConfigError: shapes differ, a time is negative or not finite, or the limit is not positive.
    """
    times = np.asarray(times_s, np.float64)
    success = np.asarray(successes, bool)
    if times.ndim != 1 or times.shape != success.shape:
        raise ConfigError(f"times {times.shape} and successes {success.shape} must be vectors of equal length")
    if not (limit_s > 0 and math.isfinite(limit_s)):
        raise ConfigError(f"the limit is {limit_s} s, expected a positive finite time")
    if not (np.isfinite(times) & (times >= 0)).all():
        raise ConfigError("a time to success is negative or not finite")
    if times.size == 0:
        return TimeToSuccess(math.nan, math.nan, math.nan, limit_s)
    # The lower of the two middle order statistics' mean would mix a number with infinity, so the upper one decides.
    uncensored = np.sort(np.where(success, times, np.inf))
    upper, lower = uncensored[times.size // 2], uncensored[(times.size - 1) // 2]
    return TimeToSuccess(
        restricted_mean_s=float(np.where(success, np.minimum(times, limit_s), limit_s).mean()),
        median_s=float((upper + lower) / 2) if np.isfinite(upper) else math.inf,
        mean_successful_s=float(times[success].mean()) if success.any() else math.nan,
        limit_s=limit_s,
    )


def interquartile_mean(values: npt.ArrayLike, axis: int = 0) -> Array:
    """Mean of the middle half along an axis: less noisy than the median, less swayed by one odd run than the mean.

    A quarter of the values, rounded down, is dropped at each end, so three or fewer values give their plain mean.
    """
    ordered = np.sort(np.asarray(values, np.float64), axis=axis)
    n = ordered.shape[axis]
    cut = n // 4
    return np.asarray(np.take(ordered, np.arange(cut, n - cut), axis=axis).mean(axis=axis))


def bootstrap_band(
    curves: npt.ArrayLike,
    statistic: Callable[[Array, int], Array] = interquartile_mean,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[Array, Array]:
    """Percentile bootstrap interval of a curve over runs; whole runs are drawn, so points of a curve stay together.

    Args:
        curves: one row a run ``[runs, points]``, at least one run, no NaN.
        statistic: reduces an array along an axis whatever the order in it, called as ``statistic(array, axis)``.
        confidence: two-sided coverage in (0, 1).
        resamples: number of bootstrap draws.
        seed: of the draws; the same seed gives the same band.

    Returns:
        Lower and upper end ``[points]`` each. With a single run both are the curve: nothing is known about the spread.

    Raises:
        ConfigError: the array is not ``[runs >= 1, points]``.
    """
    values = np.asarray(curves, np.float64)
    if values.ndim != 2 or values.shape[0] < 1:
        raise ConfigError(f"curves have shape {values.shape}, expected [runs, points] with at least one run")
    runs = values.shape[0]
    picks = np.sort(np.random.default_rng(seed).integers(0, runs, size=(resamples, runs)), axis=1)
    # A handful of runs has few distinct draws (126 for five), so each is reduced once and then repeated.
    distinct, repeat = np.unique(picks, axis=0, return_inverse=True)
    tail = 100 * (1 - confidence) / 2
    ends = [np.zeros((2, 0))]
    for block in np.array_split(values, max(1, values.shape[1] // POINTS_AT_ONCE), axis=1):
        drawn = statistic(block.T[:, distinct], 2)[:, repeat.reshape(-1)]
        ends.append(np.percentile(drawn, [tail, 100 - tail], axis=1))
    low, high = np.concatenate(ends, axis=1)
    return low, high


def rolling_mean(values: npt.ArrayLike, window: int) -> Array:
    """Mean of the last `window` values at every index ``[n]``; of all values so far while there are fewer.

    Raises:
        ConfigError: the window is not positive.
    """
    if window < 1:
        raise ConfigError(f"the window is {window}, expected at least 1")
    x = np.asarray(values, np.float64)
    total = np.concatenate([[0.0], np.cumsum(x)])
    stop = np.arange(1, x.size + 1)
    start = np.maximum(stop - window, 0)
    return np.asarray((total[stop] - total[start]) / (stop - start))


def hold_last(x: npt.ArrayLike, y: npt.ArrayLike, grid: npt.ArrayLike) -> Array:
    """Step curve on a grid: the newest `y` whose `x` is not later; NaN before the first and after the last `x`.

    Args:
        x: increasing positions ``[n]``.
        y: values ``[n]``.
        grid: positions asked for ``[m]``.
    """
    at, value, where = (np.asarray(v, np.float64) for v in (x, y, grid))
    if at.size == 0:
        return np.full(where.shape, np.nan)
    index = np.searchsorted(at, where, side="right") - 1
    return np.where((index >= 0) & (where <= at[-1]), value[np.maximum(index, 0)], np.nan)
