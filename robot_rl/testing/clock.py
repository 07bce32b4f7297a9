"""The contract of `robot_rl.core.protocols.Clock`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import pytest

from robot_rl.core.protocols import Clock


class ClockContract(ABC):
    """Time never runs backwards, and sleeping ends when it said it would.

    Attributes:
        resolution_s: smallest step of the clock; `sleep_until` may end this much early or, in simulation, late.
    """

    resolution_s: float = 0.002

    @abstractmethod
    def make(self) -> Clock:
        """A running clock."""

    def release(self) -> None:
        """Close what `make` opened beside the clock; nothing by default."""
        return None

    @pytest.fixture
    def clock(self) -> Iterator[Clock]:
        """The clock under test."""
        yield self.make()
        self.release()

    def test_is_a_clock(self, clock: Clock) -> None:
        """All methods are there."""
        assert isinstance(clock, Clock)

    def test_sleeps_until_the_time(self, clock: Clock) -> None:
        """Many short sleeps do not drift: each ends at its own absolute time."""
        start = clock.now_s()
        for i in range(1, 6):
            clock.sleep_until(start + 0.02 * i)
            assert clock.now_s() >= start + 0.02 * i - self.resolution_s

    def test_a_time_that_has_passed_does_not_turn_back(self, clock: Clock) -> None:
        """It returns, and the clock is not behind."""
        before = clock.now_s()
        clock.sleep_until(before - 1.0)
        assert clock.now_s() >= before
