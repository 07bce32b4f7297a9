"""Six-axis operator devices on topics: what the axes and buttons of a `sensor_msgs/Joy` mean.

Axes are x, y, z, roll, pitch, yaw in [-1, 1] as ROS 2 has them (REP 103) and as the spacenav driver publishes them: of
an operator who stands behind the robot and looks where it looks, x is forward, y left, z up. The tool of a cell points
down, and its own axes are then forward, right and down.

Buttons are named by index in `BUTTONS`: those of the gripper, the marks of `robot_rl.core.marks`, and `ENGAGED`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robot_rl.core.marks import ABORT, DISCARD, END, FAILURE, MARKS, PAUSE, READY, SUCCESS
from robot_rl.core.specs import GRIPPER_THRESHOLD
from robot_rl.core.types import Array, TeleopState

CLOSE, OPEN, ENGAGED = "close", "open", "engaged"
BUTTONS = (CLOSE, OPEN, SUCCESS, ABORT, ENGAGED, FAILURE, DISCARD, PAUSE, END, READY)
"""By index. A SpaceMouse's two are the first two with every driver; a joystick may lack the later ones."""

TOOL_PER_OPERATOR: Array = np.array([1.0, -1.0, -1.0, 1.0, -1.0, -1.0])
"""A twist in the operator's axes times this is the twist in those of a tool that points down, and back."""
TOOL_PER_OPERATOR.setflags(write=False)


def joy_of(state: TeleopState) -> tuple[list[float], list[int]]:
    """Axes and buttons of a reading; a device that is not engaged moves nothing."""
    axes = state.twist_tcp * TOOL_PER_OPERATOR if state.engaged else np.zeros(6)
    held = set(state.buttons)
    if state.gripper < -GRIPPER_THRESHOLD:
        held.add(CLOSE)
    if state.gripper > GRIPPER_THRESHOLD:
        held.add(OPEN)
    if state.engaged:
        held.add(ENGAGED)
    return [float(a) for a in axes], [int(name in held) for name in BUTTONS]


def teleop_of(axes: Sequence[float], buttons: Sequence[int], age_s: float) -> TeleopState:
    """The inverse, also for devices with fewer axes and buttons.

    The operator is engaged while an axis is deflected, or a button of the gripper or `ENGAGED` is held.

    Args:
        axes: of any length; what is missing or not finite is zero, what is out of range is clipped.
        buttons: of any length; what is missing is not held.
        age_s: since the device reported.
    """
    given = np.zeros(6)
    given[: len(axes)] = axes[:6]
    motion = np.where(np.isfinite(given), np.clip(given, -1.0, 1.0), 0.0)
    held = {name for name, value in zip(BUTTONS, buttons, strict=False) if value}
    gripper = float(OPEN in held) - float(CLOSE in held)
    engaged = bool(motion.any() or held & {CLOSE, OPEN, ENGAGED})
    names = frozenset(held.intersection(MARKS))
    return TeleopState(engaged, motion * TOOL_PER_OPERATOR, gripper, names, max(age_s, 0.0))
