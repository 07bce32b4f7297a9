"""Rest means zero, and deflection stays within bounds."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from robot_rl.core.types import Array
from robot_rl.hardware.spacemouse.axes import AxisConfig, AxisFilter, dead_band

deflections = arrays(np.float64, 6, elements=st.floats(-2.0, 2.0))


@given(deflections, st.floats(0.0, 0.9))
def test_dead_band_is_continuous_and_bounded(raw: Array, width: float) -> None:
    out = dead_band(raw, width)
    assert (np.abs(out) <= 1.0).all()
    assert (out[np.abs(raw) <= width] == 0.0).all()
    np.testing.assert_array_less(np.abs(dead_band(raw * (1 + 1e-9), width) - out), 1e-7)
    np.testing.assert_array_equal(dead_band(-raw, width), -out)
    assert (np.sign(out) * np.sign(raw) >= 0.0).all()


@given(st.lists(deflections, min_size=1, max_size=30))
def test_bias_never_exceeds_the_dead_band(readings: list[Array]) -> None:
    filtered = AxisFilter(AxisConfig(dead_band=0.1, bias_s=0.05))
    for i, raw in enumerate(readings):
        out = filtered.update(raw, 0.1 * i, reported=True)
        assert (np.abs(out) <= 1.0).all()
        assert (np.abs(filtered.bias) <= 0.1).all()


def test_bias_at_rest_is_learned_and_removed() -> None:
    filtered = AxisFilter(AxisConfig(dead_band=0.1, bias_s=0.1))
    offset = np.full(6, 0.06)
    for i in range(100):
        assert not filtered.update(offset, 0.01 * i, reported=True).any()
    np.testing.assert_allclose(filtered.bias, offset, atol=1e-3)
    out = filtered.update(offset + 0.5, 1.0, reported=True)
    np.testing.assert_allclose(out, dead_band(np.full(6, 0.5), 0.1), atol=2e-3)


def test_a_slow_push_is_not_taken_for_bias() -> None:
    filtered = AxisFilter(AxisConfig(dead_band=0.1, bias_s=0.1))
    for i in range(1000):
        out = filtered.update(np.full(6, 0.2), 0.01 * i, reported=True)
    np.testing.assert_allclose(out, dead_band(np.full(6, 0.2), 0.1))


def test_what_is_no_longer_reported_is_zero() -> None:
    filtered = AxisFilter(AxisConfig(static_s=0.2))
    assert filtered.update(np.ones(6), 0.0, reported=True).all()
    assert filtered.update(np.ones(6), 0.19, reported=False).all()
    assert not filtered.update(np.ones(6), 0.2, reported=False).any()
    assert filtered.update(np.ones(6), 0.3, reported=True).all()


def test_garbage_is_zero() -> None:
    filtered = AxisFilter(AxisConfig())
    assert not filtered.update(np.full(6, np.nan), 0.0, reported=True).any()
    assert filtered.update(np.ones(6), 0.1, reported=True).all()
