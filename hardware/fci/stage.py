"""The objects of the emulated cell, seen and moved from another process through the emulator's fault port."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TextIO

import numpy as np

from robot_rl.controllers.safety import check_pose
from robot_rl.core.errors import DeviceError, unknown_name
from robot_rl.core.types import Array
from robot_rl.hardware.fci.faults import FAULT_PORT

TIMEOUT_S = 2.0


class EmulatorStage:
    """Talks to an emulator; may be shared by threads. Connects when it is first asked, and again after a loss.

    Example:
        >>> stage = EmulatorStage("127.0.0.1")  # doctest: +SKIP
        >>> stage.object_pose("cube")  # doctest: +SKIP

    Args:
        address: of the emulator.
        port: for fault lines.
    """

    def __init__(self, address: str, port: int = FAULT_PORT) -> None:
        self._address, self._port = address, port
        self._stream: TextIO | None = None
        self._lock = threading.Lock()

    def poses(self) -> dict[str, Array]:
        """`pose_base_object` ``[7]`` by name.

        Raises:
            DeviceError: the emulator does not answer.
        """
        answer = self.line("objects")
        objects = [entry.split() for entry in answer.split(";") if entry.strip()]
        return {name: np.array(numbers, np.float64) for name, *numbers in objects}

    def object_pose(self, name: str) -> Array:
        """`pose_base_object` ``[7]`` of one object.

        Raises:
            DeviceError: there is no such object, or the emulator does not answer.
        """
        poses = self.poses()
        if name not in poses:
            raise DeviceError(unknown_name("object", name, poses))
        return poses[name]

    def place(self, name: str, pose_base_object: Array) -> None:
        """Put an object somewhere, at rest.

        Raises:
            DeviceError: there is no such object, the hand holds it, the pose is none, or the emulator does not answer.
        """
        numbers = " ".join(repr(value) for value in check_pose(pose_base_object).tolist())
        self.line(f"place {name} {numbers}")

    def line(self, text: str) -> str:
        """Send a line, such as ``user-stop on``; what its answer says behind ``ok``.

        Raises:
            DeviceError: the emulator refuses, with its reason, or does not answer.
        """
        with self._lock:
            is_reused = self._stream is not None
            try:
                try:
                    answer = self._ask(text)
                except ConnectionError:
                    if not is_reused:
                        raise
                    # The emulator has been restarted since the last line.
                    self._hang_up()
                    answer = self._ask(text)
            except OSError as e:
                self._hang_up()
                raise DeviceError(f"no emulator answers at {self._address} port {self._port}: {e}") from None
        word, _, rest = answer.partition(" ")
        if word != "ok":
            raise DeviceError(f"the emulator refuses {text!r}: {rest or answer}")
        return rest

    def close(self) -> None:
        """Hang up. May be called twice."""
        with self._lock:
            self._hang_up()

    def _ask(self, text: str) -> str:
        if self._stream is None:
            with socket.create_connection((self._address, self._port), TIMEOUT_S) as connection:
                self._stream = connection.makefile("rw")
        self._stream.write(f"{' '.join(text.split())}\n")
        self._stream.flush()
        answer = self._stream.readline()
        if not answer.endswith("\n"):
            raise ConnectionResetError("it hung up")
        return answer.strip()

    def _hang_up(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            # What could not be sent is lost either way.
            with suppress(OSError):
                stream.close()
