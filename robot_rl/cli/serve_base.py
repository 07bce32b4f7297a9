"""``robot-rl serve-base BASE``: a base policy for programs on this or another machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Annotated

import tyro

from robot_rl.cli.arguments import parse

LOOK_S = 0.1


@dataclass(frozen=True)
class ServeBaseArguments:
    """Serve a base policy over HTTP, so that a robot without PyTorch or a GPU can ask it: --base http://HOST:PORT.

    Only this machine may ask, unless the environment variable ROBOT_RL_BASE_KEY holds a key of at least 16 characters,
    the same one on both sides. Questions and answers are signed with it, not encrypted.

    Attributes:
        base: a run of robot-rl bc or one of its checkpoints, torchscript:FILE.pt or lerobot:FOLDER.
        host: address to listen on; any but this machine's own needs the key.
        port: to listen on; 0 for a free one.
    """

    base: Annotated[str, tyro.conf.Positional]
    host: str = "127.0.0.1"
    port: int = 8765


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    a: ServeBaseArguments = parse(ServeBaseArguments, argv, verb="serve-base")
    from robot_rl.policies.base.adapters.serving import BaseServer, check_key
    from robot_rl.policies.base.adapters.wire import key_from_environment
    from robot_rl.policies.base.open import open_base
    from robot_rl.runtime.stop import stop_on_signals

    key = key_from_environment()
    check_key(a.host, key)
    with (
        stop_on_signals() as stop,
        closing(open_base(a.base)) as base,
        closing(BaseServer(base, a.host, a.port, key)) as server,
    ):
        thread = threading.Thread(target=server.serve, name="serve base", daemon=True)
        thread.start()
        info = base.info
        print(f"{info.name} {info.checksum}, {info.horizon} steps at {info.hz:g} Hz: --base {server.url}", flush=True)
        while not stop.requested:
            time.sleep(LOOK_S)
        server.stop()
        thread.join()
    return 0
