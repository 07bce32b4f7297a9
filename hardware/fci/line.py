"""One server's end of a connection: a TCP client at a time, and datagrams beside it. Nothing here ever blocks."""

from __future__ import annotations

import select
import socket

from robot_rl.core.errors import DeviceError

READ_BYTES = 4096


class Line:
    """Listens, takes one client, keeps what it sends.

    Attributes:
        received: bytes that nobody has taken yet.

    Args:
        address: to listen at.
        port: for TCP; 0 takes a free one.

    Raises:
        DeviceError: the address or port cannot be had.
    """

    def __init__(self, address: str, port: int) -> None:
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._listener.bind((address, port))
            self._datagrams.bind((address, 0))
        except (OSError, OverflowError) as e:
            self._listener.close()
            self._datagrams.close()
            raise DeviceError(f"cannot listen at {address} port {port}: {e}; is another emulator running?") from None
        self._listener.listen(4)
        self._listener.setblocking(False)
        self._datagrams.setblocking(False)
        self._client: socket.socket | None = None
        self._peer: tuple[str, int] | None = None
        self.received = bytearray()

    @property
    def port(self) -> int:
        """Where TCP clients come to."""
        return int(self._listener.getsockname()[1])

    @property
    def connected(self) -> bool:
        """Whether a client is there and has told where datagrams go."""
        return self._peer is not None

    def poll(self) -> bool:
        """Take new clients and bytes; whether the bytes or the client have changed.

        A second client is hung up on at once: a robot has one.
        """
        sockets = [self._listener] if self._client is None else [self._client, self._listener]
        ready = select.select(sockets, [], [], 0)[0]
        # The old client's farewell comes before the new one's greeting.
        for readable in ready:
            if readable is self._listener:
                self._accept()
            else:
                self._read()
        return bool(ready)

    def wait(self, timeout_s: float) -> None:
        """Block until a datagram, bytes or a client has come, or the time is over."""
        sockets = [self._listener, self._datagrams] + ([] if self._client is None else [self._client])
        select.select(sockets, [], [], timeout_s)

    def send(self, message: bytes) -> None:
        """Send to the client; one that does not take it is hung up on."""
        if self._client is None:
            return
        try:
            self._client.sendall(message)
        except OSError:
            self.hang_up()

    def send_datagrams_to(self, port: int) -> None:
        """Name the client's port for datagrams."""
        if self._client is not None:
            self._peer = (self._client.getpeername()[0], port)

    def send_datagram(self, message: bytes) -> None:
        """Send a datagram; one that finds no room or no listener is lost, as datagrams are."""
        if self._peer is None:
            return
        try:
            self._datagrams.sendto(message, self._peer)
        except OSError:
            return

    def take_datagrams(self) -> list[bytes]:
        """All that have come from the client."""
        out: list[bytes] = []
        while True:
            try:
                message, sender = self._datagrams.recvfrom(READ_BYTES)
            except OSError:  # nothing more, or the kernel tells of an earlier datagram that found no listener
                return out
            if self._peer is not None and sender[0] == self._peer[0]:
                out.append(message)

    def hang_up(self) -> None:
        """Close the connection to the client, if there is one."""
        if self._client is not None:
            self._client.close()
        self._client, self._peer = None, None
        self.received.clear()

    def close(self) -> None:
        """Hang up and stop listening."""
        self.hang_up()
        self._listener.close()
        self._datagrams.close()

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        if self._client is not None:
            client.close()
            return
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.settimeout(0.1)
        self._client = client

    def _read(self) -> None:
        client = self._client
        if client is None:
            return
        try:
            got = client.recv(READ_BYTES)
        except OSError:
            got = b""
        if got:
            self.received += got
        else:
            self.hang_up()
