"""The desired motion: what a client commands, checked against the interface's limits, as joint angles to track.

Cartesian commands become joint motion by differential inverse kinematics on a copy of the arm that stands at the
desired joint angles. The arm's one spare degree of freedom is its third joint, the elbow: it stays, or follows the
commanded elbow.
"""

from __future__ import annotations

import mujoco
import numpy as np

from robot_rl.core.types import Array
from robot_rl.hardware.fci.messages import MotionMode
from robot_rl.hardware.fci.plant import ArmPlant
from robot_rl.hardware.fci.urdf import FLANGE_M, VELOCITY_LIMIT_RAD_S
from robot_rl.hardware.mujoco import panda
from robot_rl.hardware.mujoco.scene import TIMESTEP_S

# Limits of the interface. Commands may exceed them a little, as rounding to single precision makes them do.
JOINT_ACCELERATION_RAD_S2 = 10.0
CARTESIAN_VELOCITY = np.array([3.0, 3.0, 3.0, 2.5, 2.5, 2.5])
CARTESIAN_ACCELERATION = np.array([9.0, 9.0, 9.0, 17.0, 17.0, 17.0])
VELOCITY_TOLERANCE = 1.01
ACCELERATION_TOLERANCE = 1.2
START_TOLERANCE_RAD = 0.01
START_TOLERANCE_M = 0.01
IK_DAMPING = 1e-4
# Pulls the desired pose onto the commanded one; integrating velocities alone would drift.
IK_GAIN_1_S = 100.0


def rotation_vector(turn: Array) -> Array:
    """Axis times angle of a rotation matrix ``[3]``, angles below pi."""
    quat, out = np.zeros(4), np.zeros(3)
    mujoco.mju_mat2Quat(quat, np.ascontiguousarray(turn).reshape(9))
    mujoco.mju_quat2Vel(out, quat, 1.0)
    return out


def pose_difference(start: Array, end: Array) -> Array:
    """Translation and rotation from one pose ``[4, 4]`` to another, in base axes ``[6]``."""
    return np.concatenate([end[:3, 3] - start[:3, 3], rotation_vector(end[:3, :3] @ start[:3, :3].T)])


class DesiredMotion:
    """Follows commands of one motion mode at a time.

    Every ``follow`` returns the name of the limit that a command breaks, or None.

    Attributes:
        q, dq, ddq: desired joint motion ``[7]``.
        O_T_EE: desired pose ``[4, 4]``.
        twist, acceleration: of the end effector as last commanded, base axes ``[6]``.
        O_T_EE_c: last commanded pose; the desired one in joint modes.

    Args:
        plant: the arm whose tool settings count.
    """

    def __init__(self, plant: ArmPlant) -> None:
        self._plant = plant
        self._copy = mujoco.MjData(plant.model)
        self._link7 = plant.model.body("link7").id
        self._jac = np.zeros((6, plant.model.nv))
        self.q, self.dq, self.ddq = plant.q.copy(), np.zeros(7), np.zeros(7)
        self.twist, self.acceleration = np.zeros(6), np.zeros(6)
        self.O_T_EE, self.O_T_EE_c = np.eye(4), np.eye(4)
        self.rest(plant.q)

    def rest(self, q_rad: Array) -> None:
        """Nothing moves: stay at joint angles."""
        self.q = q_rad.copy()
        self.dq, self.ddq = np.zeros(7), np.zeros(7)
        self.twist, self.acceleration = np.zeros(6), np.zeros(6)
        self._kinematics()
        self.O_T_EE_c = self.O_T_EE

    def follow(self, mode: MotionMode, command: np.void, first: bool, gap: int, ticks: int) -> str | None:
        """Take the command for this tick.

        Args:
            mode: which of its fields count.
            command: of dtype `robot_rl.hardware.fci.messages.ROBOT_COMMAND`.
            first: whether it begins the motion.
            gap: milliseconds from the desired position to the commanded one.
            ticks: milliseconds since the last command, in which the velocity may have changed.
        """
        gap_s, span_s = gap * TIMESTEP_S, ticks * TIMESTEP_S
        if mode is MotionMode.JOINT_POSITION:
            return self._joint_position(command["q_c"].copy(), gap_s, span_s, first)
        if mode is MotionMode.JOINT_VELOCITY:
            return self._joint_velocity(command["dq_c"].copy(), span_s)
        elbow = command["elbow_c"] if command["valid_elbow"] else None
        if mode is MotionMode.CARTESIAN_POSITION:
            pose = command["O_T_EE_c"].reshape(4, 4).T.copy()
            return self._pose(pose, elbow, gap_s, span_s, first)
        return self._twist(command["O_dP_EE_c"].copy(), elbow, span_s)

    def coast(self) -> None:
        """No command came in time: go on at the last velocity."""
        self.ddq[:] = 0.0
        self.q = self.q + self.dq * TIMESTEP_S
        self._kinematics()
        self.O_T_EE_c = self.O_T_EE

    def _joint_position(self, q: Array, gap_s: float, span_s: float, first: bool) -> str | None:
        if first and np.abs(q - self.q).max() > START_TOLERANCE_RAD:
            return "joint_position_motion_generator_start_pose_invalid"
        fault = self._move_joints((q - self.q) / gap_s, span_s)
        self.q = q
        self._joints_moved()
        return fault

    def _joint_velocity(self, dq: Array, span_s: float) -> str | None:
        fault = self._move_joints(dq, span_s)
        self.q = self.q + dq * TIMESTEP_S
        self._joints_moved()
        return fault

    def _move_joints(self, dq: Array, span_s: float) -> str | None:
        """Check a joint velocity against the last, and adopt both."""
        self.ddq, self.dq = (dq - self.dq) / span_s, dq
        if (np.abs(dq) > VELOCITY_LIMIT_RAD_S * VELOCITY_TOLERANCE).any():
            return "joint_motion_generator_velocity_limits_violation"
        if np.abs(self.ddq).max() > JOINT_ACCELERATION_RAD_S2 * ACCELERATION_TOLERANCE:
            return "joint_motion_generator_velocity_discontinuity"
        q = self.q + dq * TIMESTEP_S
        if (q < panda.Q_MIN_RAD).any() or (q > panda.Q_MAX_RAD).any():
            return "joint_motion_generator_position_limits_violation"
        return None

    def _joints_moved(self) -> None:
        before = self.twist
        self._kinematics()
        self.twist = self._jac[:, :7] @ self.dq
        self.acceleration = (self.twist - before) / TIMESTEP_S
        self.O_T_EE_c = self.O_T_EE

    def _pose(self, pose: Array, elbow: Array | None, gap_s: float, span_s: float, first: bool) -> str | None:
        turn = pose[:3, :3]
        if np.abs(turn @ turn.T - np.eye(3)).max() > 1e-3 or np.linalg.det(turn) < 0 or (pose[3] != (0, 0, 0, 1)).any():
            return "cartesian_position_motion_generator_invalid_frame"
        if first and np.abs(pose_difference(self.O_T_EE_c, pose)).max() > START_TOLERANCE_M:
            return "cartesian_position_motion_generator_start_pose_invalid"
        twist = pose_difference(self.O_T_EE_c, pose) / gap_s
        fault = self._move_tool(twist, span_s)
        self.O_T_EE_c = pose
        return fault or self._reach(twist + IK_GAIN_1_S * pose_difference(self._advanced(twist), pose), elbow)

    def _twist(self, twist: Array, elbow: Array | None, span_s: float) -> str | None:
        fault = self._move_tool(twist, span_s)
        fault = fault or self._reach(twist, elbow)
        self.O_T_EE_c = self.O_T_EE
        return fault

    def _move_tool(self, twist: Array, span_s: float) -> str | None:
        """Check a twist against the last, by its translational and rotational size, and adopt both."""
        self.acceleration, self.twist = (twist - self.twist) / span_s, twist
        for part in (slice(0, 3), slice(3, 6)):
            if np.linalg.norm(twist[part]) > CARTESIAN_VELOCITY[part][0] * VELOCITY_TOLERANCE:
                return "cartesian_motion_generator_velocity_limits_violation"
            if np.linalg.norm(self.acceleration[part]) > CARTESIAN_ACCELERATION[part][0] * ACCELERATION_TOLERANCE:
                return "cartesian_motion_generator_velocity_discontinuity"
        return None

    def _advanced(self, twist: Array) -> Array:
        """The desired pose a tick of a twist later, to first order in translation and exactly in rotation."""
        out, turn = self.O_T_EE.copy(), np.zeros(9)
        angle = float(np.linalg.norm(twist[3:])) * TIMESTEP_S
        out[:3, 3] += twist[:3] * TIMESTEP_S
        if angle > 0.0:
            quat = np.zeros(4)
            mujoco.mju_axisAngle2Quat(quat, twist[3:] / np.linalg.norm(twist[3:]), angle)
            mujoco.mju_quat2Mat(turn, quat)
            out[:3, :3] = turn.reshape(3, 3) @ out[:3, :3]
        return out

    def _reach(self, twist: Array, elbow: Array | None) -> str | None:
        """Joint velocities that give a twist and move the elbow as commanded; adopted if the joints can."""
        A = np.vstack([self._jac[:, :7], [0, 0, 1, 0, 0, 0, 0]])
        speed = 0.0 if elbow is None else float(np.clip((elbow[0] - self.q[2]) / TIMESTEP_S, -2.0, 2.0))
        dq = A.T @ np.linalg.solve(A @ A.T + IK_DAMPING**2 * np.eye(7), np.append(twist, speed))
        self.ddq, self.dq = (dq - self.dq) / TIMESTEP_S, dq
        if (np.abs(dq) > VELOCITY_LIMIT_RAD_S * VELOCITY_TOLERANCE).any():
            return "cartesian_motion_generator_joint_velocity_limits_violation"
        q = self.q + dq * TIMESTEP_S
        if (q < panda.Q_MIN_RAD).any() or (q > panda.Q_MAX_RAD).any():
            return "cartesian_motion_generator_joint_position_limits_violation"
        self.q = q
        self._kinematics()
        return None

    def _kinematics(self) -> None:
        """Pose and Jacobian of the end effector at the desired joint angles."""
        model, copy = self._plant.model, self._copy
        copy.qpos[:7] = self.q
        mujoco.mj_kinematics(model, copy)
        mujoco.mj_comPos(model, copy)
        turn = copy.xmat[self._link7].reshape(3, 3)
        flange = np.eye(4)
        flange[:3, :3] = turn
        flange[:3, 3] = copy.xpos[self._link7] + FLANGE_M * turn[:, 2]
        self.O_T_EE = flange @ self._plant.tool.F_T_EE
        mujoco.mj_jac(model, copy, self._jac[:3], self._jac[3:], self.O_T_EE[:3, 3], self._link7)
