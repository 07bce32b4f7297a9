"""The normaliser: one definition for numpy and torch, and no range that noise could fill."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from robot_rl.core.errors import DataError
from robot_rl.core.types import Float32
from robot_rl.policies.base.normaliser import Normaliser, from_unit, to_unit

VALUES = st.floats(-1e4, 1e4, width=32)
ROWS = arrays(np.float32, st.tuples(st.integers(1, 20), st.just(3)), elements=VALUES)


@given(ROWS)
def test_data_fill_the_unit_range_and_come_back(rows: Float32) -> None:
    n = Normaliser.fit(rows, 0.1)
    y = n.normalise(rows)
    assert (np.abs(y) <= 1.0).all()
    np.testing.assert_allclose(n.restore(y), rows, atol=2e-6 * max(1.0, float(np.abs(rows).max())))
    wide = np.ptp(rows.astype(np.float64), axis=0) > 1.0
    np.testing.assert_allclose(y.max(0)[wide], 1.0, atol=1e-2)
    np.testing.assert_allclose(y.min(0)[wide], -1.0, atol=1e-2)


def test_a_value_that_hardly_changed_does_not_fill_the_range() -> None:
    """Without a floor, a value that was constant up to noise would shout its noise at full scale."""
    rng = np.random.default_rng(0)
    rows = np.stack([rng.uniform(-1, 1, 500), 0.3 + 1e-4 * rng.standard_normal(500)], 1).astype(np.float32)
    y = Normaliser.fit(rows, [0.1, 0.1]).normalise(rows)
    assert np.ptp(y[:, 0]) > 1.9
    assert np.abs(y[:, 1]).max() < 0.01


def test_constant_values_become_zero() -> None:
    rows = np.full((5, 2), 7.5, np.float32)
    np.testing.assert_array_equal(Normaliser.fit(rows, 0.1).normalise(rows), 0.0)


def test_a_stray_reading_does_not_squeeze_the_others() -> None:
    rows = np.linspace(-1.0, 1.0, 999, dtype=np.float32)[:, None]
    rows = np.concatenate([rows, [[1000.0]]]).astype(np.float32)
    assert np.ptp(Normaliser.fit(rows, 0.1).normalise(rows[:-1])) < 0.01
    robust = Normaliser.fit(rows, 0.1, clip=1.5, outliers=0.01)
    assert np.ptp(robust.normalise(rows[:-1])) > 1.9
    assert robust.normalise(rows[-1:]).item() == 1.5


@given(ROWS, arrays(np.float32, (4, 3), elements=VALUES))
def test_torch_gives_the_same_bits(rows: Float32, x: Float32) -> None:
    n = Normaliser.fit(rows, 0.1, clip=1.5)
    center, half = torch.from_numpy(n.center), torch.from_numpy(n.half)
    y = to_unit(torch.from_numpy(x), center, half, n.clip)
    np.testing.assert_array_equal(y.numpy(), n.normalise(x))
    np.testing.assert_array_equal(from_unit(y, center, half).numpy(), n.restore(n.normalise(x)))


def test_numbers_that_must_not_change() -> None:
    """Whoever normalises elsewhere is to get these."""
    n = Normaliser.fit(np.array([[0.0, -2.0, 5.0], [1.0, 2.0, 5.0]], np.float32), 0.1, clip=1.5)
    x = np.array([0.25, 9.0, 5.02], np.float32)
    np.testing.assert_allclose(n.normalise(x), [-0.5, 1.5, 0.4], atol=1e-5)
    assert n.checksum == Normaliser.fit(np.array([[0.0, -2.0, 5.0], [1.0, 2.0, 5.0]]), 0.1, clip=1.5).checksum


def test_checksum_knows_every_part() -> None:
    a = Normaliser(np.zeros(2, np.float32), np.ones(2, np.float32))
    others = [
        Normaliser(np.ones(2, np.float32), np.ones(2, np.float32)),
        Normaliser(np.zeros(2, np.float32), np.full(2, 2, np.float32)),
        Normaliser(np.zeros(2, np.float32), np.ones(2, np.float32), 1.5),
    ]
    assert len({a.checksum, *(n.checksum for n in others)}) == 4


def test_arrays_restore_it() -> None:
    n = Normaliser.fit(np.random.default_rng(0).standard_normal((9, 4)).astype(np.float32), 0.1, clip=1.3)
    assert Normaliser.from_arrays(n.arrays("states"), "states").checksum == n.checksum


@pytest.mark.parametrize("part", ["center", "half", "clip"])
def test_refuses_arrays_that_lack_a_part(part: str) -> None:
    given_arrays = Normaliser(np.zeros(2, np.float32), np.ones(2, np.float32)).arrays("states")
    del given_arrays[f"states/{part}"]
    with pytest.raises(DataError, match=part):
        Normaliser.from_arrays(given_arrays, "states")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_refuses_data_that_are_not_finite(value: float) -> None:
    rows = np.zeros((3, 2), np.float32)
    rows[1, 1] = value
    with pytest.raises(DataError, match=r"columns \[1\]"):
        Normaliser.fit(rows, 0.1)


def test_refuses_to_fit_nothing() -> None:
    with pytest.raises(DataError, match="at least one row"):
        Normaliser.fit(np.zeros((0, 2), np.float32), 0.1)


@pytest.mark.parametrize("half", [[0.0, 1.0], [1.0], [np.nan, 1.0]])
def test_refuses_ranges_that_divide_by_nothing(half: list[float]) -> None:
    with pytest.raises(DataError):
        Normaliser(np.zeros(2, np.float32), np.array(half, np.float32))
