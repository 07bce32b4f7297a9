"""What each key means. The help text and the page about devices say what stands here."""

from __future__ import annotations

from dataclasses import dataclass

from robot_rl.core.marks import ABORT, DISCARD, END, FAILURE, PAUSE, READY, SUCCESS
from robot_rl.hardware.joystick import CLOSE, OPEN
from robot_rl.hardware.takeover import ENGAGE

FASTER, SLOWER = "faster", "slower"
X, Y, Z, ROLL, PITCH, YAW = range(6)


@dataclass(frozen=True)
class Use:
    """One line of the table.

    Attributes:
        keys: names as `robot_rl.hardware.keyboard.decode.Decoder` gives them.
        does: for people.
        axis: of the operator that moves, as in `robot_rl.hardware.joystick`; -1 for none.
        sign: which way.
        says: name of a button, of a gripper's motion, or of a change of speed; empty for a motion of the arm.
    """

    keys: tuple[str, ...]
    does: str
    axis: int = -1
    sign: float = 0.0
    says: str = ""


TABLE = (
    Use(("w",), "forward, away from you", X, 1.0),
    Use(("s",), "back, towards you", X, -1.0),
    Use(("a",), "left", Y, 1.0),
    Use(("d",), "right", Y, -1.0),
    Use(("r", "up", "page up"), "up", Z, 1.0),
    Use(("f", "down", "page down"), "down", Z, -1.0),
    Use(("q", "left"), "turn left, about the vertical", YAW, 1.0),
    Use(("e", "right"), "turn right, about the vertical", YAW, -1.0),
    Use(("i",), "tilt forward", PITCH, 1.0),
    Use(("k",), "tilt back", PITCH, -1.0),
    Use(("j",), "tilt left", ROLL, -1.0),
    Use(("l",), "tilt right", ROLL, 1.0),
    Use(("o",), "open the gripper", says=OPEN),
    Use(("p",), "close the gripper", says=CLOSE),
    Use(("space",), "take over, or hand back", says=ENGAGE),
    Use(("+", "="), "faster", says=FASTER),
    Use(("-", "_"), "slower", says=SLOWER),
    Use(("1",), "success: the task is done", says=SUCCESS),
    Use(("0",), "failure: it cannot be done any more", says=FAILURE),
    Use(("x",), "abort: begin anew, keep the episode", says=ABORT),
    Use(("backspace",), "discard: begin anew, learn nothing from it", says=DISCARD),
    Use(("g",), "ready: what was asked for is done, go on", says=READY),
    Use(("tab",), "pause, or go on", says=PAUSE),
    Use(("ctrl-d",), "end the session", says=END),
)
USE_OF = {key: use for use in TABLE for key in use.keys}


def rows() -> list[tuple[str, str]]:
    """Keys and what they do, for a table that people read."""
    return [(", ".join(use.keys), use.does) for use in TABLE]


def describe() -> str:
    """The table as lines of text."""
    width = max(len(keys) for keys, _ in rows())
    return "\n".join(f"{keys:<{width}}  {does}" for keys, does in [*rows(), ("any other", "stop moving")])
