"""How a learner does, as its actors are told and pass on to people who watch."""

from __future__ import annotations

from dataclasses import dataclass

from robot_rl.runtime.transport.fields import Fields


@dataclass(frozen=True)
class LearnerHealth:
    """How the learner does, for people who watch an actor of it.

    Attributes:
        updates: update calls made.
        updates_per_s: of late.
        utd: critic gradient steps per environment step so far.
        utd_target: what it should be.
        value: what the critics think of this actor's newest archived step; None if there is none or no critic.
    """

    updates: int = 0
    updates_per_s: float = 0.0
    utd: float = 0.0
    utd_target: float = 0.0
    value: float | None = None


def read_health(fields: Fields, name: str) -> LearnerHealth | None:
    """The inverse of ``vars`` in a field of a message, or nothing.

    Raises:
        DataError: it is something else.
    """
    if fields.missing(name):
        return None
    inner = fields.nested(name)
    health = LearnerHealth(
        inner.count("updates"),
        inner.number("updates_per_s"),
        inner.number("utd"),
        inner.number("utd_target"),
        None if inner.missing("value") else inner.number("value"),
    )
    inner.finish(name)
    return health
