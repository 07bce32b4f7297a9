"""The actor process: acts with the newest parameters, writes to its own disk, sends records. Loads no JAX.

Started by the learner as ``python -m robot_rl.runtime.actor.process``, or by hand on any machine as ``robot-rl act``.
It needs no run folder: the configuration comes with the learner's welcome. It may be killed at any time; its successor
sends what it left. It exits with code 0 when the learner says stop or on SIGTERM, 2 with one sentence when it cannot
go on.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from robot_rl.core.config import from_dict, parse_yaml
from robot_rl.core.errors import ConfigError, DeviceError, RobotRlError
from robot_rl.runtime.actor.loop import Actor
from robot_rl.runtime.actor.spool import LIMIT_BYTES, MIN_FREE_BYTES, Spool
from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.seeds import FIRST_ACTOR
from robot_rl.runtime.stop import StopFlag, stop_on_signals
from robot_rl.runtime.tasks import check_health, open_env
from robot_rl.runtime.transport.keys import load_actor_keys
from robot_rl.runtime.transport.link import Link
from robot_rl.runtime.transport.messages import Welcome

REMIND_EVERY_S = 30.0
PREDECESSOR_S = 30.0
WAIT_S = 0.1


@dataclass(frozen=True)
class ActorOptions:
    """How an actor reaches its learner.

    Attributes:
        learner: endpoint for records, ``tcp://HOST:PORT``.
        spool: folder of all spools on this disk.
        parameters: endpoint for parameters; empty for one port higher.
        name: of this actor within the run; empty for the name its key was made for, or ``a0`` without keys.
        keys: folder of this actor's keys; needed unless the learner is on this machine.
        patience_s: how long the learner may be silent before the actor gives up.
        spool_limit_bytes: how much may wait for the learner before no new episode is begun.
        min_free_bytes: how much of the spool's disk stays free.
        predecessor_s: how long to wait for another process that is this actor and may be about to end.
        require_healthy: refuse a cell that is not fit to train on.
    """

    learner: str
    spool: Path
    parameters: str = ""
    name: str = ""
    keys: Path | None = None
    patience_s: float = math.inf
    spool_limit_bytes: float = LIMIT_BYTES
    min_free_bytes: float = MIN_FREE_BYTES
    predecessor_s: float = 0.0
    require_healthy: bool = False


def act(options: ActorOptions, stop: StopFlag) -> None:
    """Join a learner and act until it says stop or the flag is set.

    Raises:
        ConfigError: the endpoint, the keys or the name do not fit, this actor runs already, or the run's cell is not
            described on this machine.
        StorageError: the spool's disk refuses; the environment is closed by then and every step written is kept.
        DeviceError: the environment or the learner is gone, or the learner refuses this actor.
    """
    keys = load_actor_keys(options.keys) if options.keys is not None else None
    if keys is not None and options.name not in ("", keys.name):
        raise ConfigError(f"the keys in {options.keys} were made for the actor {keys.name!r}, not {options.name!r}")
    name = options.name or (keys.name if keys is not None else FIRST_ACTOR)
    link = Link(name, options.learner, options.parameters, keys=keys)
    try:
        welcome = _wait_for_welcome(link, options, stop)
        if welcome is None:
            return
        config = from_dict(TrainConfig, parse_yaml(welcome.config, "the learner's configuration"))
        if options.require_healthy:
            check_health(config, options.spool)
        spool = Spool(
            options.spool,
            welcome.run_id,
            name,
            limit_bytes=options.spool_limit_bytes,
            min_free_bytes=options.min_free_bytes,
            wait_s=options.predecessor_s,
        )
        try:
            env = open_env(config)
            try:
                actor = Actor(name, welcome.run_id, config, env, link, spool, patience_s=options.patience_s)
                actor.run(stop)
            finally:
                # First the robot, then everything else.
                env.close()
        finally:
            spool.close()
    finally:
        link.close()


def _wait_for_welcome(link: Link, options: ActorOptions, stop: StopFlag) -> Welcome | None:
    start_s = reminded_s = time.monotonic()
    while not stop.requested:
        status = link.status
        if status.refused or status.problem:
            raise DeviceError(status.refused or status.problem)
        if status.welcome is not None:
            return status.welcome
        now = time.monotonic()
        if now - start_s > options.patience_s:
            raise DeviceError(f"no learner has answered at {options.learner} for {now - start_s:.0f} s")
        if now - reminded_s > REMIND_EVERY_S:
            reminded_s = now
            hint = "is it running" + ("?" if options.keys is None else ", and does it know this actor's key?")
            print(f"waiting for the learner at {options.learner}: {hint}", flush=True)
        link.wait(WAIT_S)
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the child process; returns the exit code."""
    parser = argparse.ArgumentParser(prog="robot_rl.runtime.actor.process", description=__doc__)
    parser.add_argument("--learner", required=True, help="endpoint of the learner for records")
    parser.add_argument("--parameters", default="", help="endpoint of the learner for parameters")
    parser.add_argument("--spool", type=Path, required=True, help="folder of all spools")
    parser.add_argument("--name", default=FIRST_ACTOR, help="name of this actor within the run")
    parser.add_argument("--parent", type=int, default=0, help="end when this process is no longer the parent")
    args = parser.parse_args(argv)
    try:
        with stop_on_signals() as stop:
            flag = ParentFlag(args.parent, stop) if args.parent else stop
            act(ActorOptions(args.learner, args.spool, args.parameters, args.name), flag)
    except RobotRlError as e:
        print(f"robot-rl actor: {e}", file=sys.stderr, flush=True)
        return 2
    return 0


class ParentFlag(StopFlag):
    """Also set when the process that started this one is gone."""

    def __init__(self, parent: int, inner: StopFlag) -> None:
        self._parent = parent
        self._inner = inner

    @property
    def requested(self) -> bool:  # type: ignore[override]
        """Somebody asked to end, or nobody is left who could."""
        return self._inner.requested or self._orphaned

    @property
    def urgent(self) -> bool:  # type: ignore[override]
        """Somebody asked again, or nobody is left to send anything to."""
        return self._inner.urgent or self._orphaned

    @property
    def _orphaned(self) -> bool:
        return os.getppid() != self._parent


if __name__ == "__main__":
    sys.exit(main())
