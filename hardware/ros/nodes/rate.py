"""How steadily readings come, for diagnostics."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

STALE_PERIODS = 20.0
STALE_S = 0.5


@dataclass(frozen=True)
class RateReport:
    """Readings since the last report.

    Attributes:
        hz: new readings per second.
        worst_gap_s: longest time between two of them.
        age_s: of the newest; infinite if there was none yet.
        stale: it is much older than it should be.
    """

    hz: float
    worst_gap_s: float
    age_s: float
    stale: bool

    def facts(self) -> dict[str, str]:
        """For `/diagnostics`."""
        return {"state_hz": f"{self.hz:.1f}", "worst_gap_ms": f"{1e3 * self.worst_gap_s:.1f}"}


class RateMeter:
    """Counts readings that are newer than those before.

    Args:
        period_s: between readings, if all is well.
        now_s: clock that their stamps are from.
    """

    def __init__(self, period_s: float, now_s: Callable[[], float] = time.time) -> None:
        self._stale_s = max(STALE_S, STALE_PERIODS * period_s)
        self._now_s = now_s
        self.start()

    def start(self) -> None:
        """Count from now."""
        self._since_s, self._n, self._worst_s = self._now_s(), 0, 0.0
        self._last_s: float | None = None

    def tick(self, t_s: float) -> None:
        """A reading of this time was published."""
        if self._last_s is not None:
            if t_s <= self._last_s:
                return
            self._worst_s = max(self._worst_s, t_s - self._last_s)
        self._last_s = t_s
        self._n += 1

    def report(self) -> RateReport:
        """How it went; begins a new stretch."""
        now_s = self._now_s()
        age_s = float("inf") if self._last_s is None else now_s - self._last_s
        hz = self._n / max(now_s - self._since_s, 1e-9)
        report = RateReport(hz, max(self._worst_s, age_s if self._n == 0 else 0.0), age_s, age_s > self._stale_s)
        self._since_s, self._n, self._worst_s = now_s, 0, 0.0
        return report
