"""The events of ``/dev/input/js*``: what is deflected and what is down."""

from __future__ import annotations

import struct

import numpy as np

from robot_rl.core.types import Array
from robot_rl.hardware.gamepad.layout import Layout, layout_for
from robot_rl.hardware.joystick import CLOSE, OPEN
from robot_rl.hardware.spacemouse.axes import dead_band
from robot_rl.hardware.takeover import ENGAGE

EVENT = struct.Struct("=IhBB")
"""Time in ms, value, type, number."""
BUTTON, AXIS, INIT = 0x01, 0x02, 0x80
FULL = 32767
_PULLED = FULL // 2


class Pad:
    """State of a gamepad, from its events.

    When it is opened, the kernel reports the state of every axis and button. A button that is down then says nothing
    until it is pressed anew.

    Args:
        layout: None for the one that fits the number of buttons reported.
    """

    def __init__(self, layout: Layout | None = None) -> None:
        self._layout = layout
        self._waiting = b""
        self._axes: dict[int, int] = {}
        self._down: set[int] = set()
        self._buttons = 0

    @property
    def layout(self) -> Layout:
        """What axes and buttons mean."""
        return self._layout or layout_for(self._buttons)

    def feed(self, data: bytes) -> list[frozenset[str]]:
        """Take bytes in pieces of any size.

        Returns:
            `names` after each event, so that a press and a release in one piece are both seen.
        """
        data = self._waiting + data
        whole = len(data) - len(data) % EVENT.size
        self._waiting = data[whole:]
        seen = []
        for _, value, kind, number in EVENT.iter_unpack(data[:whole]):
            self._apply(value, kind, number)
            seen.append(self.names())
        return seen

    def names(self) -> frozenset[str]:
        """Names of what is down: marks, `ENGAGE`, and the gripper's triggers."""
        layout = self.layout
        names = {name for number, name in layout.marks if number in self._down}
        if self._down.intersection(layout.engage):
            names.add(ENGAGE)
        names |= {
            name
            for name, axis in ((CLOSE, layout.close_trigger), (OPEN, layout.open_trigger))
            if self._axes.get(axis, -FULL) > _PULLED
        }
        return frozenset(names)

    def motion(self, width: float) -> Array:
        """Deflection ``[6]`` in [-1, 1] in the operator's axes.

        Args:
            width: of the dead band.
        """
        raw = [axis.sign * self._axes.get(axis.number, 0) / FULL for axis in self.layout.motion]
        return dead_band(np.array(raw), width)

    def _apply(self, value: int, kind: int, number: int) -> None:
        if kind & ~INIT == AXIS:
            self._axes[number] = value
        elif kind & ~INIT == BUTTON:
            self._buttons = max(self._buttons, number + 1)
            if value and not kind & INIT:
                self._down.add(number)
            elif not value:
                self._down.discard(number)
