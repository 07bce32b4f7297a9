"""The learner's end of the wire without learning: takes records in, answers, publishes parameters."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from robot_rl.core.config import to_dict
from robot_rl.core.transition import StepRecord
from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.transport.parameters import ParameterPublisher
from robot_rl.runtime.transport.server import RecordServer
from robot_rl.runtime.transport.sockets import ANY_PORT, Secured, next_port
from robot_rl.runtime.transport.stream import Inbox, is_before
from robot_rl.runtime.transport.wire import Ack, Hello, Place, Refuse, Welcome
from tests.runtime.fakes import SPEC, tiny_config


def until(condition: Callable[[], object], limit_s: float = 30.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, f"nothing happened in {limit_s} s"
        time.sleep(0.001)


def policy_arrays() -> dict[str, Any]:
    """Parameters of an actor network of four units for `PointEnv`."""
    from robot_rl.agents.config import SacConfig
    from robot_rl.agents.sac import actor_params, init
    from tests.runtime.fakes import ACTIONS

    config = SacConfig(hidden=(4,))
    return actor_params(init(config, SPEC, ACTIONS, 0), config)


class StubLearner:
    """Archives in memory; a second one may be given what the first has archived."""

    def __init__(
        self,
        *,
        name: str = "learner1",
        run_id: str = "run",
        archive: list[StepRecord] | None = None,
        cursors: dict[str, Place] | None = None,
        records: str = ANY_PORT,
        parameters: str = ANY_PORT,
        remote: Secured | None = None,
        allowed: int = 10**6,
        config: TrainConfig | None = None,
    ) -> None:
        self.name, self.run_id, self.allowed, self.stop = name, run_id, allowed, False
        self.config = yaml.safe_dump(to_dict(config or tiny_config(lockstep=False)))
        self.archive = archive if archive is not None else []
        self.inbox = Inbox(cursors)
        self.hellos: list[Hello] = []
        self.server = RecordServer(run_id, records, remote=remote)
        beside = None if remote is None else Secured(next_port(self.server.remote_endpoint), remote.keys)
        self.publisher = ParameterPublisher(run_id, parameters, remote=beside)
        self.publisher.publish(1, {"w": np.zeros(3, np.float32)})

    def pump(self, timeout_s: float = 0.02) -> None:
        for message in self.server.receive(timeout_s):
            actor = message.actor
            if isinstance(message, Hello):
                self.hellos.append(message)
                if message.state_checksum not in ("", SPEC.checksum):
                    self.server.send(actor, Refuse(f"the state layout is {message.state_checksum} here"))
                    continue
                cursor, total = self.inbox.cursors.get(actor), len(self.archive)
                own = sum(f"-{actor}-" in r.episode_id for r in self.archive)
                self.server.send(actor, Welcome(self.run_id, self.name, self.config, cursor, own, total))
                self.acknowledge(actor, is_before(cursor, message.last))
            else:
                new, rewind = self.inbox.accept(message)
                self.archive.extend(new)
                self.acknowledge(actor, rewind)
        self.publisher.repeat()

    def acknowledge(self, actor: str, rewind: bool = False) -> None:
        cursor = self.inbox.cursors.get(actor)
        self.server.send(actor, Ack(self.name, cursor, rewind, self.allowed, len(self.archive), self.stop))

    def pump_until(self, condition: Callable[[], object]) -> None:
        def step() -> object:
            self.pump()
            return condition()

        until(step)

    def close(self) -> None:
        self.server.close()
        self.publisher.close()


class NoDisk:
    """A backlog that holds nothing."""

    def read_after(self, cursor: Place | None) -> Any:
        return iter(())

    def acknowledge(self, cursor: Place | None) -> None:
        pass


def keys_for(folder: Path, *actors: str) -> Path:
    from robot_rl.runtime.transport.keys import create_keys

    create_keys(folder, actors)
    return folder
