"""The actor process: acts with the newest parameters, writes to its own disk, sends records. Loads no JAX.

Started by the learner as ``python -m robot_rl.runtime.actor.process``, or by hand on any machine as ``robot-rl act``.
It needs no run folder: the configuration comes with the learner's welcome. It may be killed at any time; its successor
sends what it left. It exits with code 0 when the learner says stop or on SIGTERM, 2 with one sentence when it cannot
go on.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

from robot_rl.core.config import from_dict, parse_yaml
from robot_rl.core.errors import ConfigError, DeviceError, RobotRlError
from robot_rl.runtime.actor.loop import Actor
from robot_rl.runtime.actor.side import Side
from robot_rl.runtime.actor.spool import LIMIT_BYTES, MIN_FREE_BYTES, Spool
from robot_rl.runtime.attend.seat import Attended
from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.environment import Env
from robot_rl.runtime.pictures import open_eyes
from robot_rl.runtime.seeds import FIRST_ACTOR
from robot_rl.runtime.stop import ParentFlag, StopFlag, stop_on_signals
from robot_rl.runtime.tasks import check_health, open_env, open_pair
from robot_rl.runtime.transport.keys import load_actor_keys
from robot_rl.runtime.transport.link import Link
from robot_rl.runtime.transport.messages import Welcome
from robot_rl.runtime.transport.sockets import next_port
from robot_rl.runtime.turns import Turns
from robot_rl.vision.eyes import Eyes

REMIND_EVERY_S = 30.0
PREDECESSOR_S = 30.0
WAIT_S = 0.1


@dataclass(frozen=True)
class ActorOptions:
    """How an actor reaches its learner, or the two learners of a pair.

    Attributes:
        learner: endpoint for records, ``tcp://HOST:PORT``.
        spool: folder of all spools on this disk.
        parameters: endpoint for parameters; empty for one port higher.
        pair: endpoint for records of the other learner of a pair; empty for two ports above `learner`.
        pair_parameters: endpoint for parameters of that one; empty for one port higher.
        name: of this actor within the run; empty for the name its key was made for, or ``a0`` without keys.
        keys: folder of this actor's keys; needed unless the learner is on this machine.
        patience_s: how long a learner may be silent before the actor gives up.
        spool_limit_bytes: how much may wait for a learner before no new episode is begun.
        min_free_bytes: how much of the spool's disk stays free.
        predecessor_s: how long to wait for another process that is this actor and may be about to end.
        require_healthy: refuse a cell that is not fit to train on.
        encoder: the run's frozen encoder as it lies on this machine, such as ``resnet10:FILE``; empty for the name
            that the learner uses.
    """

    learner: str
    spool: Path
    parameters: str = ""
    pair: str = ""
    pair_parameters: str = ""
    name: str = ""
    keys: Path | None = None
    patience_s: float = math.inf
    spool_limit_bytes: float = LIMIT_BYTES
    min_free_bytes: float = MIN_FREE_BYTES
    predecessor_s: float = 0.0
    require_healthy: bool = False
    encoder: str = ""


@dataclass(frozen=True)
class Joined:
    """A run that took this actor in.

    Attributes:
        link: to its learner.
        run_id: of the run.
        config: of the run.
    """

    link: Link
    run_id: str
    config: TrainConfig


def act(options: ActorOptions, stop: StopFlag) -> None:
    """Join a learner, or the two of a pair, and act until one says stop or the flag is set.

    Raises:
        ConfigError: the endpoint, the keys or the name do not fit, this actor runs already, the run's cell is not
            described on this machine, or two learners are not those of one pair.
        StorageError: the spool's disk refuses; the environment is closed by then and every step written is kept.
        DeviceError: the environment or a learner is gone, or a learner refuses this actor.
    """
    keys = load_actor_keys(options.keys) if options.keys is not None else None
    if keys is not None and options.name not in ("", keys.name):
        raise ConfigError(f"the keys in {options.keys} were made for the actor {keys.name!r}, not {options.name!r}")
    name = options.name or (keys.name if keys is not None else FIRST_ACTOR)
    # Closed in the reverse order: first the robot, then everything else.
    with ExitStack() as stack:
        joined: list[Joined] = []
        for endpoint, parameters in _addresses(options):
            if joined and not joined[0].config.pair:
                break
            link = Link(name, endpoint, parameters, keys=keys)
            stack.callback(link.close)
            welcome = _wait_for_welcome(link, endpoint, options, stop)
            if welcome is None:
                return
            config = _as_here(
                from_dict(TrainConfig, parse_yaml(welcome.config, "the learner's configuration")), options
            )
            joined.append(Joined(link, welcome.run_id, config))
        _check_joined([one.config for one in joined], options)
        if options.require_healthy:
            check_health(joined[0].config, options.spool)
        spools = [stack.enter_context(closing(_spool(options, one.run_id, name))) for one in joined]
        eyes = [_open_eyes(one.config, stack) for one in joined]
        envs, turns = _open(joined[0].config)
        stack.callback(envs[0].close)
        run_id, *others = [one.run_id for one in joined]
        attended = stack.enter_context(closing(Attended(run_id, name, *others)))
        sides = [
            Side(name, one.run_id, one.config, env, one.link, spool, attended, sees)
            for one, env, spool, sees in zip(joined, envs, spools, eyes, strict=True)
        ]
        Actor(sides, attended, turns, patience_s=options.patience_s).run(stop)


def _addresses(options: ActorOptions) -> Iterator[tuple[str, str]]:
    """Endpoints for records and parameters: of the learner, and of the other one if there is one."""
    yield options.learner, options.parameters
    yield options.pair or next_port(next_port(options.learner)), options.pair_parameters


def _as_here(config: TrainConfig, options: ActorOptions) -> TrainConfig:
    if not options.encoder:
        return config
    if not config.pictures.frozen:
        raise ConfigError(f"--encoder is {options.encoder}, but the run has no frozen encoder: leave it out")
    return replace(config, pictures=replace(config.pictures, encoder=options.encoder))


def _open_eyes(config: TrainConfig, stack: ExitStack) -> Eyes | None:
    eyes = open_eyes(config.pictures, copies=1)
    if eyes is not None:
        stack.callback(eyes.close)
    return eyes


def _open(config: TrainConfig) -> tuple[Sequence[Env], Turns | None]:
    if not config.pair:
        return (open_env(config),), None
    envs = open_pair(config)
    return envs, Turns(envs)


def _check_joined(configs: Sequence[TrainConfig], options: ActorOptions) -> None:
    first, other = configs[0], configs[-1]
    if options.pair and not first.pair:
        raise ConfigError(f"the learner at {options.learner} trains {first.task} alone: leave out the other learner")
    if first.pair and (first.pair, first.task) != (other.task, other.pair):
        raise ConfigError(
            f"the learner at {options.learner} trains {first.task} and waits for {first.pair}, but the other one "
            f"trains {other.task}: give the two learners of one pair"
        )


def _spool(options: ActorOptions, run_id: str, name: str) -> Spool:
    return Spool(
        options.spool,
        run_id,
        name,
        limit_bytes=options.spool_limit_bytes,
        min_free_bytes=options.min_free_bytes,
        wait_s=options.predecessor_s,
    )


def _wait_for_welcome(link: Link, endpoint: str, options: ActorOptions, stop: StopFlag) -> Welcome | None:
    start_s = reminded_s = time.monotonic()
    while not stop.requested:
        status = link.status
        if status.refused or status.problem:
            raise DeviceError(status.refused or status.problem)
        if status.welcome is not None:
            return status.welcome
        now = time.monotonic()
        if now - start_s > options.patience_s:
            raise DeviceError(f"no learner has answered at {endpoint} for {now - start_s:.0f} s")
        if now - reminded_s > REMIND_EVERY_S:
            reminded_s = now
            hint = "is it running" + ("?" if options.keys is None else ", and does it know this actor's key?")
            print(f"waiting for the learner at {endpoint}: {hint}", flush=True)
        link.wait(WAIT_S)
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the child process; returns the exit code."""
    parser = argparse.ArgumentParser(prog="robot_rl.runtime.actor.process", description=__doc__)
    parser.add_argument("--learner", required=True, help="endpoint of the learner for records")
    parser.add_argument("--parameters", default="", help="endpoint of the learner for parameters")
    parser.add_argument("--pair", default="", help="endpoint of the other learner of a pair for records")
    parser.add_argument("--pair-parameters", default="", help="endpoint of that learner for parameters")
    parser.add_argument("--spool", type=Path, required=True, help="folder of all spools")
    parser.add_argument("--name", default=FIRST_ACTOR, help="name of this actor within the run")
    parser.add_argument("--parent", type=int, default=0, help="end when this process is no longer the parent")
    args = parser.parse_args(argv)
    try:
        with stop_on_signals() as stop:
            flag = ParentFlag(args.parent, stop) if args.parent else stop
            other = {"pair": args.pair, "pair_parameters": args.pair_parameters}
            act(ActorOptions(args.learner, args.spool, args.parameters, name=args.name, **other), flag)
    except RobotRlError as e:
        print(f"robot-rl actor: {e}", file=sys.stderr, flush=True)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
