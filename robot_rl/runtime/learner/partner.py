"""The other learner of a pair, as one of them sees it: its steps count for the end of both."""

from __future__ import annotations

import time

from robot_rl.runtime.learner.line import Endpoints, Line
from robot_rl.runtime.learner.session import Session

SAY_EVERY_S = 0.05


class Partner:
    """Keeps a session and the process that started both learners up to date.

    Args:
        line: to that process.
        session: of this learner.
        at: where to listen, if a predecessor listened there; None picks free ports.
    """

    def __init__(self, line: Line, session: Session, at: Endpoints | None = None) -> None:
        self.at = at
        self._line, self._session = line, session
        self._said, self._next_s = -1, 0.0

    def listening(self, at: Endpoints) -> None:
        """Say where the actor finds this learner."""
        self._line.say(records=at.records, parameters=at.parameters)

    def exchange(self) -> None:
        """Say how many steps there are, and hear how many the other one has."""
        now = time.monotonic()
        if now < self._next_s:
            return
        self._next_s = now + SAY_EVERY_S
        steps = self._session.learner.counters.env_steps
        if steps != self._said:
            self._line.say(env_steps=steps)
            self._said = steps
        elsewhere = self._line.hear().get("elsewhere")
        if isinstance(elsewhere, int):
            self._session.elsewhere = max(self._session.elsewhere, elsewhere)

    def ending(self) -> None:
        """Say that the actor is about to be told to end."""
        self._next_s = 0.0
        self.exchange()
        self._line.say(ending=True)
