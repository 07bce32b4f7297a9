"""How fast a joint motion may be: franky takes shares of the robot's limits, we want a duration."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DeviceError
from robot_rl.core.types import Array

MAX_SHARE = 0.3
"""Largest share of any limit that a motion uses; a distant goal then takes longer than was asked for."""
ARRIVED_RAD = 0.02
BISECTIONS = 40


def check_joints(q_rad: npt.ArrayLike) -> Array:
    """A copy of joint positions ``[7]``.

    Raises:
        DeviceError: they are not seven finite numbers.
    """
    q = np.array(q_rad, np.float64)
    if q.shape != (7,) or not np.isfinite(q).all():
        raise DeviceError(f"a joint configuration is seven finite angles in rad, got {q.tolist()}")
    return q


def limit_share(way_rad: Array, duration_s: float, velocity: Array, acceleration: Array, jerk: Array) -> float:
    """Share of all limits with which a jerk-limited motion takes a duration, or longer where `MAX_SHARE` asks for it.

    One share for velocity, acceleration and jerk: with a share of its own for each, motions would be smoother still,
    but franky's planner fails at times when that of the jerk is small.

    Args:
        way_rad: of each joint ``[7]``, not all zero; franky lets all joints arrive with the last one.
        duration_s: positive.
        velocity: limits ``[7]`` in rad/s.
        acceleration: in rad/s^2.
        jerk: in rad/s^3.

    Returns:
        In (0, `MAX_SHARE`].

    Raises:
        DeviceError: the duration is not a positive time.
    """
    if not 0.0 < duration_s < math.inf:
        raise DeviceError(f"a joint motion needs a positive duration, got {duration_s} s")
    way = np.abs(way_rad)

    def taken_s(share: float) -> float:
        limits = zip(way, share * velocity, share * acceleration, share * jerk, strict=True)
        return max(rest_to_rest_s(*map(float, joint)) for joint in limits)

    if taken_s(MAX_SHARE) >= duration_s:
        return MAX_SHARE
    # At this share the motion would take the duration at its largest velocity alone.
    slow, fast = float((way / velocity).max()) / duration_s, MAX_SHARE
    for _ in range(BISECTIONS):
        middle = 0.5 * (slow + fast)
        slow, fast = (middle, fast) if taken_s(middle) >= duration_s else (slow, middle)
    return slow


def rest_to_rest_s(way: float, velocity: float, acceleration: float, jerk: float) -> float:
    """Shortest time from rest to rest over a way, within limits of velocity, acceleration and jerk; any unit of length.

    The profile has up to seven phases; which of the limits are reached decides how many.
    """
    if way <= 0.0:
        return 0.0
    reaches_acceleration = velocity * jerk >= acceleration**2
    ramp_s = acceleration / jerk if reaches_acceleration else math.sqrt(velocity / jerk)
    speeding_s = ramp_s + velocity / acceleration if reaches_acceleration else 2.0 * ramp_s
    if way >= velocity * speeding_s:
        return way / velocity + speeding_s
    if way >= 2.0 * acceleration**3 / jerk**2:
        half_ramp_s = 0.5 * acceleration / jerk
        return 2.0 * (half_ramp_s + math.sqrt(half_ramp_s**2 + way / acceleration))
    return 4.0 * float(np.cbrt(way / (2.0 * jerk)))
