"""Where a process can be reached from: its UDP sockets and listening TCP sockets, read from the kernel."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

_LISTEN = "0A"


@dataclass(frozen=True, order=True)
class OpenSocket:
    """A socket that takes packets or connections.

    Attributes:
        protocol: ``tcp`` or ``udp``.
        address: that it is bound to.
        port: that it is bound to.
    """

    protocol: str
    address: IPv4Address | IPv6Address
    port: int

    @property
    def reachable(self) -> bool:
        """Whether another machine can send to it."""
        return not self.address.is_loopback

    def __str__(self) -> str:
        """As ``udp 127.0.0.1:7412``."""
        return f"{self.protocol} {self.address}:{self.port}"


def open_sockets(pid: int) -> list[OpenSocket]:
    """Sockets of a process that take packets or connections, in order; none if it has ended or is another user's."""
    mine = set()
    with suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                link = os.readlink(entry.path)
                if link.startswith("socket:["):
                    mine.add(link[8:-1])
    found = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                cells = line.split()
                if cells[9] in mine and (cells[3] == _LISTEN or table.startswith("udp")):
                    address, port = cells[1].split(":")
                    found.append(OpenSocket(table[:3], _address(address), int(port, 16)))
    return sorted(set(found), key=lambda s: (s.protocol, str(s.address), s.port))


def _address(text: str) -> IPv4Address | IPv6Address:
    # The kernel prints each 32-bit word in the byte order of the machine.
    words = [socket.htonl(int(text[i : i + 8], 16)) for i in range(0, len(text), 8)]
    packed = b"".join(word.to_bytes(4, "big") for word in words)
    address = ip_address(packed)
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
