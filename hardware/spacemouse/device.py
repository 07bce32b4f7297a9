"""Reading a SpaceMouse.

A thread reads faster than the device reports: translation and rotation come in separate reports, and one call of the
library takes one report. Nothing is reported at rest. The thread also looks for a device that was unplugged.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, Protocol

import numpy as np

from robot_rl.core.errors import ConfigError, DeviceError
from robot_rl.core.marks import ABORT, SUCCESS
from robot_rl.core.types import TeleopState
from robot_rl.hardware.joystick import CLOSE, OPEN, TOOL_PER_OPERATOR
from robot_rl.hardware.presses import Presses
from robot_rl.hardware.spacemouse.axes import AxisConfig, AxisFilter

POLL_S = 0.004
REOPEN_S = 1.0
LOST_S = 0.1
_AXES = ("x", "y", "z", "roll", "pitch", "yaw")
# Larger devices have keys with the labels in the second line; the others go by their own names.
_NAMES = {"LEFT": CLOSE, "BTN_1": CLOSE, "RIGHT": OPEN, "BTN_2": OPEN}
_NAMES |= {"ESC": ABORT, "FIT": SUCCESS}


class Puck(Protocol):
    """What is used of the library's device."""

    def read(self) -> Any:
        """Take one report if there is one; the same changing object every time."""
        ...

    def get_button_name(self, index: int) -> str:
        """Label of a button."""
        ...

    def close(self) -> None:
        """Release it."""
        ...


class SpaceMouseTeleop:
    """`robot_rl.core.protocols.Teleop` over a SpaceMouse. The operator is engaged while the cap or a button is pressed.

    Pushing the cap away from a person who stands behind the robot moves the tool forward, lifting it moves it up,
    whichever way the tool is turned about the vertical when that is none. The left button closes the gripper, the right
    one opens it; a tap between two readings is in the next one.

    Args:
        config: how readings are cleaned.
        connect: opens the device, with the axes of `robot_rl.hardware.joystick`.

    Raises:
        ConfigError: the library is not installed.
        DeviceError: there is no SpaceMouse, or it may not be opened.
    """

    def __init__(self, config: AxisConfig | None = None, connect: Callable[[], Puck] | None = None) -> None:
        self._config, self._connect = config or AxisConfig(), connect or open_spacemouse
        self._puck: Puck | None = self._connect()
        self._filter = AxisFilter(self._config)
        self._lock = threading.Lock()
        self._read_s = time.monotonic()
        self._motion, self._presses = np.zeros(6), Presses()
        self._reports, self._losses, self._seen = 0, 0, -1.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spacemouse")
        self._thread.start()

    def read(self) -> TeleopState:
        """The newest input. Its age grows, and nobody is engaged, while the device is gone."""
        with self._lock:
            motion, age_s = self._motion, time.monotonic() - self._read_s
            names = self._presses.take()
        buttons = names - {OPEN, CLOSE}
        if age_s > LOST_S:
            return TeleopState(buttons=buttons, age_s=age_s)
        gripper = float(OPEN in names) - float(CLOSE in names)
        return TeleopState(bool(motion.any() or gripper), motion * TOOL_PER_OPERATOR, gripper, buttons, age_s)

    def health(self) -> Mapping[str, str]:
        """Facts for `/diagnostics`."""
        with self._lock:
            bias = np.round(self._filter.bias, 3).tolist()
            connected = time.monotonic() - self._read_s <= LOST_S
            facts = {"connected": connected, "reports": self._reports, "losses": self._losses, "bias": bias}
        return {name: str(value) for name, value in facts.items()}

    def close(self) -> None:
        """Stop reading, release the device. May be called twice."""
        self._stop.set()
        self._thread.join()
        self._drop()

    def _run(self) -> None:
        while not self._stop.wait(POLL_S):
            if self._puck is None and not self._reopen():
                self._stop.wait(REOPEN_S)
                continue
            assert self._puck is not None
            try:
                self._poll(self._puck)
            except Exception:  # the library's error is of a package that it does not export
                self._drop()
                self._losses += 1

    def _poll(self, puck: Puck) -> None:
        """Take every report that waits."""
        state, reports = puck.read(), 0
        while state.t != self._seen:
            self._seen, reports = state.t, reports + 1
            self._presses.update(_names(puck, state.buttons))
            state = puck.read()
        raw = np.array([getattr(state, axis) for axis in _AXES], np.float64)
        now_s = time.monotonic()
        with self._lock:
            self._motion = self._filter.update(raw, now_s, reported=reports > 0)
            self._read_s = now_s
            self._reports += reports

    def _reopen(self) -> bool:
        try:
            self._puck = self._connect()
        except Exception:  # whatever the library raises, this thread looks again
            return False
        self._seen = -1.0
        with self._lock:
            self._filter = AxisFilter(self._config)
            self._motion = np.zeros(6)
        return True

    def _drop(self) -> None:
        if self._puck is not None:
            with suppress(Exception):  # of a device that is gone
                self._puck.close()
            self._puck = None
        self._presses.update(())


def _names(puck: Puck, buttons: Sequence[int]) -> set[str]:
    """What is down."""
    labels = (puck.get_button_name(i) for i, value in enumerate(buttons) if value)
    return {_NAMES.get(label, label.lower()) for label in labels}


def open_spacemouse() -> Puck:
    """The first SpaceMouse that is plugged in, with axes as ROS 2 has them.

    Raises:
        ConfigError: pyspacemouse is not installed.
        DeviceError: libhidapi is missing, there is no SpaceMouse, or it may not be opened.
    """
    try:
        library = import_module("pyspacemouse")
    except (ImportError, OSError) as e:
        raise ConfigError(f"a SpaceMouse needs pyspacemouse ({e}): pip install 'robot-rl[spacemouse]'") from e
    try:
        device: Puck = library.open(axis_convention=library.AxisConvention.ROS)
        return device
    except Exception as e:  # the library raises whatever its C binding does
        raise DeviceError(_reason(e)) from e


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    if "HID API" in text or isinstance(error, AttributeError):
        return "the system has no libhidapi: apt install libhidapi-hidraw0"
    if "Failed to open" in text:
        return (
            "the SpaceMouse may not be opened: give your user the device with a udev rule such as"
            ' KERNEL=="hidraw*", ATTRS{idVendor}=="256f", MODE="0660", TAG+="uaccess"'
        )
    return f"no SpaceMouse was found ({text}): plug it in"
