"""The actor's end: one operator at a time sits at its post, others are told who does."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import zmq

from robot_rl.core.errors import DataError, StorageError
from robot_rl.core.types import TeleopState
from robot_rl.runtime.attend.messages import ActorStatus, pack_status, read_heard
from robot_rl.runtime.attend.view import View, pack_view

FREE_AFTER_S = 3.0
"""The chair of an operator who has been silent for so long is free; if he was engaged, for a successor only."""
MAX_GUESTS = 8


@dataclass
class _Guest:
    name: str
    heard_s: float
    watches: bool = False
    pictures: bool = False


class OperatorPost:
    """`robot_rl.core.protocols.Teleop` for whoever attends over a socket. Used by one thread; never blocks.

    The age of what it reads grows while the operator is silent: wrap it in `robot_rl.hardware.takeover.TakeOver`, which
    holds the arm when an operator is lost in mid take-over. Buttons of all messages since the last read count.

    Args:
        paths: of the socket, in a folder that is closed to others; it can be reached by each.
        now_s: clock of the ages.

    Raises:
        StorageError: the socket cannot be made.
    """

    def __init__(self, *paths: Path, now_s: Callable[[], float] = time.monotonic) -> None:
        self._paths, self._now_s = paths, now_s
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, 2**16)
        try:
            for path in paths:
                # Of an actor that was killed: two of one name in a run are refused before they come here.
                path.unlink(missing_ok=True)
                self._socket.bind(f"ipc://{path}")
                path.chmod(0o600)
        except (OSError, zmq.ZMQError) as e:
            self.close()
            raise StorageError(f"cannot make the sockets {', '.join(map(str, paths))} for operators: {e}") from e
        self._guests: dict[bytes, _Guest] = {}
        self._chair: bytes | None = None
        self._state = TeleopState(age_s=math.inf)
        self._buttons: set[str] = set()
        self._refused = 0

    @property
    def operator(self) -> str:
        """Who is in charge; empty for nobody."""
        return "" if self._chair is None else self._guests[self._chair].name

    def read(self) -> TeleopState:
        """The newest input of the operator in charge."""
        while self._take():
            pass
        self._forget_silent()
        if self._chair is None:
            return TeleopState(age_s=math.inf)
        buttons, self._buttons = frozenset(self._buttons | self._state.buttons), set()
        return replace(self._state, buttons=buttons, age_s=self._state.age_s + self._silent_s(self._chair))

    @property
    def attended(self) -> bool:
        """Whether anybody is there."""
        return bool(self._guests)

    @property
    def watched(self) -> bool:
        """Whether somebody wants to see."""
        return any(guest.watches for guest in self._guests.values())

    def tell(self, status: ActorStatus) -> None:
        """Tell everybody who attends; whoever does not listen misses it."""
        message = pack_status(replace(status, operator=self.operator))
        for guest in list(self._guests):
            self._send(guest, [message])

    def show(self, view: View) -> None:
        """Show it to those who watch."""
        packed: dict[bool, list[bytes]] = {}
        for guest, facts in list(self._guests.items()):
            if facts.watches:
                if facts.pictures not in packed:
                    packed[facts.pictures] = pack_view(view, pictures=facts.pictures)
                self._send(guest, packed[facts.pictures])

    def close(self) -> None:
        """Nobody can attend any more. May be called twice."""
        if not self._socket.closed:
            self._socket.close()
            self._context.term()
            for path in self._paths:
                with suppress(OSError):
                    path.unlink(missing_ok=True)

    def _send(self, guest: bytes, frames: list[bytes]) -> None:
        try:
            self._socket.send_multipart([guest, *frames], zmq.NOBLOCK)
        except zmq.ZMQError:
            self._leave(guest)

    def _take(self) -> bool:
        try:
            parts = self._socket.recv_multipart(zmq.NOBLOCK)
        except zmq.ZMQError:
            return False
        try:
            if len(parts) != 2:
                raise DataError(f"a message of {len(parts)} parts, expected 2")
            guest, heard = parts[0], read_heard(parts[1])
        except DataError:
            self._refused += 1
            return True
        if heard.state is None and not heard.watches:
            self._leave(guest)
            return True
        if guest not in self._guests and len(self._guests) >= MAX_GUESTS:
            return True
        self._guests[guest] = _Guest(heard.name, self._now_s(), heard.watches, heard.pictures)
        if heard.state is not None:
            self._hear(guest, heard.state)
        return True

    def _hear(self, guest: bytes, state: TeleopState) -> None:
        if self._chair is None or self._silent_s(self._chair) > FREE_AFTER_S:
            self._chair, self._buttons = guest, set()
        if guest == self._chair:
            self._state = state
            self._buttons |= state.buttons

    def _silent_s(self, guest: bytes) -> float:
        return max(self._now_s() - self._guests[guest].heard_s, 0.0)

    def _forget_silent(self) -> None:
        for guest in [g for g in self._guests if self._silent_s(g) > FREE_AFTER_S]:
            # In the middle of a take-over the arm waits for somebody to come back.
            if guest != self._chair or not self._state.engaged:
                self._leave(guest)

    def _leave(self, guest: bytes) -> None:
        self._guests.pop(guest, None)
        if guest == self._chair:
            self._chair, self._state = None, TeleopState(age_s=math.inf)
            self._buttons.clear()
