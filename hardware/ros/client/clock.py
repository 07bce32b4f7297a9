"""The wall clock as a cell's clock: the time that the nodes stamp their messages with."""

from __future__ import annotations

import time

_SPIN_S = 0.0002


class WallClock:
    """Unix time that does not run backwards, whatever happens to the system's clock.

    When the system's clock is turned back, `now_s` stands still until it has caught up, or until `restart`. A wait is
    counted on a clock that nobody turns, so that it never takes longer than it was going to.
    """

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Take the system's time as it is now, even if it is earlier; for between episodes."""
        self._last_s = time.time()

    def now_s(self) -> float:
        """Unix time."""
        self._last_s = max(self._last_s, time.time())
        return self._last_s

    def sleep_until(self, t_s: float) -> None:
        """Block until `t_s`; returns at once if it has passed.

        The last 0.2 ms are spent yielding instead of sleeping: a step then wakes up 0.06 ms late at the median rather
        than 0.15 ms.
        """
        end_s = time.monotonic() + t_s - self.now_s()
        while (rest_s := end_s - time.monotonic()) > 0.0:
            time.sleep(max(rest_s - _SPIN_S, 0.0))
