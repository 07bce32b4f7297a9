"""Readings and commands that cross a device boundary.

Conventions, here and everywhere: SI units; a pose is ``float64[7] = [x, y, z, qx, qy, qz, qw]`` named
``pose_<reference>_<target>``; a twist is ``[vx, vy, vz, wx, wy, wz]``; a wrench is ``[fx, fy, fz, tx, ty, tz]``;
quaternions are unit and ordered xyzw; times are seconds of the cell's clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]
Features = npt.NDArray[np.float16]


@dataclass(frozen=True)
class ArmState:
    """One reading of the arm.

    Attributes:
        q_rad: joint positions ``[7]``.
        dq_rad_s: joint velocities ``[7]``.
        pose_base_tcp: tool centre point in the base frame ``[7]``.
        twist_base_tcp: velocity of the tool centre point, expressed in the base frame ``[6]``.
        wrench_tcp: low-passed external wrench on the tool, expressed in the tool frame ``[6]``; tared.
        t_s: time of the reading on the cell's clock.
        fault: name of a latched fault, or None.
    """

    q_rad: Array
    dq_rad_s: Array
    pose_base_tcp: Array
    twist_base_tcp: Array
    wrench_tcp: Array
    t_s: float
    fault: str | None = None


@dataclass(frozen=True)
class GripperState:
    """One reading of a parallel gripper.

    Attributes:
        width_m: measured opening between the finger pads.
        target_m: last commanded opening.
        max_width_m: largest opening of this gripper.
        t_s: time of the reading on the cell's clock.
    """

    width_m: float
    target_m: float
    max_width_m: float
    t_s: float


@dataclass(frozen=True)
class CellReadings:
    """Everything known about a cell at one control tick; for people who watch, never for policies.

    Attributes:
        arm: reading of the arm.
        gripper: reading of the gripper.
        objects: `pose_base_object` ``[7]`` by name, as far as the cell knows it.
        pose_base_target: where the tool was sent last ``[7]``.
    """

    arm: ArmState
    gripper: GripperState
    objects: Mapping[str, Array]
    pose_base_target: Array


@dataclass(frozen=True)
class Frame:
    """One camera image.

    Attributes:
        image: ``uint8[H, W, 3]`` RGB.
        t_s: capture time on the cell's clock.
        sequence: strictly increasing per camera; a repeated number is the same exposure.
    """

    image: Image
    t_s: float
    sequence: int


@dataclass(frozen=True)
class TeleopState:
    """What an operator device says now.

    Attributes:
        engaged: the operator has taken over.
        twist_tcp: motion in the policy's units: ``[6]`` in [-1, 1], tool frame.
        gripper: in [-1, 1]: above 0.5 opens, below -0.5 closes, otherwise keeps.
        buttons: names of the buttons held down, for example ``{"success"}``.
        age_s: time since the device last reported.
        stand_in: a program acts in a person's place.
    """

    engaged: bool = False
    twist_tcp: Array = field(default_factory=lambda: np.zeros(6))
    gripper: float = 0.0
    buttons: frozenset[str] = frozenset()
    age_s: float = 0.0
    stand_in: bool = False
