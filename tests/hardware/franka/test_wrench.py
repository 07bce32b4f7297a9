from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.core.errors import DeviceError
from robot_rl.core.types import Array
from robot_rl.hardware.franka.wrench import MAX_TARE_N, TARE_S, WrenchFilter

STILL = np.zeros(6)


def feed(wrench: WrenchFilter, value: Array, seconds: float, start_s: float, twist: Array = STILL) -> Array:
    out = np.zeros(6)
    for t_s in start_s + np.arange(1, round(seconds / 0.005) + 1) * 0.005:
        out = wrench.update(value, twist, float(t_s))
    return out


@given(st.lists(st.floats(-4.0, 4.0), min_size=6, max_size=6))
def test_tare_takes_off_what_was_there(values: list[float]) -> None:
    wrench, offset = WrenchFilter(), np.array(values) * [1, 1, 1, 0.25, 0.25, 0.25]
    feed(wrench, offset, 0.2, 0.0)
    wrench.tare()
    np.testing.assert_allclose(wrench.offset, offset, atol=1e-12)
    np.testing.assert_allclose(feed(wrench, offset + 1.0, 0.5, 0.2), 1.0, atol=1e-9)


def test_low_pass_has_its_time_constant() -> None:
    wrench = WrenchFilter(cutoff_hz=1.0 / (2.0 * np.pi))
    wrench.update(np.zeros(6), STILL, 0.0)
    np.testing.assert_allclose(feed(wrench, np.ones(6), 1.0, 0.0), 1.0 - np.exp(-1.0), rtol=1e-6)


def test_the_first_reading_is_not_smoothed() -> None:
    np.testing.assert_array_equal(WrenchFilter().update(np.ones(6), STILL, 17.0), np.ones(6))


def test_a_repeated_reading_changes_nothing() -> None:
    wrench = WrenchFilter()
    before = feed(wrench, np.ones(6), 0.1, 0.0)
    np.testing.assert_array_equal(wrench.update(np.full(6, 50.0), STILL, 0.1), before)


@pytest.mark.parametrize("twist", [[0.05, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0.2]])
def test_a_moving_tool_is_not_tared(twist: list[float]) -> None:
    wrench = WrenchFilter()
    feed(wrench, np.ones(6), 0.2, 0.0, np.array(twist, np.float64))
    with pytest.raises(DeviceError, match="slow"):
        wrench.tare()
    feed(wrench, np.ones(6), TARE_S + 0.01, 0.2)
    wrench.tare()


def test_a_contact_is_not_tared_away() -> None:
    wrench = WrenchFilter()
    feed(wrench, np.array([0, 0, MAX_TARE_N + 1.0, 0, 0, 0]), 0.2, 0.0)
    with pytest.raises(DeviceError, match=r"11\.0 N .* expected at most 10 N"):
        wrench.tare()
    np.testing.assert_array_equal(wrench.offset, 0.0)


def test_threads_may_share_it() -> None:
    wrench, go_on = WrenchFilter(), True

    def forget() -> None:
        while go_on:
            wrench.forget()

    thread = threading.Thread(target=forget)
    thread.start()
    for t_s in range(5000):
        np.testing.assert_array_equal(wrench.update(np.ones(6), STILL, 1e-3 * t_s), 1.0)
    go_on = False
    thread.join()


def test_after_a_gap_the_past_does_not_count() -> None:
    wrench = WrenchFilter()
    feed(wrench, np.ones(6), 0.2, 0.0)
    wrench.tare()
    wrench.forget()
    assert not wrench.settled
    # The robot's clock may have started anew.
    np.testing.assert_allclose(wrench.update(np.full(6, 3.0), STILL, 0.001), 2.0)
