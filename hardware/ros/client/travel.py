"""The way of a tool to the start of an episode, as timed target poses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from robot_rl.controllers.min_jerk import min_jerk, min_jerk_duration
from robot_rl.controllers.se3 import quat_angle, slerp
from robot_rl.core.types import Array

RATE_HZ = 50.0
TURN_RAD_S = 0.5
_SAME_M, _SAME_RAD = 1e-3, 5e-3


def near(pose: Array, other: Array, distance_m: float, angle_rad: float) -> bool:
    """Whether two poses ``[7]`` are within these distances of each other."""
    return bool(np.linalg.norm(pose[:3] - other[:3]) <= distance_m and quat_angle(pose[3:], other[3:]) <= angle_rad)


def lifted(pose_base_tcp: Array, height_m: float) -> Array:
    """The same pose at another height above the base."""
    pose = pose_base_tcp.copy()
    pose[2] = height_m
    return pose


def route(measured: Array, start: Array, clearance_m: float, ceiling_m: float) -> list[Array]:
    """Corners of the way: straight up, across, straight down.

    Args:
        measured: where the tool is ``pose_base_tcp[7]``.
        start: where it is to be.
        clearance_m: how far it is lifted at least.
        ceiling_m: height above the base that it stays below, except where it is above it already.

    Returns:
        Poses from the first to the last, of which the last is `start`; corners that would be no motion are left out.
    """
    top_m = max(min(max(measured[2] + clearance_m, start[2]), ceiling_m), measured[2], start[2])
    corners, last = [], measured
    for corner in (lifted(measured, top_m), lifted(start, top_m), start):
        if not near(corner, last, _SAME_M, _SAME_RAD):
            corners.append(corner)
            last = corner
    if not corners or last is not start:
        corners.append(start)
    return corners


def timed(pose_from: Array, pose_to: Array, speed_m_s: float, rate_hz: float = RATE_HZ) -> Iterator[Array]:
    """Target poses along a straight minimum-jerk motion from rest to rest, the last of which is `pose_to`.

    Args:
        pose_from: where it begins ``[7]``; not among the targets.
        pose_to: where it ends.
        speed_m_s: largest speed; turns are limited to `TURN_RAD_S`.
        rate_hz: targets per second.
    """
    way_m = float(np.linalg.norm(pose_to[:3] - pose_from[:3]))
    turn_rad = quat_angle(pose_from[3:], pose_to[3:])
    duration_s = max(min_jerk_duration(way_m, speed_m_s), min_jerk_duration(turn_rad, TURN_RAD_S))
    for k in range(1, int(np.ceil(duration_s * rate_hz))):
        share, _ = min_jerk(k / rate_hz, duration_s)
        position = pose_from[:3] + share * (pose_to[:3] - pose_from[:3])
        yield np.concatenate([position, slerp(pose_from[3:], pose_to[3:], share)])
    yield pose_to
