"""``robot-rl act``: act for a learner on this or another machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from robot_rl.cli.arguments import parse
from robot_rl.core.errors import ConfigError

DESCRIPTION = """\
Act for a learner: open the run's cell here, run the newest policy, send what happens.

The configuration comes from the learner, so nothing of its run folder is needed; if it names a cell's YAML, that file
must be here. Every step is written to the spool
before it is sent and stays there until the learner has it. SIGTERM and Ctrl-C end the episode and then the program.
docs/network.md describes keys and faults.
"""


@dataclass(frozen=True)
class ActArguments:
    """Arguments of ``robot-rl act``.

    Attributes:
        learner: where `robot-rl train` listens for records, tcp://HOST:PORT; parameters come from the port after it.
        pair: where the other learner of a pair of tasks does; None for two ports above the first.
        name: of this actor within the run; None takes the name its key was made for, or a0 without keys.
        keys: folder of this actor's keys, made by `robot-rl keys create`; needed unless HOST is 127.0.0.1.
        spool: folder for steps that the learner does not have yet; None for ~/.local/state/robot_rl/spool.
        spool_gb: how much may wait there before no new episode is begun, in GB.
        min_free_gb: how much of its disk stays free, in GB.
        patience_s: give up when the learner has been silent for so long, in seconds; by default never.
        require_healthy: look at the cell first, as `robot-rl doctor CELL` does, and refuse if something is bad.
        encoder: the run's frozen encoder as it lies on this machine, such as ``resnet10:FILE``; by default under the
            name that the learner uses.
    """

    learner: str
    pair: str | None = None
    name: str | None = None
    keys: Path | None = None
    spool: Path | None = None
    spool_gb: float = 20.0
    min_free_gb: float = 1.0
    patience_s: float = math.inf
    require_healthy: bool = False
    encoder: str = ""


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    a: ActArguments = parse(ActArguments, argv, verb="act", description=DESCRIPTION)
    from robot_rl.runtime.actor.process import ActorOptions, act
    from robot_rl.runtime.actor.spool import default_spool
    from robot_rl.runtime.stop import stop_on_signals
    from robot_rl.runtime.transport.fields import is_name

    if a.name is not None and not is_name(a.name):
        raise ConfigError(f"--name is {a.name!r}, expected up to 64 letters, digits and _.-")
    for flag, value in (("--spool-gb", a.spool_gb), ("--min-free-gb", a.min_free_gb), ("--patience-s", a.patience_s)):
        if not value >= 0:
            raise ConfigError(f"{flag} is {value}, expected at least 0")
    options = ActorOptions(
        learner=a.learner,
        spool=a.spool if a.spool is not None else default_spool(),
        pair=a.pair or "",
        name=a.name or "",
        keys=a.keys,
        patience_s=a.patience_s,
        spool_limit_bytes=a.spool_gb * 1e9,
        min_free_bytes=a.min_free_gb * 1e9,
        require_healthy=a.require_healthy,
        encoder=a.encoder,
    )
    with stop_on_signals() as stop:
        act(options, stop)
    return 0
