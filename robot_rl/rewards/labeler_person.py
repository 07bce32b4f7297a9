"""A person compares: one pair at a time, left and right by chance, wherever he sees it and whoever he is."""

from __future__ import annotations

import queue
import secrets
import threading
import time
from dataclasses import dataclass, replace

from robot_rl.rewards.labelers import Back, Enough, Shown
from robot_rl.rewards.preferences import EQUAL, FIRST, REFUSED, SECOND, Answer

LEFT, RIGHT, SAME, UNKNOWN, UNDO, STOP = "left", "right", "same", "unknown", "undo", "stop"
_ANSWERS = {
    LEFT: Answer(FIRST, 0.0, calls=1),
    RIGHT: Answer(SECOND, 1.0, calls=1),
    SAME: Answer(EQUAL, 0.5, calls=1),
    UNKNOWN: Answer(REFUSED, None, "cannot tell", calls=1),
}
SAYINGS = (*_ANSWERS, UNDO, STOP)
"""What a person can say to a question."""


@dataclass(frozen=True)
class Asked:
    """A question that waits for its answer.

    Attributes:
        id: of this question; no other has it, also if the same pair is asked again.
        shown: what there is to see, the left clip first.
    """

    id: str
    shown: Shown


class PersonLabeler:
    """Waits for a person. Questions are put by one thread; `say` may be called by any.

    Args:
        by: who answers, where nothing else is said.
    """

    both_orders = False
    parallel = 1

    def __init__(self, by: str = "person") -> None:
        self._default = self._by = by
        self._lock = threading.Lock()
        self._session, self._count = secrets.token_hex(4), 0
        self._asked: Asked | None = None
        self._closed = False
        self._said: queue.SimpleQueue[str] = queue.SimpleQueue()

    @property
    def name(self) -> str:
        """Who answered last."""
        return f"person:{self._by}"

    @property
    def asked(self) -> Asked | None:
        """What is asked now; None between two questions."""
        return self._asked

    def ask(self, shown: Shown) -> Answer:
        """Show a pair and wait; which clip is on the left is chosen by chance, so that a habit cancels out.

        Raises:
            Enough: the person wants to stop, or nobody can answer any more.
            Back: he takes back the answer before.
        """
        turned = bool(int(shown.pair.id, 16) & 1)
        began_s = time.monotonic()
        with self._lock:
            if self._closed:
                raise Enough("nobody can answer any more")
            self._count += 1
            self._asked = Asked(f"{self._session}-{self._count}", shown.swapped() if turned else shown)
        said = self._said.get()
        if said == STOP:
            raise Enough("whoever answers wants to stop; run again to go on")
        if said == UNDO:
            raise Back
        if turned:
            said = {LEFT: RIGHT, RIGHT: LEFT}.get(said, said)
        return replace(_ANSWERS[said], seconds=time.monotonic() - began_s)

    def say(self, question: str, saying: str, by: str = "") -> bool:
        """Answer a question, or say something else to it; the first word counts.

        Args:
            question: `Asked.id` of what was seen.
            saying: one of `SAYINGS`.
            by: who says it; empty for who answers otherwise.

        Returns:
            Whether it counts: that question waits still, and there is something to undo if that is what is said.
        """
        with self._lock:
            asked = self._asked
            if asked is None or asked.id != question or saying not in SAYINGS:
                return False
            if saying == UNDO and not asked.shown.answered:
                return False
            self._asked, self._by = None, by or self._default
            self._said.put(saying)
            return True

    def close(self) -> None:
        """Wait no longer. May be called twice."""
        with self._lock:
            self._closed = True
            if self._asked is not None:
                self._asked = None
                self._said.put(STOP)
