"""What the robot feels of itself, as a gate asks for it: equal numbers from a live cell and from a recorded state."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from robot_rl.controllers.se3 import quat_rotate, tool_delta
from robot_rl.core.types import ArmState, Array, GripperState

READINGS = ("tcp_x_m", "tcp_y_m", "tcp_z_m", "gripper_width_m", "gripper_target_m", "force_n")
_TCP = READINGS[:3]


def live_readings(arm: ArmState, gripper: GripperState, home_base_tcp: Array) -> dict[str, float]:
    """All of `READINGS`.

    Args:
        arm: reading of the arm.
        gripper: reading of the gripper.
        home_base_tcp: where the task's home is ``[7]``; positions are rounded there as a recorded state rounds them.
    """
    from_home = tool_delta(home_base_tcp, arm.pose_base_tcp)[:3].astype(np.float32)
    width, target = np.float32(gripper.width_m), np.float32(gripper.target_m)
    return _named(from_home, arm.wrench_tcp[:3].astype(np.float32), home_base_tcp) | {
        "gripper_width_m": float(width),
        "gripper_target_m": float(target),
    }


def logged_readings(parts: Mapping[str, npt.NDArray[np.floating]], home_base_tcp: Array) -> dict[str, float]:
    """As many of `READINGS` as a state row holds: one whose gripper is not commanded says nothing of it.

    Args:
        parts: of one row, see `robot_rl.core.specs.StateSpec.unpack`.
        home_base_tcp: as in `live_readings`.
    """
    out = _named(parts["tcp_position"], parts["tcp_force"], home_base_tcp)
    for part, reading in (("gripper_width", "gripper_width_m"), ("gripper_target", "gripper_target_m")):
        if part in parts:
            out[reading] = float(parts[part][0])
    return out


def _named(
    from_home: npt.NDArray[np.floating], force_n: npt.NDArray[np.floating], home_base_tcp: Array
) -> dict[str, float]:
    position = home_base_tcp[:3] + quat_rotate(home_base_tcp[3:], from_home.astype(np.float64))
    force = float(np.linalg.norm(force_n.astype(np.float64)))
    return dict(zip(_TCP, map(float, position), strict=True)) | {"force_n": force}
