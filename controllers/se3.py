"""Rigid-body maths on single poses: quaternions, rotation vectors, composition, tool-frame deltas.

A pose is ``float64[7] = [x, y, z, qx, qy, qz, qw]``, a rotation vector is axis times angle in radians. Inputs may be
any array-like of the right length; quaternions are expected to be of unit length (see `normalize_pose`); every result
is a new array. Conventions and formulas: Lynch and Park, "Modern Robotics", 2017, chapter 3 and appendix B.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from robot_rl.controllers import kernel
from robot_rl.core.errors import DataError
from robot_rl.core.types import Array


def _vector(values: npt.ArrayLike, size: int, what: str) -> Array:
    """A private contiguous copy; the compiled code does not check sizes."""
    vector = np.array(values, np.float64)
    if vector.shape != (size,):
        raise DataError(f"a {what} has {size} values, got an array of shape {list(vector.shape)}")
    return vector


def quat_multiply(a_xyzw: npt.ArrayLike, b_xyzw: npt.ArrayLike) -> Array:
    """Rotation `b` followed by rotation `a`."""
    out = _vector(a_xyzw, 4, "quaternion")
    kernel.quat_multiply(out, _vector(b_xyzw, 4, "quaternion"), out)
    return out


def quat_inverse(quat_xyzw: npt.ArrayLike) -> Array:
    """The opposite rotation."""
    out = _vector(quat_xyzw, 4, "quaternion")
    out[:3] *= -1.0
    return out


def quat_normalize(quat_xyzw: npt.ArrayLike) -> Array:
    """Scaled to unit length, the sign kept.

    Raises:
        DataError: the length is zero or not finite.
    """
    out = _vector(quat_xyzw, 4, "quaternion")
    length = math.hypot(*out.tolist())
    if not 1e-12 < length < math.inf:
        raise DataError(f"a quaternion of length {length:g} has no direction: {out.tolist()}")
    return out / length


def quat_rotate(quat_xyzw: npt.ArrayLike, vector: npt.ArrayLike) -> Array:
    """A vector ``[3]`` of the rotated frame, expressed in the frame that the rotation refers to."""
    # Plain floats: on three numbers they are several times faster than array operations.
    x, y, z, w = _vector(quat_xyzw, 4, "quaternion").tolist()
    a, b, c = _vector(vector, 3, "vector").tolist()
    tx, ty, tz = 2.0 * (y * c - z * b), 2.0 * (z * a - x * c), 2.0 * (x * b - y * a)
    return np.array([a + w * tx + y * tz - z * ty, b + w * ty + z * tx - x * tz, c + w * tz + x * ty - y * tx])


def quat_to_matrix(quat_xyzw: npt.ArrayLike) -> Array:
    """Rotation matrix ``[3, 3]``."""
    return np.stack([quat_rotate(quat_xyzw, axis) for axis in np.eye(3)], axis=1)


def quat_to_rotvec(quat_xyzw: npt.ArrayLike) -> Array:
    """Rotation vector with an angle in [0, pi]."""
    quat = _vector(quat_xyzw, 4, "quaternion")
    out = np.empty(3)
    kernel.quat_to_rotvec(-quat if quat[3] < 0.0 else quat, out)
    return out


def rotvec_to_quat(rotvec_rad: npt.ArrayLike) -> Array:
    """Unit quaternion of a rotation vector of any angle."""
    out = np.empty(4)
    kernel.rotvec_to_quat(_vector(rotvec_rad, 3, "rotation vector"), out)
    return out


def quat_between(start_xyzw: npt.ArrayLike, end_xyzw: npt.ArrayLike) -> Array:
    """Shortest rotation ``end * start^-1``, expressed in the frame both refer to, with non-negative scalar part."""
    out = np.empty(4)
    kernel.quat_between(_vector(start_xyzw, 4, "quaternion"), _vector(end_xyzw, 4, "quaternion"), out)
    return out


def quat_angle(a_xyzw: npt.ArrayLike, b_xyzw: npt.ArrayLike) -> float:
    """Angle between two orientations in [0, pi] rad."""
    x, y, z, w = quat_between(a_xyzw, b_xyzw).tolist()
    return 2.0 * math.atan2(math.hypot(x, y, z), w)


def slerp(start_xyzw: npt.ArrayLike, end_xyzw: npt.ArrayLike, share: float) -> Array:
    """Orientation a share of the way along the shortest arc: `start` at 0, an equal of `end` at 1."""
    rotvec = share * quat_to_rotvec(quat_between(start_xyzw, end_xyzw))
    return quat_normalize(quat_multiply(rotvec_to_quat(rotvec), start_xyzw))


def random_quat(rng: np.random.Generator) -> Array:
    """Uniformly distributed orientation."""
    return quat_normalize(rng.standard_normal(4))


def normalize_pose(pose: npt.ArrayLike) -> Array:
    """The pose with a unit quaternion.

    Raises:
        DataError: the quaternion has no direction, or the pose is not of seven values.
    """
    out = _vector(pose, 7, "pose")
    out[3:] = quat_normalize(out[3:])
    return out


def pose_compose(pose_a_b: npt.ArrayLike, pose_b_c: npt.ArrayLike) -> Array:
    """``pose_a_c`` of a chain of two poses."""
    a_b, b_c = _vector(pose_a_b, 7, "pose"), _vector(pose_b_c, 7, "pose")
    return np.concatenate([a_b[:3] + quat_rotate(a_b[3:], b_c[:3]), quat_multiply(a_b[3:], b_c[3:])])


def pose_inverse(pose_a_b: npt.ArrayLike) -> Array:
    """``pose_b_a``."""
    pose = _vector(pose_a_b, 7, "pose")
    turn_back = quat_inverse(pose[3:])
    return np.concatenate([-quat_rotate(turn_back, pose[:3]), turn_back])


def apply_tool_delta(pose_base_tcp: npt.ArrayLike, delta_tcp: npt.ArrayLike) -> Array:
    """Move a pose by a delta whose translation and rotation vector are both expressed in the tool's own frame.

    The two parts are independent: the frame change of a delta is a rotation, without a lever arm, so a pure translation
    never turns the tool and a pure rotation never moves the tool centre point.

    Args:
        pose_base_tcp: ``[7]``.
        delta_tcp: translation in m and rotation vector in rad ``[6]``.

    Returns:
        The moved ``pose_base_tcp`` ``[7]`` with a unit quaternion.
    """
    pose, delta = _vector(pose_base_tcp, 7, "pose"), _vector(delta_tcp, 6, "tool delta")
    quat = quat_multiply(pose[3:], rotvec_to_quat(delta[3:]))
    return np.concatenate([pose[:3] + quat_rotate(pose[3:], delta[:3]), quat_normalize(quat)])


def tool_delta(pose_from: npt.ArrayLike, pose_to: npt.ArrayLike) -> Array:
    """The delta ``[6]`` that `apply_tool_delta` needs to get from one pose to the other; rotations up to pi rad."""
    start, end = _vector(pose_from, 7, "pose"), _vector(pose_to, 7, "pose")
    turn_back = quat_inverse(start[3:])
    rotation = quat_to_rotvec(quat_multiply(turn_back, end[3:]))
    return np.concatenate([quat_rotate(turn_back, end[:3] - start[:3]), rotation])
