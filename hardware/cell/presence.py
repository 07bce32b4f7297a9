"""Who runs which part of a cell on this machine.

A name in the abstract socket space: the kernel frees it however its holder dies, no file is left behind, and it is
known exactly where the cell's loopback sockets are, so also across users and containers that share them.
"""

from __future__ import annotations

import hashlib
import socket
import struct
import time

from robot_rl.core.errors import ConfigError
from robot_rl.hardware.cell.description import CellConfig
from robot_rl.hardware.cell.environment import domain_of

SUPERVISOR = "supervisor"
_POLL_S = 0.05
_LONGEST = 100
_CREDENTIALS = struct.Struct("3i")


class Presence:
    """Says that this process runs a part of a cell; held until `close` or the end of the process.

    Args:
        config: the cell.
        part: name of a node, or `SUPERVISOR`.
        wait_s: how long to wait for a predecessor to be gone.

    Raises:
        ConfigError: another process runs it; says which.
    """

    def __init__(self, config: CellConfig, part: str, *, wait_s: float = 0.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        end_s = time.monotonic() + wait_s
        while True:
            try:
                self._socket.bind(_address(config, part))
                self._socket.listen()
                return
            except OSError:
                if time.monotonic() < end_s:
                    time.sleep(_POLL_S)
                    continue
                self._socket.close()
                raise ConfigError(
                    f"{_named(running(config, part))} already runs the {part} of /{config.name} "
                    f"on domain {domain_of(config)}: end it first, or give the cell another name"
                ) from None

    def close(self) -> None:
        """Let others run it. May be called twice."""
        self._socket.close()


def running(config: CellConfig, part: str) -> int | None:
    """Process that runs a part of a cell on this machine; 0 if it cannot be told which, None if nobody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.setblocking(False)
        try:
            asking.connect(_address(config, part))
        except BlockingIOError:  # it has been asked more often than the kernel queues
            return 0
        except OSError:
            return None
        credentials = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        return int(_CREDENTIALS.unpack(credentials)[0])


def _named(pid: int | None) -> str:
    return f"process {pid}" if pid else "another process"


def _address(config: CellConfig, part: str) -> str:
    name = f"robot_rl/{domain_of(config)}/{config.name}/{part}"
    return "\0" + (name if len(name) <= _LONGEST else hashlib.sha256(name.encode()).hexdigest())
