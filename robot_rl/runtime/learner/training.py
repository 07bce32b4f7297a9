"""A session from its beginning or its last checkpoint to its end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from robot_rl.core.errors import StorageError
from robot_rl.runtime.learner.resume import resume
from robot_rl.runtime.learner.session import Session
from robot_rl.runtime.stop import StopFlag


def see_through(
    session: Session, learn: Callable[[], bool], stop: StopFlag, *, resumed: bool, accept_loss: bool
) -> bool:
    """Begin or go on, learn, note in ``run.json`` how it ended, and close the session.

    Args:
        session: nothing done with it yet.
        learn: trains it; whether it came to its end.
        stop: somebody asks to stop.
        resumed: go on with what the run folder holds.
        accept_loss: although its log lacks steps.

    Returns:
        Whether the run came to its end.
    """
    status = "failed"
    try:
        if resumed and resume(session, accept_loss=accept_loss):
            c = session.learner.counters
            session.event(f"resumed at environment step {c.env_steps:,}, update {c.updates:,}")
        elif not resumed and (steps := session.begin()):
            episodes = len(list(session.run.demos.glob("*.mcap")))
            session.note(f"{episodes} demonstrations, {steps:,} steps")
        finished = not stop.requested and learn()
        status = "finished" if finished else "interrupted"
        session.show(force=True)
    finally:
        with suppress(StorageError):  # a full disk has been reported by what met it first
            session.finish(status)
        session.close()
    return finished
