"""``robot-rl console``: the page in the browser from which people record, watch, correct and look back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from robot_rl.cli.arguments import parse
from robot_rl.core.errors import ConfigError

DESCRIPTION = """\
Serve the operator's page: the cell in 3-D with its pictures and curves, take-over by keys, touch or a handle that is
dragged, marks for episodes, recordings and trainings to start, and every logged episode to play.

It attends to whatever acts on this machine for this user: `robot-rl train`, `robot-rl act`, `robot-rl demos record
--device console`. Several may watch, one is in charge. docs/operator.md shows it.
"""
TOKEN = "ROBOT_RL_TOKEN"


@dataclass(frozen=True)
class ConsoleArguments:
    """Arguments of ``robot-rl console``.

    Attributes:
        folder: of the runs.
        host: address to listen on; for people on other machines, 0.0.0.0 together with a token.
        port: to listen on; 0 for any that is free.
        token: what people must type once to come in; also from the environment variable ROBOT_RL_TOKEN, where other
            users of this machine do not see it. What they send is not encrypted: use it in a network that you trust,
            or behind a proxy with TLS.
        mode: hold takes over while keys, buttons or the handle are held; latch until the space bar is pressed again.
    """

    folder: Path = Path("runs")
    host: str = "127.0.0.1"
    port: int = 8080
    token: str | None = None
    mode: Literal["hold", "latch"] = "hold"


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    a: ConsoleArguments = parse(ConsoleArguments, argv, verb="console", description=DESCRIPTION)
    try:
        from robot_rl.console.app import Console, ConsoleOptions
    except ModuleNotFoundError as e:
        raise ConfigError(f"the console needs {e.name}: pip install 'robot-rl[console]'") from e
    from robot_rl.runtime.stop import stop_on_signals

    options = ConsoleOptions(a.folder, a.host, a.port, a.token or os.environ.get(TOKEN), a.mode)
    with stop_on_signals() as stop, closing(Console(options)) as console:
        print(f"console: {console.url}   (Ctrl-C ends it; what it started goes on)", flush=True)
        console.run(stop)
    return 0
