"""Keeping a rate by absolute deadlines, and telling how well it was kept."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

# Further behind than this the missed time is given up: a burst to catch up would help nobody.
GIVE_UP_S = 0.02
KEPT = 100_000


@dataclass(frozen=True)
class PaceReport:
    """How a stretch of ticks went.

    Attributes:
        ticks: how many.
        rate_hz: on average.
        work_ms: median, 99th percentile and largest time spent in a tick, without waiting.
        late_ms: the same of how long after its deadline a tick began.
        given_up: how often the loop was so late that it started counting anew.
    """

    ticks: int
    rate_hz: float
    work_ms: tuple[float, float, float]
    late_ms: tuple[float, float, float]
    given_up: int

    def line(self) -> str:
        """One line for a terminal."""
        work, late = (" / ".join(f"{v:.2f}" for v in values) for values in (self.work_ms, self.late_ms))
        return (
            f"{self.ticks} ticks at {self.rate_hz:.0f} Hz; p50 / p99 / max in ms: work {work}, late {late}; "
            f"{self.given_up} times more than {1e3 * GIVE_UP_S:.0f} ms behind"
        )


@dataclass
class Pace:
    """Deadlines of a loop.

    Attributes:
        period_s: between ticks; zero runs as fast as it goes.
    """

    period_s: float
    _deadline_s: float = field(default_factory=time.perf_counter)
    _began_s: float = field(default_factory=time.perf_counter)
    _since_s: float = field(default_factory=time.perf_counter)
    _work_s: list[float] = field(default_factory=list)
    _late_s: list[float] = field(default_factory=list)
    _ticks: int = 0
    _given_up: int = 0

    def wait(self) -> None:
        """Sleep until the next deadline; call at the top of the loop."""
        self._deadline_s += self.period_s
        now = time.perf_counter()
        if now < self._deadline_s:
            time.sleep(self._deadline_s - now)
            now = time.perf_counter()
        late = now - self._deadline_s
        if late > GIVE_UP_S and self.period_s > 0.0:
            self._given_up += 1
            self._deadline_s = now
        if len(self._late_s) < KEPT:
            self._late_s.append(late if self.period_s > 0.0 else 0.0)
        self._began_s = now

    def done(self, waited_s: float = 0.0) -> None:
        """End of a tick's work.

        Args:
            waited_s: of it spent waiting for somebody else, by which later deadlines move.
        """
        self._deadline_s += waited_s
        self._ticks += 1
        if len(self._work_s) < KEPT:
            self._work_s.append(time.perf_counter() - self._began_s - waited_s)

    def report(self) -> PaceReport:
        """What happened since the last report; begins a new stretch."""
        now = time.perf_counter()
        out = PaceReport(
            self._ticks,
            self._ticks / max(now - self._since_s, 1e-9),
            _spread_ms(self._work_s),
            _spread_ms(self._late_s),
            self._given_up,
        )
        self._since_s, self._ticks, self._given_up = now, 0, 0
        self._work_s.clear()
        self._late_s.clear()
        return out


def _spread_ms(samples_s: list[float]) -> tuple[float, float, float]:
    if not samples_s:
        return (0.0, 0.0, 0.0)
    median, high, top = 1e3 * np.percentile(samples_s, (50, 99, 100))
    return (float(median), float(high), float(top))
