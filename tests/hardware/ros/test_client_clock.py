"""The wall clock of a cell, also when somebody turns the system's."""

from __future__ import annotations

import time

import pytest

from robot_rl.core.protocols import Clock
from robot_rl.hardware.ros.client import clock as module
from robot_rl.hardware.ros.client.clock import WallClock
from robot_rl.testing import ClockContract


class TestWallClock(ClockContract):
    def make(self) -> Clock:
        return WallClock()


class Turned:
    """The time module with a system clock that can be turned."""

    def __init__(self) -> None:
        self.by_s = 0.0
        self.monotonic, self.sleep = time.monotonic, time.sleep

    def time(self) -> float:
        return time.time() + self.by_s


@pytest.fixture
def turned(monkeypatch: pytest.MonkeyPatch) -> Turned:
    system = Turned()
    monkeypatch.setattr(module, "time", system)
    return system


def test_it_is_unix_time() -> None:
    assert WallClock().now_s() == pytest.approx(time.time(), abs=1.0)


def test_stands_still_when_the_system_is_turned_back_until_it_is_restarted(turned: Turned) -> None:
    clock = WallClock()
    before = clock.now_s()
    turned.by_s = -3600.0
    assert clock.now_s() == before
    clock.restart()
    assert clock.now_s() < before - 3000.0


@pytest.mark.parametrize("by_s", [-3600.0, 3600.0])
def test_a_clock_that_is_turned_does_not_make_a_wait_endless(turned: Turned, by_s: float) -> None:
    clock = WallClock()
    until_s = clock.now_s() + 0.02
    turned.by_s = by_s
    clock.sleep_until(until_s)  # would take an hour, and the test's time with it
