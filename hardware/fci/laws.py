"""The robot's own controllers: joint impedance, Cartesian impedance. Torques are without gravity."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from robot_rl.core.types import Array
from robot_rl.hardware.fci.desired import DesiredMotion, pose_difference
from robot_rl.hardware.fci.plant import ArmPlant

POSTURE_STIFFNESS_NM_RAD = 20.0
JOINT_STIFFNESS_RANGE_NM_RAD = (0.0, 14250.0)
CARTESIAN_STIFFNESS_RANGES = ((10.0, 3000.0),) * 3 + ((1.0, 300.0),) * 3


@dataclass
class Stiffness:
    """Springs of the two controllers, in Nm/rad ``[7]`` and N/m, Nm/rad ``[6]``."""

    joint: Array = field(default_factory=lambda: np.array([3000.0, 3000.0, 3000.0, 2500.0, 2500.0, 2000.0, 2000.0]))
    cartesian: Array = field(default_factory=lambda: np.array([3000.0, 3000.0, 3000.0, 300.0, 300.0, 300.0]))


def joint_impedance(plant: ArmPlant, desired: DesiredMotion, stiffness: Array) -> Array:
    """Springs and critical dampers on the joints with the desired acceleration fed forward ``[7]``."""
    mass = plant.mass_matrix()
    damping = 2.0 * np.sqrt(stiffness * np.diag(mass))
    spring = stiffness * (desired.q - plant.q) + damping * (desired.dq - plant.dq)
    torque: Array = spring + mass @ desired.ddq + plant.coriolis_nm
    return torque


def cartesian_impedance(plant: ArmPlant, desired: DesiredMotion, stiffness: Array) -> Array:
    """Springs and dampers at the end effector, and a soft posture spring in the nullspace ``[7]``."""
    J, mass = plant.jacobian, plant.mass_matrix()
    apparent = np.linalg.inv(J @ np.linalg.solve(mass, J.T) + 1e-6 * np.eye(6))
    damping = 2.0 * np.sqrt(stiffness * np.diag(apparent))
    error = pose_difference(plant.O_T_EE, desired.O_T_EE)
    force = stiffness * error + damping * (J @ (desired.dq - plant.dq)) + apparent @ (J @ desired.ddq)
    posture = POSTURE_STIFFNESS_NM_RAD * (desired.q - plant.q) + 2.0 * np.sqrt(POSTURE_STIFFNESS_NM_RAD) * (
        desired.dq - plant.dq
    )
    leak = np.linalg.solve(J @ J.T + 1e-6 * np.eye(6), J @ posture)
    torque: Array = J.T @ (force - leak) + posture + plant.coriolis_nm
    return torque
