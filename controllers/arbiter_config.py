"""Settings of the safety arbiter, with where their defaults come from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from robot_rl.controllers.safety import TargetLimits, limit_target
from robot_rl.core.config import Range, check_ranges
from robot_rl.core.errors import ConfigError
from robot_rl.core.types import Array

_Positive = Range(1e-6, 1e6)


@dataclass(frozen=True)
class ArbiterConfig:
    """What the arbiter allows. Defaults are for a Franka Research 3 whose tool points down at a table in front of it.

    Example:
        >>> ArbiterConfig().limits(period_s=0.01).slew_m
        0.0025

    Attributes:
        box_min_m: lower corner of the workspace in the base frame. A box within the arm's reach of 855 mm; measure
            your own cell.
        box_max_m: upper corner.
        quat_nominal_xyzw: orientation that tilt and spin count from; the default points the tool down.
        max_tilt_rad: half angle of the cone around the nominal tool axis.
        max_spin_rad: largest turn about the tool axis.
        slew_m_s: largest speed of each coordinate of the target. 250 mm/s is the reduced speed of ISO 10218-1.
        slew_rad_s: largest angular speed of the target.
        reach_m: largest distance of each coordinate of the target from the measured one. With the 2000 N/m of
            `ImpedanceParams`, 10 mm bound the static force to 20 N per axis.
        reach_rad: largest rotation from the measured orientation; 0.1 rad as in `ImpedanceParams`.
        max_tick_s: longest time between two ticks that the slew limit makes use of: after a pause nothing jumps.
        hold_after_s: age of the last command from which the target stays where it is.
        fault_after_s: age from which it freezes at the measured pose, with a fault.
        max_command_age_s: age on arrival from which a command is rejected.
        max_future_s: how far ahead of the clock a time stamp may be.
        max_rejections: unusable commands of one role in a row that are a fault.
        max_measurement_age_s: age of the last measurement that is a fault: ten periods of a 100 Hz reading.
        max_force_n: norm of the low-passed external force; Franka's own examples set their collision reflex to 20 N
            or more per axis.
        max_torque_nm: norm of the low-passed external torque; a bit more than 75 Nm/rad and 0.1 rad give.
        force_cutoff_hz: of the low-pass.
        q_min_rad: lower joint limits; of the Franka Research 3 data sheet.
        q_max_rad: upper joint limits.
        joint_margin_rad: distance from a joint limit at which the arm holds.
        frame_id: the frame that commands must name.
        roles: who may command, the weakest first: a later one takes over from an earlier one.
        home_timeout_s: longest motion home.
        auto_recoveries_per_hour: reflexes that are recovered without a person, within any hour.
    """

    box_min_m: tuple[float, float, float] = (0.25, -0.35, 0.0)
    box_max_m: tuple[float, float, float] = (0.65, 0.35, 0.6)
    quat_nominal_xyzw: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    max_tilt_rad: Annotated[float, Range(0.0, math.pi)] = 0.6
    max_spin_rad: Annotated[float, Range(0.0, math.pi)] = 1.2
    slew_m_s: Annotated[float, Range(0.0, 2.0)] = 0.25
    slew_rad_s: Annotated[float, Range(0.0, 6.0)] = 1.0
    reach_m: Annotated[float, Range(0.0, 0.2)] = 0.01
    reach_rad: Annotated[float, Range(0.0, 1.0)] = 0.1
    max_tick_s: Annotated[float, Range(1e-4, 0.2)] = 0.05
    hold_after_s: Annotated[float, Range(0.01, 10.0)] = 0.2
    fault_after_s: Annotated[float, Range(0.01, 60.0)] = 1.0
    max_command_age_s: Annotated[float, Range(0.001, 10.0)] = 0.2
    max_future_s: Annotated[float, Range(0.0, 1.0)] = 0.02
    max_rejections: Annotated[int, Range(1, 1000)] = 10
    max_measurement_age_s: Annotated[float, Range(0.001, 1.0)] = 0.1
    max_force_n: Annotated[float, _Positive] = 30.0
    max_torque_nm: Annotated[float, _Positive] = 10.0
    force_cutoff_hz: Annotated[float, _Positive] = 30.0
    q_min_rad: tuple[float, ...] = (-2.7437, -1.7837, -2.9007, -3.0421, -2.8065, 0.5445, -3.0159)
    q_max_rad: tuple[float, ...] = (2.7437, 1.7837, 2.9007, -0.1518, 2.8065, 4.5169, 3.0159)
    joint_margin_rad: Annotated[float, Range(0.0, 0.5)] = 0.05
    frame_id: str = "base"
    roles: tuple[str, ...] = ("policy", "operator")
    home_timeout_s: Annotated[float, Range(0.1, 600.0)] = 30.0
    auto_recoveries_per_hour: Annotated[int, Range(0, 60)] = 0

    def __post_init__(self) -> None:
        """Check ranges, and that what belongs together fits.

        Raises:
            ConfigError: naming what was got and what it may be.
        """
        check_ranges(self)
        if self.hold_after_s > self.fault_after_s:
            raise ConfigError(
                f"hold_after_s is {self.hold_after_s}, expected at most fault_after_s, which is {self.fault_after_s}"
            )
        middle = [
            low + self.joint_margin_rad < high - self.joint_margin_rad
            for low, high in zip(self.q_min_rad, self.q_max_rad, strict=False)
        ]
        if not (middle and len(self.q_min_rad) == len(self.q_max_rad) and all(middle)):
            raise ConfigError(
                f"joint limits {self.q_min_rad} to {self.q_max_rad} must be two lists of one length, in order, with "
                f"room between the margins of {self.joint_margin_rad} rad"
            )
        if not self.roles or len(set(self.roles)) != len(self.roles):
            raise ConfigError(f"roles must be different names, the weakest first, got {self.roles}")
        # Built once here, so that a box that is none is refused now and not by the first tick.
        _ = self.workspace

    @cached_property
    def workspace(self) -> TargetLimits:
        """Box and cone alone."""
        return TargetLimits(
            self.box_min_m, self.box_max_m, self.quat_nominal_xyzw, self.max_tilt_rad, self.max_spin_rad
        )

    @cached_property
    def leash(self) -> TargetLimits:
        """The distance from the measured pose alone: what a frozen target is kept within."""
        far = math.inf
        return TargetLimits((-far, -far, -far), (far, far, far), reach_m=self.reach_m, reach_rad=self.reach_rad)

    def limits(self, period_s: float) -> TargetLimits:
        """All limits of a target, `period_s` after the one before it; negative times count as none."""
        period_s = min(max(period_s, 0.0), self.max_tick_s)
        return TargetLimits(
            self.box_min_m,
            self.box_max_m,
            self.quat_nominal_xyzw,
            self.max_tilt_rad,
            self.max_spin_rad,
            slew_m=self.slew_m_s * period_s,
            slew_rad=self.slew_rad_s * period_s,
            reach_m=self.reach_m,
            reach_rad=self.reach_rad,
        )


def check_change(before: ArbiterConfig, after: ArbiterConfig, pose_base_tcp: Array | None) -> None:
    """Check that an arbiter can change its configuration while it runs.

    Args:
        before: configuration now.
        after: configuration from now on.
        pose_base_tcp: target of an arm that may move ``[7]``; it must not jump into another workspace.

    Raises:
        ConfigError: roles, frame or number of joints differ, or the target is outside of the new workspace.
    """
    kept = [(c.roles, c.frame_id, len(c.q_min_rad)) for c in (before, after)]
    if kept[0] != kept[1]:
        raise ConfigError(f"roles, frame and number of joints were {kept[0]}, got {kept[1]}: start the arbiter anew")
    pose = pose_base_tcp
    if pose is not None and limit_target(pose, pose, pose, after.workspace).active:
        raise ConfigError(
            f"the target at {pose.round(3).tolist()} is outside of the new workspace: disable or move the arm first"
        )
