"""A SpaceMouse Compact on the level of its HID reports, below the real library."""

from __future__ import annotations

import struct
import threading
from collections import deque

import pyspacemouse
from easyhid import HIDException
from pyspacemouse.config_helpers import apply_axis_convention
from pyspacemouse.device import SpaceMouseDevice

FULL = 350


def translation(x: int = 0, y: int = 0, z: int = 0) -> bytes:
    """Report 1; of the device itself x is right, y towards the operator, z down."""
    return struct.pack("<B3h", 1, x, y, z)


def rotation(x: int = 0, y: int = 0, z: int = 0) -> bytes:
    """Report 2, about the same axes."""
    return struct.pack("<B3h", 2, x, y, z)


def buttons(bits: int) -> bytes:
    """Report 3."""
    return struct.pack("<BB5x", 3, bits)


class FakeHid:
    """Hands out reports one by one, as `easyhid` does."""

    product_string, manufacturer_string = "SpaceMouse Compact", "3Dconnexion"
    release_number, serial_number = 0x0437, ""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._lock = threading.Lock()
        self.unplugged = False
        self.closed = 0

    def send(self, *reports: bytes) -> None:
        with self._lock:
            self._waiting.extend(reports)

    def open(self) -> None:
        if self.unplugged:
            raise HIDException("Failed to open device")

    def close(self) -> None:
        self.closed += 1

    def read(self, size: int = 64, timeout: int | None = None) -> bytearray:
        if self.unplugged:
            raise HIDException("Failed to read from HID device: -1")
        with self._lock:
            return bytearray(self._waiting.popleft()[:size]) if self._waiting else bytearray()


def connect(hid: FakeHid, model: str = "SpaceMouseCompact") -> SpaceMouseDevice:
    """The library's device over it."""
    specs = pyspacemouse.get_device_specs()[model]
    mouse = SpaceMouseDevice(apply_axis_convention(specs, pyspacemouse.AxisConvention.ROS), hid)
    mouse.open()
    return mouse
