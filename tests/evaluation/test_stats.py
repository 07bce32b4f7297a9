"""Intervals, censored times and bands: compared with scipy and with values worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, trim_mean

from robot_rl.core.errors import ConfigError
from robot_rl.evaluation.stats import (
    bootstrap_band,
    hold_last,
    interquartile_mean,
    rolling_mean,
    time_to_success,
    wilson_interval,
)

counts = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts, st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_wilson_equals_scipy(count: tuple[int, int], confidence: float) -> None:
    k, n = count
    ours = wilson_interval(k, n, confidence)
    theirs = binomtest(k, n).proportion_ci(confidence, method="wilson")
    assert ours.low == pytest.approx(theirs.low, abs=1e-12)
    assert ours.high == pytest.approx(theirs.high, abs=1e-12)


@given(counts)
def test_wilson_holds_the_rate_and_mirrors(count: tuple[int, int]) -> None:
    k, n = count
    interval, mirrored = wilson_interval(k, n), wilson_interval(n - k, n)
    assert 0.0 <= interval.low <= k / n <= interval.high <= 1.0
    assert interval.low == pytest.approx(1.0 - mirrored.high, abs=1e-12)


def test_wilson_known_values() -> None:
    assert wilson_interval(100, 100).low == pytest.approx(0.96301, abs=1e-5)
    assert wilson_interval(95, 100).low == pytest.approx(0.88825, abs=1e-5)
    assert wilson_interval(96, 100).low >= 0.9 > wilson_interval(95, 100).low
    nothing = wilson_interval(0, 0)
    assert (nothing.low, nothing.high) == (0.0, 1.0)


@pytest.mark.parametrize(("k", "n", "confidence"), [(-1, 5, 0.95), (6, 5, 0.95), (1, 5, 0.0), (1, 5, 1.0)])
def test_wilson_rejects_nonsense(k: int, n: int, confidence: float) -> None:
    with pytest.raises(ConfigError):
        wilson_interval(k, n, confidence)


def test_time_to_success_counts_failures_as_the_limit() -> None:
    # The failure that stopped after 1 s is not a fast success.
    times = time_to_success([2.0, 4.0, 1.0, 10.0], [True, True, False, False], 10.0)
    assert times.restricted_mean_s == pytest.approx((2 + 4 + 10 + 10) / 4)
    assert times.mean_successful_s == pytest.approx(3.0)
    assert math.isinf(times.median_s)
    assert time_to_success([2.0, 4.0, 1.0], [True, True, False], 10.0).median_s == 4.0
    assert time_to_success([2.0, 4.0, 6.0, 1.0], [True, True, True, False], 10.0).median_s == 5.0


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), min_size=1, max_size=30), st.floats(0.1, 100))
def test_time_to_success_stays_within_the_limit_and_orders_policies(
    episodes: list[tuple[float, bool]], limit: float
) -> None:
    times, success = zip(*episodes, strict=True)
    mean = time_to_success(times, success, limit).restricted_mean_s
    assert 0.0 <= mean <= limit * (1 + 1e-12)
    worse = time_to_success(times, [False] * len(times), limit).restricted_mean_s
    assert mean <= worse * (1 + 1e-12) and worse == pytest.approx(limit)


def test_time_to_success_rejects_nonsense() -> None:
    for times, success, limit in (
        ([1.0], [True, False], 1.0),
        ([-1.0], [True], 1.0),
        ([math.nan], [True], 1.0),
        ([1.0], [True], 0.0),
    ):
        with pytest.raises(ConfigError):
            time_to_success(times, success, limit)
    assert math.isnan(time_to_success([], [], 1.0).restricted_mean_s)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_interquartile_mean_equals_scipy(values: list[float]) -> None:
    assert float(interquartile_mean(values)) == pytest.approx(trim_mean(values, 0.25), rel=1e-9, abs=1e-6)


def test_interquartile_mean_ignores_one_odd_run() -> None:
    assert float(interquartile_mean([1.0, 1.0, 1.0, 1.0, -1000.0])) == 1.0


def test_bootstrap_band_holds_the_middle_is_repeatable_and_covers() -> None:
    rng = np.random.default_rng(0)
    curves = rng.normal(size=(12, 5)) + np.arange(5)
    low, high = bootstrap_band(curves)
    middle = interquartile_mean(curves)
    assert ((low < middle) & (middle < high)).all()
    again = bootstrap_band(curves)
    assert (again[0] == low).all() and (again[1] == high).all()
    hits = 0
    for k in range(200):
        a, b = bootstrap_band(rng.normal(size=(15, 1)), lambda x, axis: x.mean(axis=axis), resamples=400, seed=k)
        hits += bool(a[0] <= 0.0 <= b[0])
    assert 0.86 <= hits / 200 <= 0.99


def test_bootstrap_of_one_run_is_that_run() -> None:
    low, high = bootstrap_band([[0.2, 0.9]])
    assert low.tolist() == high.tolist() == [0.2, 0.9]
    with pytest.raises(ConfigError):
        bootstrap_band([0.2, 0.9])


@given(st.lists(st.booleans(), max_size=80), st.integers(1, 25))
def test_rolling_mean_equals_its_definition(values: list[bool], window: int) -> None:
    expected = [np.mean(values[max(0, k + 1 - window) : k + 1]) for k in range(len(values))]
    assert rolling_mean(values, window) == pytest.approx(np.array(expected))


def test_hold_last_never_looks_ahead() -> None:
    held = hold_last([1.0, 3.0], [10.0, 30.0], [0.0, 1.0, 2.9, 3.0, 3.1])
    np.testing.assert_array_equal(held, [np.nan, 10.0, 10.0, 30.0, np.nan])
    assert np.isnan(hold_last([], [], [0.0, 1.0])).all()
