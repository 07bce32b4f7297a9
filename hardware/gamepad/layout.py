"""What the axes and buttons of a gamepad mean, by the numbers that the kernel's drivers give them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from robot_rl.core.marks import ABORT, DISCARD, END, FAILURE, PAUSE, READY, SUCCESS


@dataclass(frozen=True)
class Axis:
    """One axis of the device.

    Attributes:
        number: of the kernel.
        sign: 1 if the kernel's positive direction (right, down) is the operator's.
    """

    number: int
    sign: float


@dataclass(frozen=True)
class Layout:
    """One kind of gamepad.

    Attributes:
        name: for people.
        motion: axes for the operator's x, y, z, roll, pitch, yaw, as in `robot_rl.hardware.joystick`.
        close_trigger: axis that closes the gripper when pulled more than three quarters; at rest it is at its lowest.
        open_trigger: axis that opens it.
        engage: buttons of which one has to be held to take over.
        marks: what the other buttons say: number and name.
    """

    name: str
    motion: tuple[Axis, Axis, Axis, Axis, Axis, Axis] = (
        Axis(1, -1.0),
        Axis(0, -1.0),
        Axis(4, -1.0),
        Axis(6, 1.0),
        Axis(7, -1.0),
        Axis(3, -1.0),
    )
    close_trigger: int = 5
    open_trigger: int = 2
    engage: tuple[int, ...] = (4, 5)
    marks: tuple[tuple[int, str], ...] = ()


XBOX = Layout("xbox", marks=((0, SUCCESS), (1, FAILURE), (2, DISCARD), (3, ABORT), (6, END), (7, PAUSE), (9, READY)))
"""The driver xpad: A, B, X, Y, LB, RB, back, start, guide, left and right stick."""
PLAYSTATION = Layout(
    "playstation",
    marks=((0, SUCCESS), (1, FAILURE), (2, ABORT), (3, DISCARD), (8, END), (9, PAUSE), (11, READY)),
)
"""hid-playstation: cross, circle, triangle, square, L1, R1, L2, R2, create, options, PS, left and right stick."""
PLAYSTATION_BUTTONS = 13


def layout_for(buttons: int) -> Layout:
    """The layout of a gamepad with so many buttons.

    Those of Sony have the triggers as buttons too. Xbox gamepads have 11, or 15 with paddles, which come last.
    """
    return PLAYSTATION if buttons == PLAYSTATION_BUTTONS else XBOX


_CONTROLS = {
    XBOX.name: {0: "A", 1: "B", 2: "X", 3: "Y", 4: "LB", 5: "RB", 6: "back", 7: "start", 9: "left stick"},
    PLAYSTATION.name: {
        0: "cross",
        1: "circle",
        2: "triangle",
        3: "square",
        4: "L1",
        5: "R1",
        8: "create",
        9: "options",
        11: "left stick",
    },
}
_AXES = {0: "left stick", 1: "left stick", 2: "left trigger", 3: "right stick", 4: "right stick", 5: "right trigger"}
_AXES |= {6: "d-pad", 7: "d-pad"}
_MOTIONS = ("forward, back", "left, right", "up, down", "tilt left, right", "tilt forward, back", "turn left, right")
_MARKS = {
    SUCCESS: "success: the task is done",
    FAILURE: "failure: it cannot be done any more",
    ABORT: "abort: begin anew, keep the episode",
    DISCARD: "discard: begin anew, learn nothing from it",
    PAUSE: "pause, or go on",
    READY: "ready: what was asked for is done",
    END: "end the session",
}


def rows(layout: Layout) -> list[tuple[str, str]]:
    """Controls and what they do, for a table that people read."""
    known = layout.name in _CONTROLS

    def button(number: int) -> str:
        return _named("button", number, _CONTROLS[layout.name] if known else {})

    def axis(number: int) -> str:
        return _named("axis", number, _AXES if known else {})

    return [
        (" or ".join(button(n) for n in layout.engage), "held: take over"),
        *((axis(used.number), does) for used, does in zip(layout.motion, _MOTIONS, strict=True)),
        (axis(layout.close_trigger), "close the gripper"),
        (axis(layout.open_trigger), "open the gripper"),
        *((button(number), _MARKS.get(mark, mark)) for number, mark in layout.marks),
    ]


def _named(kind: str, number: int, names: Mapping[int, str]) -> str:
    return f"{kind} {number} ({names[number]})" if number in names else f"{kind} {number}"


def describe(layout: Layout) -> str:
    """The table as lines of text."""
    table = [(f"({layout.name})", ""), *rows(layout)]
    width = max(len(control) for control, _ in table)
    return "\n".join(f"{control:<{width}}  {does}".rstrip() for control, does in table)
