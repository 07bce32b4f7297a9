"""Limits on target poses between policy and control law, applied at the policy's rate by a pure function.

The limits, strongest first, when they contradict each other:

1. workspace: a box for the position, a cone for the direction of the tool axis and a range for the spin about it;
2. reach: how far the target may be from the measured pose, so that a blocked arm does not wind up;
3. slew: how far the target may be from the previous one.

Positions are limited per base axis, so a target beyond a wall slides along it. `Watchdog` and `ForceGuard` are in
`robot_rl.controllers.guards`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from robot_rl.controllers import se3
from robot_rl.core.errors import ConfigError, DeviceError
from robot_rl.core.types import Array

_UNIT_TOLERANCE = 1e-3
_ANGLE_TOLERANCE_RAD = 1e-9
_BISECTIONS = 25


@dataclass(frozen=True)
class TargetLimits:
    """What a target pose may be.

    Attributes:
        box_min_m: lower corner of the workspace in the base frame ``[3]``.
        box_max_m: upper corner ``[3]``.
        quat_nominal_xyzw: orientation that tilt and spin are measured from, in the base frame; the default points the
            tool axis down.
        max_tilt_rad: half angle of the cone around the nominal tool axis (+z of the tool), in [0, pi].
        max_spin_rad: largest turn about the tool axis from the nominal one, in [0, pi].
        slew_m: largest change of each coordinate from one target to the next.
        slew_rad: largest rotation from one target to the next.
        reach_m: largest distance of each coordinate from the measured position.
        reach_rad: largest rotation from the measured orientation.
    """

    box_min_m: tuple[float, float, float]
    box_max_m: tuple[float, float, float]
    quat_nominal_xyzw: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    max_tilt_rad: float = math.pi
    max_spin_rad: float = math.pi
    slew_m: float = math.inf
    slew_rad: float = math.inf
    reach_m: float = math.inf
    reach_rad: float = math.inf

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ConfigError: naming what is wrong.
        """
        low, high = np.array(self.box_min_m, np.float64), np.array(self.box_max_m, np.float64)
        if low.shape != (3,) or high.shape != (3,) or not (low <= high).all():
            raise ConfigError(f"workspace box must have 3 lower and 3 upper bounds in order, got {low} to {high}")
        if len(self.quat_nominal_xyzw) != 4 or abs(math.hypot(*self.quat_nominal_xyzw) - 1.0) > _UNIT_TOLERANCE:
            raise ConfigError(f"nominal orientation must be a unit quaternion xyzw, got {self.quat_nominal_xyzw}")
        for name in ("max_tilt_rad", "max_spin_rad", "slew_m", "slew_rad", "reach_m", "reach_rad"):
            if not getattr(self, name) >= 0.0:
                raise ConfigError(f"limit {name} must be 0 or more, got {getattr(self, name)}")


@dataclass(frozen=True)
class LimitedTarget:
    """Result of the filter.

    Attributes:
        pose: within the limits, ``pose_base_tcp`` ``[7]``.
        active: limits that the wish broke: ``box``, ``cone``, ``reach``, ``slew``; empty if `pose` is the wish.
    """

    pose: Array
    active: frozenset[str]


def check_pose(pose: npt.ArrayLike) -> Array:
    """A copy of a pose that may be sent to an arm, its quaternion scaled to exact unit length.

    Raises:
        DeviceError: it is not seven finite numbers with a quaternion of unit length.
    """
    try:
        checked = np.array(pose, np.float64)
    except (TypeError, ValueError, OverflowError) as e:
        raise DeviceError(f"a pose is seven numbers x y z qx qy qz qw, got {pose!r}") from e
    if checked.shape != (7,) or not np.isfinite(checked).all():
        raise DeviceError(f"a pose is seven finite numbers x y z qx qy qz qw, got {checked.tolist()}")
    length = math.hypot(*checked[3:].tolist())
    if abs(length - 1.0) > _UNIT_TOLERANCE:
        raise DeviceError(f"a pose needs a unit quaternion, got {checked[3:].tolist()} of length {length:.6g}")
    # Rescaling what is exact already would change its last digit, and with it a target that no limit touches.
    if abs(length - 1.0) > 1e-12:
        checked[3:] /= length
    return checked


def _turn(quat_xyzw: Array, limits: TargetLimits) -> Array:
    """Rotation from the nominal orientation, in the nominal tool frame."""
    return se3.quat_multiply(se3.quat_inverse(limits.quat_nominal_xyzw), quat_xyzw)


def _tilt_and_spin(turn: Array) -> tuple[float, float]:
    """Angles of the swing-twist decomposition about the tool axis, in [0, pi] and [-pi, pi] rad."""
    x, y, z, w = turn.tolist()
    tilt = 2.0 * math.atan2(math.hypot(x, y), math.hypot(z, w))
    return tilt, math.remainder(2.0 * math.atan2(z, w), 2.0 * math.pi)


def _in_cone(quat_xyzw: Array, limits: TargetLimits) -> bool:
    """Whether tilt and spin are within their limits."""
    tilt, spin = _tilt_and_spin(_turn(quat_xyzw, limits))
    room = _ANGLE_TOLERANCE_RAD
    return tilt <= limits.max_tilt_rad + room and abs(spin) <= limits.max_spin_rad + room


def _into_cone(quat_xyzw: Array, limits: TargetLimits) -> Array:
    """Nearest tilt and spin within the limits."""
    if _in_cone(quat_xyzw, limits):
        return quat_xyzw
    turn = _turn(quat_xyzw, limits)
    tilt, spin = _tilt_and_spin(turn)
    swing = se3.quat_to_rotvec(se3.quat_multiply(turn, se3.rotvec_to_quat([0.0, 0.0, -spin])))
    swing *= min(1.0, limits.max_tilt_rad / tilt) if tilt > 0.0 else 1.0
    spin = min(max(spin, -limits.max_spin_rad), limits.max_spin_rad)
    turn = se3.quat_multiply(se3.rotvec_to_quat(swing), se3.rotvec_to_quat([0.0, 0.0, spin]))
    return se3.quat_normalize(se3.quat_multiply(limits.quat_nominal_xyzw, turn))


def _furthest(start: Array, end: Array, allowed: Callable[[Array], bool]) -> Array:
    """The end, or the last allowed orientation found on the way to it from an allowed start."""
    if allowed(end):
        return end
    good, bad, best = 0.0, 1.0, start
    for _ in range(_BISECTIONS):
        middle = 0.5 * (good + bad)
        candidate = se3.slerp(start, end, middle)
        if allowed(candidate):
            good, best = middle, candidate
        else:
            bad = middle
    return best


def _limit_rotation(target: Array, previous: Array, measured: Array, limits: TargetLimits) -> tuple[Array, set[str]]:
    """Orientation part of `limit_target`."""
    nearest = _into_cone(measured, limits)
    # An arm that was pushed out of its cone is called back to the rim, even if that is further than the reach.
    reach = max(limits.reach_rad, se3.quat_angle(nearest, measured)) + _ANGLE_TOLERANCE_RAD

    def near(quat: Array) -> bool:
        return se3.quat_angle(quat, measured) <= reach and _in_cone(quat, limits)

    anchor = _furthest(nearest, _into_cone(previous, limits), near)
    wish = _into_cone(target, limits)
    way = se3.quat_angle(wish, anchor)
    if way > limits.slew_rad + _ANGLE_TOLERANCE_RAD:
        wish = se3.slerp(anchor, wish, limits.slew_rad / way)
    limited = _furthest(anchor, wish, near)
    active = set() if _in_cone(target, limits) else {"cone"}
    if se3.quat_angle(target, measured) > reach:
        active.add("reach")
    if se3.quat_angle(target, anchor) > limits.slew_rad + _ANGLE_TOLERANCE_RAD:
        active.add("slew")
    return limited, active


def _limit_position(target: Array, previous: Array, measured: Array, limits: TargetLimits) -> tuple[Array, set[str]]:
    """Position part of `limit_target`: every limit is an interval per axis, so their intersection is one too."""
    box_low, box_high = np.array(limits.box_min_m), np.array(limits.box_max_m)
    low = np.clip(measured - limits.reach_m, box_low, box_high)
    high = np.clip(measured + limits.reach_m, box_low, box_high)
    anchor = np.clip(previous, low, high)
    slew_low, slew_high = np.maximum(low, anchor - limits.slew_m), np.minimum(high, anchor + limits.slew_m)
    active = set()
    if ((target < box_low) | (target > box_high)).any():
        active.add("box")
    if ((target < measured - limits.reach_m) | (target > measured + limits.reach_m)).any():
        active.add("reach")
    if ((target < anchor - limits.slew_m) | (target > anchor + limits.slew_m)).any():
        active.add("slew")
    return np.clip(target, slew_low, slew_high), active


def limit_target(
    pose_target: npt.ArrayLike, pose_previous: npt.ArrayLike, pose_measured: npt.ArrayLike, limits: TargetLimits
) -> LimitedTarget:
    """Bring a target pose within the limits; a pure function, idempotent, the identity on targets within them.

    When the previous target has itself become forbidden, because the arm was pushed or the limits have changed, the
    slew limit counts from the allowed pose nearest to it. When the measured pose is outside of the workspace, the
    result is at its rim.

    Args:
        pose_target: wish, ``pose_base_tcp`` ``[7]``.
        pose_previous: last target that was sent ``[7]``.
        pose_measured: of the arm ``[7]``.
        limits: the limits.

    Returns:
        The allowed pose and the names of the limits that the wish broke.

    Raises:
        DeviceError: a pose is not finite or its quaternion not of unit length.
    """
    target, previous, measured = (check_pose(pose) for pose in (pose_target, pose_previous, pose_measured))
    position, position_active = _limit_position(target[:3], previous[:3], measured[:3], limits)
    rotation, rotation_active = _limit_rotation(target[3:], previous[3:], measured[3:], limits)
    return LimitedTarget(np.concatenate([position, rotation]), frozenset(position_active | rotation_active))
