"""Where lines such as ``user-stop on`` come in: several clients at a time, none of which can hold the robot up."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

from robot_rl.core.errors import DeviceError
from robot_rl.hardware.fci.line import READ_BYTES

MAX_CLIENTS = 16
MAX_LINE_BYTES = 1000
SERVE_TICKS = 5


class FaultPort:
    """Takes lines of text and sends an answer to each.

    Args:
        answer: carries out one line; both without their end of line.
        address: to listen at.
        port: 0 takes a free one.

    Raises:
        DeviceError: the address or port cannot be had.
    """

    def __init__(self, answer: Callable[[str], str], address: str, port: int) -> None:
        self._answer = answer
        self._clients: dict[socket.socket, bytearray] = {}
        try:
            self._listener = socket.create_server((address, port), backlog=MAX_CLIENTS)
        except (OSError, OverflowError) as e:
            raise DeviceError(f"cannot listen at {address} port {port}: {e}; is another emulator running?") from None
        self._listener.setblocking(False)

    @property
    def port(self) -> int:
        """Where lines are taken."""
        return int(self._listener.getsockname()[1])

    def tick(self, ticks: int) -> None:
        """Answer what has come, every 5 ms."""
        if ticks % SERVE_TICKS == 0:
            self.serve()

    def serve(self) -> None:
        """Answer what has come."""
        for readable in select.select([self._listener, *self._clients], [], [], 0)[0]:
            if readable is self._listener:
                self._accept()
            else:
                self._read(readable)

    def close(self) -> None:
        """Hang up and stop listening."""
        for client in list(self._clients):
            self._hang_up(client)
        self._listener.close()

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        if len(self._clients) >= MAX_CLIENTS:
            client.close()
            return
        # Answers are short; a client that does not take even one is hung up on.
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._clients[client] = bytearray()

    def _read(self, client: socket.socket) -> None:
        received = self._clients[client]
        try:
            got = client.recv(READ_BYTES)
            received += got
            while MAX_LINE_BYTES >= (end := received.find(b"\n")) >= 0:
                text = received[:end].decode(errors="replace")
                del received[: end + 1]
                client.sendall(f"{self._answer(text)}\n".encode())
        except OSError:
            got = b""
        if not got or len(received) > MAX_LINE_BYTES:
            self._hang_up(client)

    def _hang_up(self, client: socket.socket) -> None:
        del self._clients[client]
        client.close()
