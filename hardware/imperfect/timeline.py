"""The clock that lets things happen between two ticks of the environment, and the channels that use it."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Generic, TypeVar

import numpy as np

from robot_rl.core.protocols import Clock

T = TypeVar("T")


class Timeline:
    """A `Clock` that carries out what is due while it sleeps, at the time at which it is due.

    On a wall clock nothing happens between calls; what was due then happens at the next one, late but in order.

    Args:
        clock: the cell's own.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def now_s(self) -> float:
        """Time since the cell started."""
        return self._clock.now_s()

    def sleep_until(self, t_s: float) -> None:
        """Sleep, and do on the way what is due."""
        while self._due and self._due[0][0] <= t_s:
            self._clock.sleep_until(self._due[0][0])
            heapq.heappop(self._due)[2]()
        self._clock.sleep_until(t_s)

    def catch_up(self) -> None:
        """Do what is due by now."""
        while self._due and self._due[0][0] <= self.now_s():
            heapq.heappop(self._due)[2]()

    def at(self, t_s: float, action: Callable[[], None]) -> None:
        """Have something done at a time; two things of one time happen in the order in which they were asked for."""
        heapq.heappush(self._due, (t_s, next(self._numbers), action))

    def clear(self) -> None:
        """Forget all that is planned."""
        self._due.clear()


@dataclass(frozen=True)
class Channel:
    """How messages travel.

    Attributes:
        delay_s: each takes at least this long.
        jitter_s: and up to this much longer.
        drop: chance that one is lost.
    """

    delay_s: float
    jitter_s: float
    drop: float = 0.0

    def travel_s(self, rng: np.random.Generator) -> float | None:
        """Time that the next message takes, or None if it is lost; always draws two numbers."""
        lost, share = rng.random(2)
        return None if lost < self.drop else self.delay_s + share * self.jitter_s


class Commands(Generic[T]):
    """Commands under way to a device.

    Args:
        timeline: of the cell.
        channel: how they travel.
        deliver: hands one to the device.
    """

    def __init__(self, timeline: Timeline, channel: Channel, deliver: Callable[[T], None]) -> None:
        self._timeline, self._channel, self._deliver = timeline, channel, deliver
        self._rng = np.random.default_rng(0)
        self._sent = self._arrived = 0

    def restart(self, rng: np.random.Generator | None = None) -> None:
        """Forget what is under way, and draw from other random numbers if given."""
        self._rng = rng or self._rng
        self._arrived = self._sent

    def send(self, command: T) -> None:
        """Let a command go; it arrives unless it is lost or a later one comes first."""
        self._sent += 1
        number, travel_s = self._sent, self._channel.travel_s(self._rng)
        if travel_s is not None:
            self._timeline.at(self._timeline.now_s() + travel_s, lambda: self._arrive(number, command))
            self._timeline.catch_up()

    def _arrive(self, number: int, command: T) -> None:
        if number > self._arrived:
            self._arrived = number
            self._deliver(command)


class Readings(Generic[T]):
    """Readings taken at a steady rate and received late; the newest that has arrived is the one seen.

    The first after a restart is taken at once and is there at once, so that there is always one.

    Args:
        timeline: of the cell.
        channel: how they travel.
        hz: readings per second; their phase is random.
        take: asks the device.
    """

    def __init__(self, timeline: Timeline, channel: Channel, hz: float, take: Callable[[], T]) -> None:
        self._timeline, self._channel, self._period_s, self._take = timeline, channel, 1.0 / hz, take
        self._rng = np.random.default_rng(0)
        self._run = 0
        self._latest: T | None = None
        self._coming: list[tuple[float, T]] = []

    def restart(self, rng: np.random.Generator | None = None) -> None:
        """Forget all readings, and draw from other random numbers if given."""
        self._rng = rng or self._rng
        self._run += 1
        self._latest, self._coming = None, []

    def latest(self) -> T:
        """The newest reading that has arrived."""
        self._timeline.catch_up()
        now_s = self._timeline.now_s()
        if self._latest is None:
            self._latest = self._take()
            self._plan(self._run, now_s + float(self._rng.random()) * self._period_s, 0)
            return self._latest
        self._receive(now_s)
        return self._latest

    def _receive(self, now_s: float) -> None:
        """Take the newest that has arrived; those before it are out of date, wherever they are."""
        arrived = [i for i, (t_s, _) in enumerate(self._coming) if t_s <= now_s]
        if arrived:
            self._latest = self._coming[arrived[-1]][1]
            del self._coming[: arrived[-1] + 1]

    def _plan(self, run: int, first_s: float, n: int) -> None:
        self._timeline.at(first_s + n * self._period_s, lambda: self._sample(run, first_s, n))

    def _sample(self, run: int, first_s: float, n: int) -> None:
        if run != self._run:
            return
        now_s = self._timeline.now_s()
        value, travel_s = self._take(), self._channel.travel_s(self._rng)
        if travel_s is not None:
            self._coming.append((now_s + travel_s, value))
        self._receive(now_s)
        # A program that did not sleep for a while gets one reading, not all that it has missed.
        self._plan(run, first_s, max(n + 1, int((now_s - first_s) / self._period_s) + 1))
