"""What the two learners of a pair and the process that started them tell each other, over a socket of their own.

A learner says where it listens, how many environment steps it has, and that it is about to end; it is told how many
the other one has. Messages are small JSON objects, each whole or not there.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

MAX_BYTES = 4096


@dataclass(frozen=True)
class Endpoints:
    """Where a learner listens on this machine.

    Attributes:
        records: for records.
        parameters: publishes parameters here.
    """

    records: str
    parameters: str


class Line:
    """One end.

    Args:
        end: connected, of a kind that keeps messages apart; closed with this one.
    """

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end

    @property
    def handle(self) -> int:
        """Descriptor of the socket."""
        return self._end.fileno()

    def say(self, **facts: str | int | bool) -> None:
        """Tell the other end; one that is gone or does not listen misses it."""
        with suppress(OSError):
            self._end.send(json.dumps(facts).encode())

    def hear(self) -> dict[str, str | int | bool]:
        """The newest of every fact that was told since the last time."""
        facts: dict[str, str | int | bool] = {}
        with suppress(OSError):
            while data := self._end.recv(MAX_BYTES):
                told = json.loads(data)
                facts |= told if isinstance(told, Mapping) else {}
        return facts

    def close(self) -> None:
        """Close this end. May be called twice."""
        self._end.close()


def line() -> tuple[Line, socket.socket]:
    """This process's end, and the one to hand to another process."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Line(here), there
