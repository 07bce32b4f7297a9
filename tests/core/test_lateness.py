"""Histograms of lateness count every step once, add up, and never claim more than the worst."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.core.errors import DataError
from robot_rl.core.lateness import BIN_NAMES, BINS, EDGES_MS, LatenessHistogram

seconds = st.floats(0.0, 2.0, allow_nan=False)
steps = st.lists(st.tuples(seconds, st.booleans()), max_size=40)


def histogram(values: list[tuple[float, bool]]) -> LatenessHistogram:
    seen = LatenessHistogram()
    for late_s, missed in values:
        seen = seen.add(late_s, missed=missed)
    return seen


def test_names_of_the_bins() -> None:
    assert BIN_NAMES == ("<1", "1-2", "2-5", "5-10", "10-20", "20-50", "50-100", ">100")


@given(steps)
def test_every_step_is_in_the_bin_of_its_lateness(values: list[tuple[float, bool]]) -> None:
    seen = histogram(values)
    expected = np.histogram([1e3 * v for v, _ in values], [-np.inf, *EDGES_MS, np.inf])[0]
    assert list(seen.counts) == expected.tolist()
    assert seen.total == len(values)
    assert seen.missed == sum(missed for _, missed in values)
    assert seen.worst_s == max((v for v, _ in values), default=0.0)


@given(steps, steps)
def test_merging_is_counting_both(a: list[tuple[float, bool]], b: list[tuple[float, bool]]) -> None:
    assert histogram(a).merge(histogram(b)) == histogram(a + b) == histogram(b).merge(histogram(a))


@given(steps.filter(bool), st.floats(0.0, 1.0))
def test_quantiles_lie_in_the_bin_of_the_true_one(values: list[tuple[float, bool]], q: float) -> None:
    seen = histogram(values)
    true_s = sorted(v for v, _ in values)[max(0, int(np.ceil(q * len(values))) - 1)]
    edges_s = [0.0, *(e / 1e3 for e in EDGES_MS), np.inf]
    k = int(np.searchsorted(edges_s, true_s, side="right")) - 1
    assert edges_s[k] - 1e-9 <= seen.quantile_s(q) <= min(edges_s[k + 1], seen.worst_s) + 1e-9
    assert seen.quantile_s(1.0) == pytest.approx(seen.worst_s)


@given(steps, st.floats(0, 1), st.floats(0, 1))
def test_quantiles_grow(values: list[tuple[float, bool]], a: float, b: float) -> None:
    seen = histogram(values)
    if values:
        assert seen.quantile_s(min(a, b)) <= seen.quantile_s(max(a, b)) + 1e-12
    else:
        assert np.isnan(seen.quantile_s(a))


def test_early_counts_as_punctual() -> None:
    assert LatenessHistogram().add(-0.5) == LatenessHistogram((1,) + (0,) * (BINS - 1))


@given(steps)
def test_plain_data_and_back(values: list[tuple[float, bool]]) -> None:
    seen = histogram(values)
    assert LatenessHistogram.from_dict(json.loads(json.dumps(seen.to_dict()))) == seen


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"counts": [1, 2], "missed": 0, "worst_s": 0.0},
        {"counts": [0] * (BINS - 1) + [-1], "missed": 0, "worst_s": 0.0},
        {"counts": [0.5] * BINS, "missed": 0, "worst_s": 0.0},
        {"counts": [0] * BINS, "missed": -1, "worst_s": 0.0},
        {"counts": [0] * BINS, "missed": 0, "worst_s": float("nan")},
        {"counts": [0] * BINS, "missed": 0, "worst_s": "late"},
        {"counts": 3, "missed": 0, "worst_s": 0.0},
    ],
)
def test_what_is_no_histogram_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(DataError, match="histogram of lateness"):
        LatenessHistogram.from_dict(data)
