"""How long it takes from the bytes of a SpaceMouse to the target of the simulated arm."""

from __future__ import annotations

import struct
import time
from collections import deque
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from robot_rl.core.errors import ConfigError
from robot_rl.core.protocols import Teleop
from robot_rl.hardware.spacemouse.axes import AxisConfig
from robot_rl.hardware.spacemouse.device import SpaceMouseTeleop
from robot_rl.runtime.bench import acting
from robot_rl.runtime.bench.acting import Hand

TIMEOUT_S = 5.0
# Of 350 at full deflection: above the dead band, and slow.
PUSH = 120
# A push lasts until the next report, as if the device reported all the time.
AXES = AxisConfig(static_s=10.0)


class Wire:
    """A SpaceMouse Compact on the level of its HID reports: stands where the library opens its device file."""

    product_string, manufacturer_string = "SpaceMouse Compact", "3Dconnexion"
    release_number, serial_number = 0x0437, ""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()

    def push(self, deflection: int) -> None:
        """Report a translation along the device's x, of -350 to 350."""
        self._waiting.append(struct.pack("<B3h", 1, deflection, 0, 0))

    def open(self) -> None:
        """Nothing to open."""

    def close(self) -> None:
        """Nothing to close."""

    def read(self, size: int = 64, timeout: int | None = None) -> bytearray:
        """One report, or nothing."""
        return bytearray(self._waiting.popleft()[:size]) if self._waiting else bytearray()


def open_mouse(wire: Wire) -> SpaceMouseTeleop:
    """The device as it is used, over the real library, which reads the wire.

    Raises:
        ConfigError: the library is not installed.
    """
    try:
        library, helpers = import_module("pyspacemouse"), import_module("pyspacemouse.config_helpers")
        device = import_module("pyspacemouse.device")
    except (ImportError, OSError) as e:
        raise ConfigError(f"the SpaceMouse needs pyspacemouse ({e}): pip install 'robot-rl[spacemouse]'") from e
    specs = helpers.apply_axis_convention(library.get_device_specs()["SpaceMouseCompact"], library.AxisConvention.ROS)

    def connect() -> Any:
        puck = device.SpaceMouseDevice(specs, wire)
        puck.open()
        return puck

    return SpaceMouseTeleop(AXES, connect)


def times_to_read(n: int, rng: np.random.Generator) -> list[float]:
    """From the bytes of a push to the first `read` that says so, in s.

    Raises:
        ConfigError: the library is not installed.
        DeviceError: a push did not arrive.
    """
    wire, found = Wire(), []
    mouse = open_mouse(wire)
    try:
        for _ in range(n):
            time.sleep(rng.uniform(0.01, 0.02))
            began_s = time.perf_counter()
            wire.push(PUSH)
            found.append(_wait(partial(_is_engaged, mouse, True)) - began_s)
            wire.push(0)
            _wait(partial(_is_engaged, mouse, False))
    finally:
        mouse.close()
    return found


def times_to_target(n: int, hz: float, rng: np.random.Generator) -> list[float]:
    """From the bytes of a push to the target of the simulated arm, through the acting loop in real time, in s.

    Raises:
        ConfigError: the library is not installed.
        DeviceError: a push did not arrive.
    """
    wire, began_s = Wire(), 0.0
    mouse = open_mouse(wire)

    def push(i: int) -> None:
        nonlocal began_s
        began_s = time.perf_counter()
        wire.push(PUSH if i % 2 else -PUSH)

    hand = Hand(push, lambda: wire.push(0), lambda: began_s)
    try:
        return acting.times_to_target(mouse, hand, n, hz, rng, timeout_s=TIMEOUT_S)
    finally:
        mouse.close()


def _is_engaged(mouse: Teleop, engaged: bool) -> bool:
    return mouse.read().engaged == engaged


def _wait(condition: Any) -> float:
    """When a condition came true, by `time.perf_counter`."""
    return acting.wait(condition, TIMEOUT_S)
