"""The compiled code of one control tick: quaternions, Cartesian impedance, joint impedance. It allocates nothing.

Every function writes into arrays that its caller made once. `robot_rl.controllers.impedance` holds the same law in
plain numpy, with the equations; the two agree to 1e-12.
Quaternions are xyzw and unit, forces and errors are in the base frame.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from robot_rl.controllers.compiled import compiled
from robot_rl.core.types import Array

JOINTS = 7
# Rows of a gain table float64[7, 7]; the Cartesian rows use the first six columns.
STIFFNESS, DAMPING, CLIP_UPPER, CLIP_LOWER, INTEGRAL_GAIN, NULL_STIFFNESS, NULL_DAMPING = range(7)


class Law(NamedTuple):
    """Constants of the impedance law for one control period; made by `robot_rl.controllers.impedance.pack_law`.

    Attributes:
        gains: table that the gains in `ImpedanceMemory` approach ``[7, 7]``.
        integral_limit: bound of the integrated error ``[6]`` in m s and rad s.
        torque_limit_nm: ``[7]``.
        torque_step_nm: largest change of a torque per tick.
        target_blend: share of the way from reference to target per tick, in (0, 1].
        gain_blend: the same for the gains.
        damping_squared: squared regularisation of the nullspace projector.
        half_sine: 1.0 for the vector part of the error quaternion, 0.0 for the rotation vector.
        gravity: 1.0 when gravity is part of the commanded torque, 0.0 when the robot adds it.
        period_s: control period.
    """

    gains: Array
    integral_limit: Array
    torque_limit_nm: Array
    torque_step_nm: float
    target_blend: float
    gain_blend: float
    damping_squared: float
    half_sine: float
    gravity: float
    period_s: float


class ImpedanceMemory(NamedTuple):
    """What the law remembers from tick to tick, changed in place.

    Attributes:
        gains: gains in force ``[7, 7]``.
        reference: pose that the spring pulls to, ``pose_base_reference`` ``[7]``.
        target: pose that the reference approaches, ``pose_base_target`` ``[7]``.
        integral: integrated clipped error ``[6]`` in m s and rad s.
        torque_nm: last command ``[7]``.
        q_null_rad: posture that the nullspace spring pulls to ``[7]``.
    """

    gains: Array
    reference: Array
    target: Array
    integral: Array
    torque_nm: Array
    q_null_rad: Array


class Reading(NamedTuple):
    """What the law is told about the arm each tick.

    Attributes:
        q_rad: ``[7]``.
        dq_rad_s: ``[7]``.
        pose_base_tcp: ``[7]``.
        jacobian: of the tool centre point in the base frame, translation rows first ``[6, 7]``.
        bias_nm: gravity and Coriolis torque ``[7]``.
        gravity_nm: the part of `bias_nm` that the robot compensates on its own when asked to ``[7]``.
    """

    q_rad: Array
    dq_rad_s: Array
    pose_base_tcp: Array
    jacobian: Array
    bias_nm: Array
    gravity_nm: Array


class Scratch(NamedTuple):
    """Room for intermediate values."""

    quat: Array
    quat_other: Array
    rotvec: Array
    error: Array
    force: Array
    posture_nm: Array
    matrix: Array


def make_scratch() -> Scratch:
    """Allocate the room once."""
    return Scratch(np.zeros(4), np.zeros(4), np.zeros(3), np.zeros(6), np.zeros(6), np.zeros(JOINTS), np.zeros((6, 6)))


def make_memory() -> ImpedanceMemory:
    """Memory of a law that has not run: identity poses, zero gains."""
    identity = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    zeros = np.zeros(JOINTS)
    return ImpedanceMemory(np.zeros((7, 7)), identity, identity.copy(), np.zeros(6), zeros, zeros.copy())


@compiled
def quat_multiply(a: Array, b: Array, out: Array) -> None:
    """``out = a * b`` (Hamilton product, xyzw); `out` may be an input."""
    ax, ay, az, aw = a[0], a[1], a[2], a[3]
    bx, by, bz, bw = b[0], b[1], b[2], b[3]
    out[0] = aw * bx + ax * bw + ay * bz - az * by
    out[1] = aw * by - ax * bz + ay * bw + az * bx
    out[2] = aw * bz + ax * by - ay * bx + az * bw
    out[3] = aw * bw - ax * bx - ay * by - az * bz


@compiled
def quat_between(start: Array, end: Array, out: Array) -> None:
    """``out = end * start^-1`` with non-negative scalar part: the short way round, expressed in the base frame."""
    sx, sy, sz, sw = -start[0], -start[1], -start[2], start[3]
    ex, ey, ez, ew = end[0], end[1], end[2], end[3]
    w = ew * sw - ex * sx - ey * sy - ez * sz
    sign = -1.0 if w < 0.0 else 1.0
    out[0] = sign * (ew * sx + ex * sw + ey * sz - ez * sy)
    out[1] = sign * (ew * sy - ex * sz + ey * sw + ez * sx)
    out[2] = sign * (ew * sz + ex * sy - ey * sx + ez * sw)
    out[3] = sign * w


@compiled
def quat_normalize(quat: Array) -> None:
    """Scale to unit length in place."""
    scale = 1.0 / math.sqrt(quat[0] ** 2 + quat[1] ** 2 + quat[2] ** 2 + quat[3] ** 2)
    for i in range(4):
        quat[i] *= scale


@compiled
def quat_to_rotvec(quat: Array, out: Array) -> None:
    """Logarithm of a unit quaternion with non-negative scalar part; the angle is in [0, pi]."""
    sine = math.sqrt(quat[0] ** 2 + quat[1] ** 2 + quat[2] ** 2)
    # atan2 keeps full precision at both ends; below 1e-10 the ratio equals its limit 2 / w to machine precision.
    scale = 2.0 * math.atan2(sine, quat[3]) / sine if sine > 1e-10 else 2.0 / quat[3]
    for i in range(3):
        out[i] = scale * quat[i]


@compiled
def rotvec_to_quat(rotvec: Array, out: Array) -> None:
    """Exponential of a rotation vector."""
    angle = math.sqrt(rotvec[0] ** 2 + rotvec[1] ** 2 + rotvec[2] ** 2)
    scale = math.sin(0.5 * angle) / angle if angle > 1e-10 else 0.5
    for i in range(3):
        out[i] = scale * rotvec[i]
    out[3] = math.cos(0.5 * angle)


@compiled
def quat_advance(quat: Array, end: Array, share: float, scratch: Scratch) -> None:
    """Turn `quat` in place by a share of the shortest rotation to `end` (spherical interpolation)."""
    quat_between(quat, end, scratch.quat)
    quat_to_rotvec(scratch.quat, scratch.rotvec)
    for i in range(3):
        scratch.rotvec[i] *= share
    rotvec_to_quat(scratch.rotvec, scratch.quat)
    quat_multiply(scratch.quat, quat, scratch.quat)
    for i in range(4):
        quat[i] = scratch.quat[i]
    quat_normalize(quat)


@compiled
def limit_torque(torque_nm: float, last_nm: float, step_nm: float, limit_nm: float) -> float:
    """Bound the change since the last tick, then the torque itself."""
    bounded = last_nm + min(max(torque_nm - last_nm, -step_nm), step_nm)
    return min(max(bounded, -limit_nm), limit_nm)


@compiled
def _advance_reference(law: Law, memory: ImpedanceMemory, scratch: Scratch) -> None:
    """First-order filters of target pose and gains."""
    for i in range(3):
        memory.reference[i] += law.target_blend * (memory.target[i] - memory.reference[i])
    quat_advance(memory.reference[3:], memory.target[3:], law.target_blend, scratch)
    for row in range(7):
        for i in range(7):
            memory.gains[row, i] += law.gain_blend * (law.gains[row, i] - memory.gains[row, i])


@compiled
def _clipped_error(law: Law, memory: ImpedanceMemory, pose: Array, scratch: Scratch) -> None:
    """Reference minus pose, clipped per axis and sign, into ``scratch.error``; integrates it."""
    error = scratch.error
    quat_between(pose[3:], memory.reference[3:], scratch.quat)
    if law.half_sine == 0.0:
        quat_to_rotvec(scratch.quat, scratch.rotvec)
    for i in range(3):
        error[i] = memory.reference[i] - pose[i]
        error[i + 3] = scratch.quat[i] if law.half_sine != 0.0 else scratch.rotvec[i]
    for i in range(6):
        error[i] = min(max(error[i], -memory.gains[CLIP_LOWER, i]), memory.gains[CLIP_UPPER, i])
        limit = law.integral_limit[i]
        memory.integral[i] = min(max(memory.integral[i] + error[i] * law.period_s, -limit), limit)


@compiled
def _spring_force(memory: ImpedanceMemory, reading: Reading, scratch: Scratch) -> None:
    """Wrench of springs, dampers and integral at the tool into ``scratch.force``."""
    gains = memory.gains
    for i in range(6):
        speed = 0.0
        for k in range(JOINTS):
            speed += reading.jacobian[i, k] * reading.dq_rad_s[k]
        scratch.force[i] = (
            gains[STIFFNESS, i] * scratch.error[i]
            - gains[DAMPING, i] * speed
            + gains[INTEGRAL_GAIN, i] * memory.integral[i]
        )


@compiled
def solve_spd(matrix: Array, vector: Array) -> None:
    """Solve ``matrix x = vector`` for a symmetric positive definite matrix by Cholesky, in place of both."""
    n = vector.shape[0]
    for j in range(n):
        for k in range(j):
            matrix[j, j] -= matrix[j, k] * matrix[j, k]
        matrix[j, j] = math.sqrt(matrix[j, j])
        for i in range(j + 1, n):
            for k in range(j):
                matrix[i, j] -= matrix[i, k] * matrix[j, k]
            matrix[i, j] /= matrix[j, j]
    for i in range(n):
        for k in range(i):
            vector[i] -= matrix[i, k] * vector[k]
        vector[i] /= matrix[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            vector[i] -= matrix[k, i] * vector[k]
        vector[i] /= matrix[i, i]


@compiled
def _posture_wrench(law: Law, memory: ImpedanceMemory, reading: Reading, scratch: Scratch) -> None:
    """Posture torque into ``scratch.posture_nm``; the wrench it would cause is taken off ``scratch.force``."""
    jacobian, posture = reading.jacobian, scratch.posture_nm
    for k in range(JOINTS):
        stretch = memory.q_null_rad[k] - reading.q_rad[k]
        posture[k] = memory.gains[NULL_STIFFNESS, k] * stretch - memory.gains[NULL_DAMPING, k] * reading.dq_rad_s[k]
    leak = scratch.error  # the error has been used; its room now holds J posture, then (J J^T + l^2 I)^-1 of it
    for i in range(6):
        leak[i] = 0.0
        for k in range(JOINTS):
            leak[i] += jacobian[i, k] * posture[k]
        for j in range(i + 1):
            product = law.damping_squared if i == j else 0.0
            for k in range(JOINTS):
                product += jacobian[i, k] * jacobian[j, k]
            scratch.matrix[i, j] = product
    solve_spd(scratch.matrix, leak)
    for i in range(6):
        scratch.force[i] -= leak[i]


@compiled
def impedance_tick(law: Law, memory: ImpedanceMemory, reading: Reading, scratch: Scratch) -> None:
    """One period of Cartesian impedance: advances `memory`, whose ``torque_nm`` is the command."""
    _advance_reference(law, memory, scratch)
    _clipped_error(law, memory, reading.pose_base_tcp, scratch)
    _spring_force(memory, reading, scratch)
    _posture_wrench(law, memory, reading, scratch)
    for k in range(JOINTS):
        torque = scratch.posture_nm[k] + reading.bias_nm[k]
        if law.gravity == 0.0:
            torque -= reading.gravity_nm[k]
        for i in range(6):
            torque += reading.jacobian[i, k] * scratch.force[i]
        memory.torque_nm[k] = limit_torque(torque, memory.torque_nm[k], law.torque_step_nm, law.torque_limit_nm[k])
