"""What an actor knows about its learner at one moment."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from robot_rl.runtime.transport.fields import Place
from robot_rl.runtime.transport.health import LearnerHealth
from robot_rl.runtime.transport.messages import Welcome


@dataclass(frozen=True)
class LinkStatus:
    """A snapshot of a `robot_rl.runtime.transport.link.Link`; ages grow while it is held.

    Attributes:
        welcome: the newest answer to an introduction, None before the first.
        admitted: the learner has welcomed this actor with its run and state layout.
        cursor: last place the learner has.
        allowed: environment steps this actor may have taken in this run.
        env_steps: environment steps the learner has of all actors.
        stop: the learner wants this actor to end.
        refused: why the learner does not want this actor, or empty.
        problem: why the link cannot go on, for example a disk that does not answer, or empty.
        heard_s: monotonic time of the last answer, or of the start.
        policy_heard_s: monotonic time at which the learner last said which parameters are the newest.
        rewinds: how often records had to be sent again.
        rejected: messages that could not be used.
        lost: records that stay behind because the beginning of their episode cannot be read any more.
        health: of the learner, as it said last.
        lag_s: how long the newest acknowledged record took from the control loop to the learner's disk and back.
    """

    heard_s: float
    policy_heard_s: float
    welcome: Welcome | None = None
    admitted: bool = False
    cursor: Place | None = None
    allowed: int = 0
    env_steps: int = 0
    stop: bool = False
    refused: str = ""
    problem: str = ""
    rewinds: int = 0
    rejected: int = 0
    lost: int = 0
    health: LearnerHealth = field(default_factory=LearnerHealth)
    lag_s: float = 0.0

    @property
    def silent_s(self) -> float:
        """Time since the learner last answered."""
        return time.monotonic() - self.heard_s

    @property
    def policy_age_s(self) -> float:
        """Time since the learner last said that the newest parameters received are its newest."""
        return time.monotonic() - self.policy_heard_s
