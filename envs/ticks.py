"""When control steps are due: on a fixed grid, which begins anew where a step comes too late for it."""

from __future__ import annotations

from robot_rl.core.protocols import Clock


class ControlTicks:
    """The ticks of one environment. `plan` a step when it is commanded, then `wait` for its tick.

    In lock-step the clock stands still between two calls, so a tick is where the clock woke up last and nothing is ever
    late. Elsewhere the tick of a step is one period after the one before, however late that one woke up, so that
    lateness does not add up. A step that is commanded later than half a period before its tick has missed it: it gets
    a whole period from now, and so do the steps after it.

    Args:
        clock: of the cell.
        hz: ticks per second.
        lockstep: as `robot_rl.core.protocols.Cell.lockstep`.

    Attributes:
        now_s: when the clock woke up last.
        late_s: how long after its tick that was; 0 in lock-step.
        missed: the newest step had missed its tick.
    """

    def __init__(self, clock: Clock, hz: float, *, lockstep: bool) -> None:
        self._clock, self._period_s, self._lockstep = clock, 1.0 / hz, lockstep
        self.now_s = self._tick_s = 0.0
        self.late_s = 0.0
        self.missed = False
        self._anew = True

    def start(self) -> None:
        """An episode begins now; its first step is due one period after it is commanded."""
        self.now_s = self._tick_s = self._clock.now_s()
        self.late_s, self.missed = 0.0, False
        self._anew = True

    def begin_anew(self) -> None:
        """The next step comes whenever it comes: it is not late, and the grid begins with it."""
        self._anew = True

    def plan(self) -> None:
        """A step is commanded now."""
        tick_s = self._tick_s + self._period_s
        self.missed = False
        if not self._lockstep:
            now_s = self._clock.now_s()
            late = now_s > tick_s - 0.5 * self._period_s
            self.missed = late and not self._anew
            if late or self._anew:
                tick_s = now_s + self._period_s
        self._anew = False
        self._tick_s = tick_s

    def wait(self) -> None:
        """Sleep until the tick of the planned step."""
        self._clock.sleep_until(self._tick_s)
        self.now_s = self._clock.now_s()
        if self._lockstep:
            self._tick_s = self.now_s
        else:
            self.late_s = max(0.0, self.now_s - self._tick_s)
