"""The operator's end: sends what the device says, hears what the actor says."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import zmq

from robot_rl.core.errors import DeviceError
from robot_rl.core.types import TeleopState
from robot_rl.runtime.attend.messages import ActorStatus, kind_of, pack_leave, pack_state, pack_watch, read_status
from robot_rl.runtime.attend.view import VIEW, View, read_view

RATE_HZ = 50.0
SILENT_S = 5.0
ASK_EVERY_S = 1.0


class OperatorLink:
    """Attends to an actor. Used by one thread.

    Args:
        path: the actor's socket.
        name: of the operator, as others see it.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 200)
        self._socket.setsockopt(zmq.SNDHWM, 10)
        self._socket.connect(f"ipc://{path}")
        self._status, self._heard_s = ActorStatus(), time.monotonic()

    @property
    def status(self) -> ActorStatus:
        """What the actor said last."""
        return self._status

    @property
    def in_charge(self) -> bool:
        """Whether the actor follows this operator."""
        return self._status.operator == self._name

    def send(self, state: TeleopState) -> None:
        """Tell the actor what the device says, and hear it.

        Raises:
            DeviceError: the actor has been silent for five seconds.
            DataError: it is of another version.
        """
        with suppress(zmq.Again):  # an actor that does not read is silent, which is found out below
            self._socket.send(pack_state(self._name, state), zmq.NOBLOCK)
        while True:
            try:
                self._status, self._heard_s = read_status(self._socket.recv(zmq.NOBLOCK)), time.monotonic()
            except zmq.Again:
                break
        if time.monotonic() - self._heard_s > SILENT_S:
            raise DeviceError(f"the actor at {self._path} has been silent for {SILENT_S:g} s: has the run ended?")

    def close(self) -> None:
        """Leave: the arm is the policy's again. May be called twice."""
        if not self._socket.closed:
            with suppress(zmq.ZMQError):  # nobody is there who could be told
                self._socket.send(pack_leave(self._name), zmq.NOBLOCK)
            self._socket.close()
            self._context.term()


class WatchLink:
    """Watches an actor. Used by one thread.

    Args:
        path: the actor's socket.
        name: of the guest.
        pictures: show those of the cameras, too.
    """

    def __init__(self, path: Path, name: str, *, pictures: bool = True) -> None:
        self._name, self._pictures = name, pictures
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 200)
        self._socket.setsockopt(zmq.RCVHWM, 20)
        self._socket.connect(f"ipc://{path}")
        self._asked_s = -math.inf
        self.heard_s = time.monotonic()

    @property
    def silent_s(self) -> float:
        """How long nothing has been heard."""
        return time.monotonic() - self.heard_s

    def receive(self, timeout_s: float) -> tuple[ActorStatus | None, View | None]:
        """The newest status and view that have come since the last time.

        Args:
            timeout_s: how long to wait for the first.

        Raises:
            DataError: the actor is of another version.
        """
        if time.monotonic() - self._asked_s > ASK_EVERY_S:
            self._asked_s = time.monotonic()
            with suppress(zmq.Again):
                self._socket.send(pack_watch(self._name, pictures=self._pictures), zmq.NOBLOCK)
        status: ActorStatus | None = None
        view: View | None = None
        wait_ms = round(1e3 * timeout_s)
        while self._socket.poll(wait_ms):
            frames, wait_ms = self._socket.recv_multipart(), 0
            self.heard_s = time.monotonic()
            if kind_of(frames[0]) == VIEW:
                view = read_view(frames)
            else:
                status = read_status(frames[0])
        return status, view

    def close(self) -> None:
        """Leave. May be called twice."""
        if not self._socket.closed:
            with suppress(zmq.ZMQError):
                self._socket.send(pack_leave(self._name), zmq.NOBLOCK)
            self._socket.close()
            self._context.term()


def attend(
    link: OperatorLink, read: Callable[[], TeleopState], tell: Callable[[ActorStatus], None], ended: Callable[[], bool]
) -> None:
    """Send a device's state fifty times a second until the session ends.

    Args:
        link: to the actor.
        read: the device.
        tell: given what the actor says, at each turn.
        ended: asked at each turn.

    Raises:
        DeviceError: the actor is gone.
        DataError: it is of another version.
    """
    tick_s = time.monotonic()
    while not ended():
        link.send(read())
        tell(link.status)
        tick_s = max(tick_s + 1.0 / RATE_HZ, time.monotonic())
        time.sleep(max(tick_s - time.monotonic(), 0.0))
