"""A client of the robot's protocol, written against the layouts alone."""

from __future__ import annotations

import socket
import struct

import numpy as np

from robot_rl.hardware.fci.messages import ROBOT_COMMAND, ROBOT_STATE

TIMEOUT_S = 10.0


class FaultClient:
    def __init__(self, address: str) -> None:
        self._socket = socket.create_connection((address, 1339), TIMEOUT_S)
        self._file = self._socket.makefile("rw")

    def say(self, line: str) -> str:
        self._file.write(line + "\n")
        self._file.flush()
        return self._file.readline().strip()

    def close(self) -> None:
        self._file.close()
        self._socket.close()


class Caller:
    """Requests and their replies, by id."""

    def __init__(self, address: str, port: int, header: str) -> None:
        self.tcp = socket.create_connection((address, port), TIMEOUT_S)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("", 0))
        self.udp.settimeout(TIMEOUT_S)
        self._header = struct.Struct(header)
        self._ids = 0

    def send(self, command: int, payload: bytes = b"") -> int:
        self._ids += 1
        self.tcp.sendall(self._header.pack(command, self._ids, self._header.size + len(payload)) + payload)
        return self._ids

    def reply(self) -> tuple[int, int, bytes]:
        """Command, id, body."""
        command, number, size = self._header.unpack(self._exactly(self._header.size))
        return command, number, self._exactly(size - self._header.size)

    def ask(self, command: int, payload: bytes = b"") -> bytes:
        number = self.send(command, payload)
        got, got_number, body = self.reply()
        assert (got, got_number) == (command, number)
        return body

    def close(self) -> None:
        self.tcp.close()
        self.udp.close()

    def _newest(self) -> bytes | None:
        """The last of the datagrams that have come."""
        newest = None
        self.udp.setblocking(False)
        try:
            while True:
                newest = self.udp.recv(4096)
        except BlockingIOError:
            self.udp.settimeout(TIMEOUT_S)
            return newest

    def _exactly(self, count: int) -> bytes:
        out = b""
        while len(out) < count:
            more = self.tcp.recv(count - len(out))
            if not more:
                raise ConnectionError("the robot hung up")
            out += more
        return out


class ArmClient(Caller):
    def __init__(self, address: str, version: int = 10) -> None:
        super().__init__(address, 1337, "<III")
        self.connect_reply = self.ask(0, struct.pack("<HH", version, self.udp.getsockname()[1]))
        self._peer: tuple[str, int] | None = None

    def state(self) -> np.void:
        message, self._peer = self.udp.recvfrom(4096)
        return np.frombuffer(message, ROBOT_STATE)[0]

    def fresh_state(self) -> np.void:
        """The newest state that has come; waits only if none has."""
        message = self._newest()
        return self.state() if message is None else np.frombuffer(message, ROBOT_STATE)[0]

    def move(self, controller: int, mode: int, planned: bool = False) -> tuple[int, int]:
        """Id and status of a Move request."""
        number = self.send(1, struct.pack("<II6d?7d", controller, mode, *[0.1] * 6, planned, *[1.0] * 7))
        command, got, body = self.reply()
        assert (command, got) == (1, number)
        return number, body[0]

    def command(self, state: np.void, **fields: object) -> None:
        """Answer a state; fields that are not given keep what the state says is desired."""
        command = np.zeros((), ROBOT_COMMAND)
        command["message_id"] = state["message_id"]
        command["q_c"], command["O_T_EE_c"] = state["q_d"], state["O_T_EE_c"]
        for name, value in fields.items():
            command[name] = value
        assert self._peer is not None
        self.udp.sendto(command.tobytes(), self._peer)

    def end_of_motion(self) -> tuple[int, int]:
        """Id and status of the second reply to a Move request."""
        command, number, body = self.reply()
        assert command == 1 and len(body) == 1
        return number, body[0]


class HandClient(Caller):
    def __init__(self, address: str, version: int = 3) -> None:
        super().__init__(address, 1338, "<HII")
        self.connect_reply = self.ask(0, struct.pack("<HH", version, self.udp.getsockname()[1]))

    def state(self) -> tuple[int, float, float, bool, int]:
        """Message id, width, largest width, whether it holds something, temperature: from now on, not before."""
        self._newest()
        return struct.unpack("<Idd?H", self.udp.recv(4096))

    def status(self, command: int, *numbers: float) -> int:
        return int(struct.unpack("<H", self.ask(command, struct.pack(f"<{len(numbers)}d", *numbers)))[0])
