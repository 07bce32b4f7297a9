"""A square socket and the plug that fits it: geometry and expert moves shared by the insertion tasks."""

from __future__ import annotations

import numpy as np

from robot_rl.core.errors import ConfigError
from robot_rl.core.scene import Box, SceneObject
from robot_rl.core.types import Array
from robot_rl.envs.tasks.base import Snapshot, Waypoint, down_pose, square_yaw, yaw_of

PLUG_HALF_M = 0.01
PLUG_LENGTH_M = 0.06
SOCKET_HEIGHT_M = 0.04
SEATED_M = 0.025
CLEARANCES_MM = (0.1, 3.0)
ALUMINIUM, BRASS, BLUE = (0.72, 0.74, 0.77, 1), (0.80, 0.62, 0.28, 1), (0.25, 0.42, 0.68, 1)


def socket(
    name: str,
    clearance_mm: float,
    rgba: tuple[float, float, float, float] = ALUMINIUM,
    depth_m: float = SOCKET_HEIGHT_M,
) -> SceneObject:
    """A block with a square hole; its frame is the centre of its foot.

    Args:
        name: of the object.
        clearance_mm: hole width minus plug width, in [0.1, 3].
        rgba: colour.
        depth_m: height of the block; the hole goes through.

    Raises:
        ConfigError: the clearance is out of range.
    """
    low, high = CLEARANCES_MM
    if not low <= clearance_mm <= high:
        raise ConfigError(f"clearance_mm must lie in [{low}, {high}], got {clearance_mm}")
    hole, outer, half_z = PLUG_HALF_M + clearance_mm * 5e-4, 0.032, depth_m / 2
    wall = (outer - hole) / 2
    walls = [Box((wall, outer, half_z), (sign * (hole + wall), 0.0, half_z), rgba) for sign in (-1.0, 1.0)] + [
        Box((hole, wall, half_z), (0.0, sign * (hole + wall), half_z), rgba) for sign in (-1.0, 1.0)
    ]
    return SceneObject(name, tuple(walls), mount="fixture", friction=0.3)


def tip_of(pose_base_plug: Array, tip_m: float) -> Array:
    """Position ``[3]`` of the plug's lower end, `tip_m` along the plug's z axis."""
    x, y, z, w = pose_base_plug[3:]
    axis = np.array([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)])
    tip: Array = pose_base_plug[:3] + tip_m * axis
    return tip


def depth_m(tip: Array, pose_base_socket: Array) -> float:
    """How far the tip is below the socket's rim; negative above it or beside the hole."""
    below = pose_base_socket[2] + SOCKET_HEIGHT_M - tip[2]
    beside = np.hypot(*(tip[:2] - pose_base_socket[:2])) > 0.006
    return float(-1.0 if beside and below > 0 else below)


def insertion_progress(tip: Array, pose_base_socket: Array, yaw_error_rad: float) -> float:
    """Potential in [0, 1): nearing the rim, aligned, counts 0.5; going in the rest."""
    depth = depth_m(tip, pose_base_socket)
    rim = pose_base_socket[:3] + np.array([0.0, 0.0, SOCKET_HEIGHT_M])
    away = float(np.linalg.norm((tip - rim) * (1.0, 1.0, float(tip[2] > rim[2]))))
    near = 0.5 * np.exp(-25.0 * away - 0.8 * abs(yaw_error_rad))
    return float(near + 0.49 * np.clip(depth / SEATED_M, 0.0, 1.0))


def plan_insertion(now: Snapshot, tip: Array, target: Array, phase: int, first: int) -> Waypoint:
    """Hover over the socket, lower, and once the plug sits on the rim feel for the hole in a spiral.

    Args:
        now: the cell.
        tip: position of the plug's lower end ``[3]``.
        target: `pose_base_socket`.
        phase: the expert's memory.
        first: number of the hover phase; every later number is lowering, and counts steps spent on the rim.
    """
    tool = now.arm.pose_base_tcp
    yaw = yaw_of(tool) + square_yaw(yaw_of(target) - yaw_of(tool))
    off = target[:2] - tip[:2]
    turned = abs(square_yaw(yaw_of(target) - yaw_of(tool)))
    height = tip[2] - (target[2] + SOCKET_HEIGHT_M)
    inside = height < -0.002
    aligned = np.hypot(*off) < 0.0008 and turned < 0.02
    if phase <= first:
        if not (aligned and height < 0.015):
            hover = 0.008 - height if np.hypot(*off) < 0.01 else max(0.02 - height, 0.0)
            return Waypoint(down_pose((*(tool[:2] + off), tool[2] + hover), yaw), 0.0, first, speed=0.8)
        phase = first + 1
    elif not inside and (np.hypot(*off) > 0.006 or turned > 0.08):
        return Waypoint(down_pose((*(tool[:2] + off), tool[2] + 0.01), yaw), 0.0, first, speed=0.8)
    on_rim = not inside and height < 0.002
    if not on_rim:
        return Waypoint(down_pose((*(tool[:2] + off), tool[2] - 0.012), yaw), 0.0, first + 1, speed=0.6)
    # Friction holds the plug on the rim: press lightly and ask for more than the offset, then feel in a spiral.
    steps = phase - first
    radius, angle = min(0.0001 * steps, 0.002), 0.9 * steps
    lateral = tool[:2] + 3.0 * off + radius * np.array([np.cos(angle), np.sin(angle)])
    return Waypoint(down_pose((*lateral, tool[2] - 0.004), yaw), 0.0, phase + 1, speed=0.6)
