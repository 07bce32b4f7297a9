"""How far the learner is behind an actor, in time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from robot_rl.runtime.transport.fields import Place
from robot_rl.runtime.transport.stream import is_before

KEPT = 10_000


class Lag:
    """Measures from the moment a record is offered to the acknowledgement that covers it.

    One thread may offer while another acknowledges.

    Args:
        now_s: a clock that does not run backwards.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._waiting: deque[tuple[Place, float]] = deque(maxlen=KEPT)
        self._last_s = 0.0

    def offered(self, place: Place) -> None:
        """A record at this place of the stream is on its way."""
        self._waiting.append((place, self._now_s()))

    def acknowledged(self, cursor: Place | None) -> float:
        """The learner has everything up to here.

        Returns:
            Seconds that the newest record among it took, or that of the time before if there is none among it.
        """
        while cursor is not None and self._waiting and not is_before(cursor, self._waiting[0][0]):
            self._last_s = self._now_s() - self._waiting.popleft()[1]
        return self._last_s
