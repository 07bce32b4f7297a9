"""What actors and the learner say to each other; `robot_rl.runtime.transport.wire` turns it into bytes and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from robot_rl.core.lateness import LatenessHistogram
from robot_rl.core.transition import StepRecord
from robot_rl.data.codec import unpack_record
from robot_rl.runtime.transport.fields import Place
from robot_rl.runtime.transport.health import LearnerHealth


@dataclass(frozen=True)
class Hello:
    """An actor introduces itself, and from then on says once a second that it lives; answered by `Welcome`.

    Attributes:
        run_id: of the run it belongs to, empty before the first `Welcome`.
        actor: its name within the run.
        session: random name of its process.
        host: name of its machine.
        last: place of the last record it has sent, None before the first.
        state_checksum: of its environment's state layout, empty until the environment is open.
        waited_s: how long this process of it has waited for the learner so far.
        lateness: of the steps this process has taken so far; empty where time stands still between two steps.
        put_back: how often an object had to be put back for the run since this process began; counted for pairs.
    """

    run_id: str
    actor: str
    session: str
    host: str
    last: Place | None = None
    state_checksum: str = ""
    waited_s: float = 0.0
    lateness: LatenessHistogram = field(default_factory=LatenessHistogram)
    put_back: int = 0


@dataclass(frozen=True)
class Welcome:
    """The learner takes an actor in.

    Attributes:
        run_id: of the run.
        learner: random name of the learner's process.
        config: the run's configuration as YAML, at most 256 KiB.
        cursor: last place the learner has of this actor, None before the first.
        actor_steps: environment steps the learner has of this actor, up to the cursor.
        env_steps: environment steps the learner has of all actors.
    """

    run_id: str
    learner: str
    config: str
    cursor: Place | None
    actor_steps: int
    env_steps: int


@dataclass(frozen=True)
class Refuse:
    """The learner does not take an actor in; readable by every version of the program.

    Attributes:
        reason: one sentence for the person in front of the actor.
    """

    reason: str


@dataclass(frozen=True)
class Records:
    """Consecutive records of an actor's stream.

    Attributes:
        run_id: of the run.
        actor: who sends.
        session: of the sender's process.
        previous: place of the record before the first one, None at the beginning of the stream.
        packed: records as bytes.
    """

    run_id: str
    actor: str
    session: str
    previous: Place | None
    packed: tuple[bytes, ...]

    def unpack(self) -> list[StepRecord]:
        """The records.

        Raises:
            DataError: one of them is not valid.
        """
        return [unpack_record(data) for data in self.packed]


@dataclass(frozen=True)
class Ack:
    """The learner has everything up to a place in its archive, and says how far the actor may go.

    Attributes:
        learner: random name of the learner's process.
        cursor: last place archived, None before the first record.
        rewind: something after the cursor is missing; send again from there.
        allowed: environment steps this actor may have taken in this run, those before a restart included.
        env_steps: environment steps the learner has received of all actors.
        stop: end the episode, send the rest, exit.
        health: of the learner.
    """

    learner: str
    cursor: Place | None
    rewind: bool
    allowed: int
    env_steps: int
    stop: bool = False
    health: LearnerHealth = field(default_factory=LearnerHealth)


@dataclass(frozen=True)
class Parameters:
    """Parameters of the acting policy; only the newest count.

    Attributes:
        run_id: of the run.
        version: number of update calls behind them.
        t_wall_s: Unix time of publication.
        arrays: by name.
    """

    run_id: str
    version: int
    t_wall_s: float
    arrays: Mapping[str, npt.NDArray[Any]]


Message = Hello | Welcome | Refuse | Records | Ack | Parameters
