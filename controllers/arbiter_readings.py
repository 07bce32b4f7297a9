"""What the arbiter is told about the arm each tick, and the checks of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from robot_rl.controllers import se3
from robot_rl.controllers.arbiter_config import ArbiterConfig
from robot_rl.controllers.guards import ForceGuard
from robot_rl.controllers.safety import check_pose, limit_target
from robot_rl.core.errors import DeviceError
from robot_rl.core.types import Array

_MOVED_M, _MOVED_RAD = 0.001, 0.01


class RobotMode(Enum):
    """What the robot itself says about whether it takes commands."""

    READY = "ready"
    REFLEX = "reflex"
    """It stopped itself, for instance after a collision, and needs its own error recovery."""
    USER_STOPPED = "user_stopped"
    GUIDING = "guiding"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True)
class Measurement:
    """One reading of the arm.

    Attributes:
        t_s: when it was taken, on the arbiter's clock. The same one may be given to several ticks.
        pose_base_tcp: tool centre point in the base frame ``[7]``.
        wrench_tcp: external wrench on the tool, tared ``[6]`` in N and Nm; it is low-passed here.
        q_rad: joint positions ``[n]``, as many as the configuration has limits for.
        robot_mode: of the robot.
    """

    t_s: float
    pose_base_tcp: npt.ArrayLike
    wrench_tcp: npt.ArrayLike
    q_rad: npt.ArrayLike
    robot_mode: RobotMode = RobotMode.READY


@dataclass(frozen=True)
class Reading:
    """A `Measurement` that was checked, its arrays private copies."""

    t_s: float
    pose_base_tcp: Array
    wrench_tcp: Array
    q_rad: Array
    robot_mode: RobotMode


class ArmWatch:
    """Keeps the last good reading and finds what is wrong with it. Complaints are pairs of fault name and reason.

    Args:
        config: limits and times.
    """

    def __init__(self, config: ArbiterConfig) -> None:
        self._config = config
        self._force = ForceGuard(config.max_force_n, config.max_torque_nm, config.force_cutoff_hz)
        self.reading: Reading | None = None
        self.near_joint_limit = False
        self._before: Reading | None = None

    def configure(self, config: ArbiterConfig) -> None:
        """Go on with other limits; the low-passed force stays."""
        self._config = config
        self._force.max_force_n, self._force.max_torque_nm = config.max_force_n, config.max_torque_nm
        self._force.cutoff_hz = config.force_cutoff_hz

    @property
    def moved(self) -> bool:
        """Whether the arm moved further between the last two readings than one that is held ever does."""
        before, reading = self._before, self.reading
        if before is None or reading is None:
            return False
        far = bool(np.abs(reading.pose_base_tcp[:3] - before.pose_base_tcp[:3]).max() > _MOVED_M)
        return far or se3.quat_angle(reading.pose_base_tcp[3:], before.pose_base_tcp[3:]) > _MOVED_RAD

    def fresh(self, t_s: float) -> Reading | None:
        """The last good reading, unless it is too old."""
        reading = self.reading
        return reading if reading and t_s - reading.t_s < self._config.max_measurement_age_s else None

    def forget_forces(self) -> None:
        """Start the low-pass anew."""
        self._force.recover()

    def take(self, measurement: Measurement, t_s: float, *, watch_force: bool) -> list[tuple[str, str]]:
        """Keep a measurement if it is good and newer than the last; the complaints about it."""
        try:
            reading = check_measurement(measurement, t_s, self._config)
        except DeviceError as e:
            return [("bad_measurement", str(e))]
        last = self.reading
        if last is not None and reading.t_s <= last.t_s:
            return []
        self._before, self.reading = last, reading
        if not watch_force:
            return []
        fault = self._force.update(reading.wrench_tcp, reading.t_s - last.t_s if last else 0.0)
        force, torque = math.hypot(*reading.wrench_tcp[:3]), math.hypot(*reading.wrench_tcp[3:])
        reason = f"low-passed force or torque is too large; the last reading was {force:.4g} N and {torque:.4g} Nm"
        return [] if fault is None else [(fault, reason)]

    def complaints(self, t_s: float, *, in_workspace: bool) -> list[tuple[str, str]]:
        """Everything that forbids the arm to move now; also sees whether a joint is close to its limit.

        Args:
            t_s: time now.
            in_workspace: whether the arm has to be in box and cone.
        """
        reading = self.fresh(t_s)
        if reading is None:
            age = "there was none" if self.reading is None else f"the last is {t_s - self.reading.t_s:.4g} s old"
            return [("stale_measurement", f"a measurement is due every {self._config.max_measurement_age_s} s: {age}")]
        found = []
        if reading.robot_mode is RobotMode.REFLEX:
            found.append(("reflex", "the robot stopped itself"))
        elif reading.robot_mode is not RobotMode.READY:
            found.append(("robot_unavailable", f"the robot is {reading.robot_mode.value}"))
        room_rad, joint = joint_room_rad(reading.q_rad, self._config)
        self.near_joint_limit = room_rad < self._config.joint_margin_rad
        if room_rad < 0.0:
            found.append(("joint_limit", f"joint {joint + 1} is {-room_rad:.4g} rad beyond its limit"))
        if in_workspace and (reason := outside_workspace(reading.pose_base_tcp, self._config)):
            found.append(("outside_workspace", reason))
        return found


def check_measurement(measurement: Measurement, t_s: float, config: ArbiterConfig) -> Reading:
    """A private copy of a measurement that can be relied on.

    Args:
        measurement: what the driver says.
        t_s: time now.
        config: number of joints, and how far ahead of the clock a measurement may be.

    Raises:
        DeviceError: saying what is wrong with it.
    """
    if not measurement.t_s <= t_s + config.max_future_s or not math.isfinite(measurement.t_s):
        raise DeviceError(f"a measurement is stamped {measurement.t_s} s, and it is {t_s} s now")
    return Reading(
        measurement.t_s,
        check_pose(measurement.pose_base_tcp),
        _finite(measurement.wrench_tcp, 6, "wrench"),
        _finite(measurement.q_rad, len(config.q_min_rad), "joint configuration"),
        measurement.robot_mode,
    )


def outside_workspace(pose_base_tcp: Array, config: ArbiterConfig) -> str | None:
    """Why a measured pose is too far out of box or cone to be commanded, or None.

    Within the reach an arm may be outside: it gives way when something pushes it.
    """
    nearest = limit_target(pose_base_tcp, pose_base_tcp, pose_base_tcp, config.workspace)
    if not nearest.active:
        return None
    way_m = float(np.abs(nearest.pose[:3] - pose_base_tcp[:3]).max())
    way_rad = se3.quat_angle(nearest.pose[3:], pose_base_tcp[3:])
    if way_m <= config.reach_m and way_rad <= config.reach_rad:
        return None
    return f"the tool is {way_m:.4g} m and {way_rad:.4g} rad outside the workspace"


def joint_room_rad(q_rad: Array, config: ArbiterConfig) -> tuple[float, int]:
    """Smallest distance of a joint to one of its limits, negative beyond it, and which joint it is, from 0."""
    room = np.minimum(q_rad - np.array(config.q_min_rad), np.array(config.q_max_rad) - q_rad)
    joint = int(room.argmin())
    return float(room[joint]), joint


def _finite(values: npt.ArrayLike, size: int, what: str) -> Array:
    try:
        checked = np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError) as e:
        raise DeviceError(f"a {what} is {size} numbers, got {values!r}") from e
    if checked.shape != (size,) or not np.isfinite(checked).all():
        raise DeviceError(f"a {what} is {size} finite numbers, got {checked.tolist()}")
    return checked
