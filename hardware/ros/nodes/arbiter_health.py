"""How the arbiter is: its pace, what it rejected, what limits the target now; as one line of diagnostics."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping

import numpy as np

from robot_rl.controllers.arbiter import Mode, Output, SafetyArbiter
from robot_rl.hardware.ros.node import Health, Level

_KEPT = 1000
_LATE = 1.5
_MANY_LATE = 0.05


class TickPace:
    """Times between ticks, of the last ten seconds at 100 Hz.

    Args:
        period_s: how long they should be; one that is half as long again counts as late.
    """

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._periods_s: deque[float] = deque(maxlen=_KEPT)
        self._last_s: float | None = None
        self.late = 0

    def note(self) -> float:
        """A tick begins; seconds since the one before it, 0 for the first."""
        now_s = time.monotonic()
        period_s = 0.0 if self._last_s is None else now_s - self._last_s
        if self._last_s is not None:
            self._periods_s.append(period_s)
            self.late += period_s > _LATE * self._period_s
        self._last_s = now_s
        return period_s

    @property
    def bad(self) -> bool:
        """Whether more than a twentieth of the last ticks were late."""
        late = sum(period_s > _LATE * self._period_s for period_s in self._periods_s)
        return late > _MANY_LATE * max(len(self._periods_s), 100)

    def facts(self) -> dict[str, object]:
        """Percentiles in ms, and how many ticks were late since the start."""
        if not self._periods_s:
            return {"late_ticks": self.late}
        p50, p99, worst = np.percentile(self._periods_s, [50, 99, 100]) * 1e3
        return {
            "tick_p50_ms": f"{p50:.2f}",
            "tick_p99_ms": f"{p99:.2f}",
            "tick_max_ms": f"{worst:.2f}",
            "late_ticks": self.late,
        }


class LimitLog:
    """Which layers changed the target during the last second."""

    def __init__(self) -> None:
        self._seen_s: dict[str, float] = {}

    def note(self, layers: frozenset[str], t_s: float) -> None:
        """Layers that act now."""
        for layer in layers:
            self._seen_s[layer] = t_s

    def recent(self, t_s: float) -> list[str]:
        """Those of the last second, in alphabetical order."""
        return sorted(layer for layer, seen_s in self._seen_s.items() if t_s - seen_s <= 1.0)


def arbiter_health(
    arbiter: SafetyArbiter, out: Output | None, pace: TickPace, limited: list[str], ages_s: Mapping[str, float]
) -> Health:
    """One line of diagnostics.

    Args:
        arbiter: whose state it is.
        out: of its last tick.
        pace: of its ticks.
        limited: layers of the last second.
        ages_s: of what it reads, by topic.
    """
    faults = arbiter.faults
    values: dict[str, object] = {
        "mode": arbiter.mode.value,
        "faults": ", ".join(fault.name for fault in faults),
        "in_charge": (out.in_charge if out is not None else None) or "",
        "limited": ", ".join(limited),
        **pace.facts(),
        **{f"age_s.{topic}": f"{age_s:.3f}" for topic, age_s in ages_s.items()},
        **{f"count.{name}": count for name, count in sorted(arbiter.counts.items())},
    }
    if arbiter.mode in (Mode.FAULT, Mode.STOPPED):
        return Health(Level.ERROR, f"{faults[0].name}: {faults[0].reason}", values)
    if not ages_s:
        return Health(Level.WARN, "no state of the arm was heard yet", values)
    if pace.bad:
        return Health(Level.WARN, "more than 5 % of the last ticks came late: the machine is busy", values)
    return Health(Level.OK, arbiter.mode.value, values)
