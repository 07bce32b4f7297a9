"""Watchdog and force guard latch, and only an explicit recover clears them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.controllers.guards import CommandState, ForceGuard, Watchdog
from robot_rl.core.errors import ConfigError, DeviceError


@given(st.floats(0, 1e6), st.floats(0, 5))
def test_watchdog_follows_holds_then_freezes(start_s: float, silence_s: float) -> None:
    dog = Watchdog()
    dog.feed(start_s)
    age_s = (start_s + silence_s) - start_s
    state = dog.check(start_s + silence_s)
    if age_s < 0.2:
        assert state is CommandState.FOLLOW
    elif age_s < 1.0:
        assert state is CommandState.HOLD
    else:
        assert state is CommandState.FAULT and dog.fault == "command_timeout"


def test_a_hold_ends_with_the_next_command_but_a_fault_does_not() -> None:
    dog = Watchdog()
    dog.feed(0.0)
    assert dog.check(0.5) is CommandState.HOLD
    dog.feed(0.6)
    assert dog.check(0.7) is CommandState.FOLLOW
    assert dog.check(1.7) is CommandState.FAULT
    dog.feed(1.8)
    dog.rest()
    assert dog.check(1.8) is CommandState.FAULT
    dog.recover()
    assert dog.fault is None and dog.check(1.9) is CommandState.HOLD
    dog.feed(2.0)
    assert dog.check(2.1) is CommandState.FOLLOW


def test_a_late_command_does_not_hide_the_silence_before_it() -> None:
    dog = Watchdog()
    dog.feed(0.0)
    dog.feed(3.0)
    assert dog.fault == "command_timeout"


def test_a_pause_on_purpose_is_no_fault() -> None:
    dog = Watchdog()
    assert dog.check(100.0) is CommandState.HOLD
    dog.feed(100.0)
    dog.rest()
    assert dog.check(200.0) is CommandState.HOLD and dog.fault is None


def test_commands_out_of_order_are_refused() -> None:
    dog = Watchdog()
    dog.feed(1.0)
    for bad in (0.9, math.nan):
        with pytest.raises(DeviceError, match="out of order"):
            dog.feed(bad)
    with pytest.raises(ConfigError, match="0 < hold <= fault"):
        Watchdog(1.0, 0.5)


def test_force_guard_ignores_a_spike_and_catches_a_push() -> None:
    spike = ForceGuard(max_force_n=50.0, cutoff_hz=10.0)
    assert spike.update([0, 0, 500, 0, 0, 0], 0.001) is None
    push = ForceGuard(max_force_n=50.0, cutoff_hz=10.0)
    faults = [push.update([40, 0, 40, 0, 0, 0], 0.001) for _ in range(200)]
    assert faults[0] is None and faults[-1] == "force_limit"


def test_force_guard_latches_until_recovered() -> None:
    guard = ForceGuard(max_force_n=20.0, max_torque_nm=3.0, cutoff_hz=None)
    assert guard.update([0, 0, 19, 0, 0, 2.9], 0.1) is None
    assert guard.update([0, 0, 0, 0, 0, 3.1], 0.1) == "force_limit"
    assert guard.update(np.zeros(6), 0.1) == "force_limit"
    guard.recover()
    assert guard.fault is None and guard.update(np.zeros(6), 0.1) is None


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_reading_that_is_not_finite_is_a_fault(bad: float) -> None:
    guard = ForceGuard(max_force_n=20.0)
    assert guard.update([0, bad, 0, 0, 0, 0], 0.001) == "force_limit"
    guard.recover()
    assert guard.update(np.zeros(6), 0.001) is None, "the filter must not remember it"


def test_impossible_settings_and_shapes_are_refused() -> None:
    with pytest.raises(ConfigError, match="must be positive"):
        ForceGuard(max_force_n=0.0)
    with pytest.raises(DeviceError, match="6 values"):
        ForceGuard(max_force_n=1.0).update([1, 2, 3], 0.001)
