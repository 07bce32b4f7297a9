"""Where the tool is, from joint positions: the Panda's and FR3's kinematics in plain numpy.

The modified Denavit-Hartenberg parameters are those of the Franka Control Interface manual, with the hand's own flange
and tool centre point. A smaller arm whose links are the Panda's times one number has the same tool pose but for that
number in its translations.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from robot_rl.controllers import se3
from robot_rl.core.errors import DataError
from robot_rl.core.types import Array

JOINTS = 7
_RIGHT = math.pi / 2
# a in m, d in m, alpha in rad: modified convention, to the link before.
_LINKS = (
    (0.0, 0.333, 0.0),
    (0.0, 0.0, -_RIGHT),
    (0.0, 0.316, _RIGHT),
    (0.0825, 0.0, _RIGHT),
    (-0.0825, 0.384, -_RIGHT),
    (0.0, 0.0, _RIGHT),
    (0.088, 0.0, _RIGHT),
)
# Flange, hand turned by -45 degrees on it, and the point between the finger tips.
_LINK7_TCP = np.array([0.0, 0.0, 0.107 + 0.1034, 0.0, 0.0, math.sin(-math.pi / 8), math.cos(-math.pi / 8)])


def panda_tcp(q_rad: npt.ArrayLike) -> Array:
    """Pose of the tool centre point in the base frame ``[7]``.

    Args:
        q_rad: joint positions ``[7]``, of any turn.

    Raises:
        DataError: these are not seven finite numbers.
    """
    q = np.asarray(q_rad, np.float64)
    if q.shape != (JOINTS,) or not np.isfinite(q).all():
        raise DataError(f"an arm has {JOINTS} finite joint positions, got {q.tolist()}")
    pose: Array = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    for (a_m, d_m, alpha_rad), angle_rad in zip(_LINKS, q.tolist(), strict=True):
        pose = se3.pose_compose(pose, _joint(a_m, d_m, alpha_rad, angle_rad))
    return se3.normalize_pose(se3.pose_compose(pose, _LINK7_TCP))


def _joint(a_m: float, d_m: float, alpha_rad: float, angle_rad: float) -> Array:
    """Rotation about x by alpha, then about the new z by the joint's angle; the shift lies along the new axes."""
    sin_a, cos_a = math.sin(alpha_rad / 2), math.cos(alpha_rad / 2)
    sin_q, cos_q = math.sin(angle_rad / 2), math.cos(angle_rad / 2)
    shift = [a_m, -math.sin(alpha_rad) * d_m, math.cos(alpha_rad) * d_m]
    return np.array([*shift, sin_a * cos_q, -sin_a * sin_q, cos_a * sin_q, cos_a * cos_q])


KINEMATICS = {"panda": panda_tcp}
"""By the name in a leader's configuration: from joint positions to the pose of the tool centre point."""
