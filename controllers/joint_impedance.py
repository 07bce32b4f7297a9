"""Joint impedance along a minimum-jerk path: how the arm gets to a joint configuration, for instance at a reset.

``tau = K clip(q_d - q, +-c) + D (dq_d - dq) + bias`` with ``(q_d, dq_d)`` from `robot_rl.controllers.min_jerk`. The
clip bounds the torque with which a blocked arm pushes, as reference limiting does for the Cartesian law.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from robot_rl.controllers.compiled import compiled
from robot_rl.core.errors import ConfigError
from robot_rl.core.types import Array


@dataclass(frozen=True)
class JointImpedanceParams:
    """Settings, one value per joint.

    Attributes:
        stiffness_nm_rad: K; the joint impedance example of libfranka.
        damping_nms_rad: D; likewise.
        clip_rad: c, largest error that the spring sees; 0.1 rad bounds the push of joints 1-4 to 60 Nm.
    """

    stiffness_nm_rad: tuple[float, ...] = (600.0, 600.0, 600.0, 600.0, 250.0, 150.0, 50.0)
    damping_nms_rad: tuple[float, ...] = (50.0, 50.0, 50.0, 50.0, 30.0, 25.0, 15.0)
    clip_rad: tuple[float, ...] = (0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1)

    def __post_init__(self) -> None:
        """Check sizes and ranges.

        Raises:
            ConfigError: naming the field, what it was and what it may be.
        """
        for name in ("stiffness_nm_rad", "damping_nms_rad", "clip_rad"):
            value = tuple(float(v) for v in getattr(self, name))
            if len(value) != 7 or not all(v >= 0.0 for v in value):
                raise ConfigError(f"joint impedance {name} must hold 7 numbers that are not negative, got {value}")
            object.__setattr__(self, name, value)


class JointLaw(NamedTuple):
    """The settings as arrays ``[7]``."""

    stiffness_nm_rad: Array
    damping_nms_rad: Array
    clip_rad: Array


def pack_joint_law(params: JointImpedanceParams) -> JointLaw:
    """Settings as the compiled code reads them."""
    return JointLaw(np.array(params.stiffness_nm_rad), np.array(params.damping_nms_rad), np.array(params.clip_rad))


@compiled
def joint_torque(
    law: JointLaw, joint: int, q_rad: float, dq_rad_s: float, q_desired_rad: float, dq_desired_rad_s: float
) -> float:
    """Torque of one joint in Nm, without the bias and before torque and rate limits."""
    clip = law.clip_rad[joint]
    error = min(max(q_desired_rad - q_rad, -clip), clip)
    torque: float = law.stiffness_nm_rad[joint] * error + law.damping_nms_rad[joint] * (dq_desired_rad_s - dq_rad_s)
    return torque
