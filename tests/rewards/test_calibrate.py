"""Temperatures that never sharpen, thresholds that keep their promise, bounds that agree with scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from robot_rl.core.errors import DataError
from robot_rl.rewards.calibrate import (
    EDGE,
    calibrated,
    expected_error,
    fit_temperature,
    off_edges,
    rate_bounds,
    sigmoid,
    threshold_at,
)


def test_an_overconfident_model_is_cooled_to_what_happens() -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(0.0, 2.0, 20_000)
    labels = rng.random(20_000) < sigmoid(honest)
    assert fit_temperature(3.0 * honest, labels) == pytest.approx(3.0, rel=0.05)
    assert expected_error(sigmoid(honest), labels) < 0.02 < expected_error(sigmoid(3.0 * honest), labels)


def test_separable_frames_do_not_sharpen_or_turn_the_sign() -> None:
    x = np.concatenate([np.full(50, -4.0), np.full(50, 4.0)])
    assert fit_temperature(x, x > 0) == 1.0
    assert fit_temperature(-x, x > 0) == pytest.approx(10.0)


def test_few_frames_leave_it_alone() -> None:
    x = np.concatenate([np.full(29, -4.0), np.full(50, 4.0)])
    assert fit_temperature(-x, x > 0) == 1.0


def test_odds_and_temperature_of_each_view_are_its_own() -> None:
    p = calibrated({"a": np.array([0.0, np.log(9.0)]), "b": [0.0]}, np.log(1 / 9), {"a": 1.0, "b": 2.0})
    np.testing.assert_allclose(p["a"], [0.1, 0.5])
    np.testing.assert_allclose(p["b"], [0.25])


def test_certainty_is_taken_off() -> None:
    assert off_edges(np.array([0.0, 0.3, 1.0])).tolist() == [EDGE, 0.3, 1.0 - EDGE]


def test_the_threshold_keeps_its_promise() -> None:
    """Over many calibration sets, a new negative reaches the threshold with at most the target probability."""
    rng = np.random.default_rng(1)
    hits = [rng.random() >= threshold_at(rng.random(199), 0.05, floor=0.0) for _ in range(4000)]
    assert np.mean(hits) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 4000)
    assert np.mean(hits) > 0.03, "and it does not throw successes away"


def test_too_few_negatives_are_refused() -> None:
    threshold_at(np.zeros(99), 0.01)
    with pytest.raises(DataError, match="needs at least 99 negative frames .* there are 98"):
        threshold_at(np.zeros(98), 0.01)


def test_a_separated_model_keeps_a_margin() -> None:
    assert threshold_at(np.full(200, 0.02), 0.01, floor=0.7) == 0.7
    assert threshold_at(np.full(200, 0.02), 0.01) == 0.5


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.data())
def test_bounds_are_those_of_clopper_and_pearson(n: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, n))
    theirs = binomtest(hits, n).proportion_ci(0.95, method="exact")
    assert rate_bounds(hits, n) == pytest.approx((theirs.low, theirs.high), abs=1e-6)


def test_no_trials_say_nothing() -> None:
    assert rate_bounds(0, 0) == (0.0, 1.0)
    with pytest.raises(DataError, match="got 3 of 2"):
        rate_bounds(3, 2)
