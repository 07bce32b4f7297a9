"""Updates on demonstrations before the first environment step."""

from __future__ import annotations

from robot_rl.runtime.learner.session import Session
from robot_rl.runtime.stop import StopFlag


def warm_up(session: Session, stop: StopFlag) -> None:
    """Make what is left of `PaceConfig.warmup_updates`, unless somebody asks to stop or there are no demonstrations."""
    learner = session.learner
    while learner.counters.warmup_updates < session.config.pace.warmup_updates and learner.can_sample:
        if stop.requested:
            return
        learner.warm_up()
        session.after_update()
        session.show(warming=True)
