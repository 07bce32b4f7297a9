"""The simulated arm as a robot controller sees it: torques in, joint readings and estimated external wrench out.

The robot adds the torque that holds the arm and the load it has been told of; what it has not been told of shows as
an external wrench, as on a real arm. Signs are the interface's: what the robot exerts on the world is positive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import mujoco
import numpy as np

from robot_rl.core.errors import ConfigError, unknown_name
from robot_rl.core.scene import SceneObject
from robot_rl.core.types import Array
from robot_rl.hardware.fci.urdf import FLANGE_M
from robot_rl.hardware.mujoco import panda
from robot_rl.hardware.mujoco.scene import TIMESTEP_S, build_model

EXTERNAL_CUTOFF_HZ = 30.0
GRAVITY_M_S2 = 9.81


def _hand_frame() -> Array:
    """``F_T_NE`` of the Franka hand: turned by -45 degrees, 103.4 mm out."""
    out = np.eye(4)
    c = np.sqrt(0.5)
    out[:2, :2], out[2, 3] = [[c, c], [-c, c]], panda.FLANGE_TO_TCP_M
    return out


@dataclass
class ToolSettings:
    """What the robot has been told about its tool; matrices ``[4, 4]``, masses in kg, centres in the flange frame."""

    F_T_NE: Array = field(default_factory=_hand_frame)
    NE_T_EE: Array = field(default_factory=lambda: np.eye(4))
    EE_T_K: Array = field(default_factory=lambda: np.eye(4))
    m_ee: float = 0.0
    F_x_Cee: Array = field(default_factory=lambda: np.zeros(3))
    I_ee: Array = field(default_factory=lambda: np.zeros((3, 3)))
    m_load: float = 0.0
    F_x_Cload: Array = field(default_factory=lambda: np.zeros(3))
    I_load: Array = field(default_factory=lambda: np.zeros((3, 3)))

    @property
    def F_T_EE(self) -> Array:  # noqa: N802 - the interface's name
        """End effector in the flange frame."""
        return self.F_T_NE @ self.NE_T_EE


class ArmPlant:
    """Physics of the cell under torque control, one millisecond at a time.

    Attributes:
        q, dq: joint positions and velocities ``[7]``.
        O_T_F: flange pose ``[4, 4]``.
        jacobian: of the end effector's origin in the base frame, translation rows first ``[6, 7]``.
        coriolis_nm: ``[7]``.
        push_n: what `push` has set ``[6]``.
        tau_j_nm: what the joints' torque sensors read ``[7]``.
        tau_ext_nm: estimated external torque, low-pass filtered ``[7]``.
        wrench_base_k: the same as force and torque about the origin of K, in base axes ``[6]``.

    Args:
        objects: the task's objects.
    """

    def __init__(self, objects: Sequence[SceneObject] = ()) -> None:
        self.model = build_model(objects)
        self.data = mujoco.MjData(self.model)
        self.tool = ToolSettings()
        self._link7 = self.model.body("link7").id
        self._hand = self.model.body("hand").id
        self._objects = {o.name: o for o in objects}
        self._held = [self.model.body(o.name).id for o in objects if o.mount == "hand"]
        self._arm_bodies = np.array([self.model.body(f"link{i}").id for i in range(1, 8)])
        self._subtree_kg = self.model.body_subtreemass[self._arm_bodies].copy()
        self.push_n = np.zeros(6)
        self._blend = 1.0 - np.exp(-2.0 * np.pi * EXTERNAL_CUTOFF_HZ * TIMESTEP_S)
        self._jac = np.zeros((6, self.model.nv))
        self._full_mass = np.zeros((self.model.nv, self.model.nv))
        self._armature = self.model.dof_armature[:7].copy()
        self._damping = np.asarray(self.model.dof_damping).reshape(self.model.nv, -1)[:7, 0].copy()
        self.q, self.dq, self.coriolis_nm = self.data.qpos[:7], self.data.qvel[:7], np.zeros(7)
        self.tau_j_nm, self.tau_ext_nm, self.wrench_base_k = np.zeros(7), np.zeros(7), np.zeros(6)
        self.O_T_F, self.jacobian = np.eye(4), np.zeros((6, 7))
        self._gravity_nm, self._told_gravity_nm = np.zeros(7), np.zeros(7)
        self.reset(panda.Q_HOME_RAD)
        self._measure_tool()

    def reset(
        self,
        q_rad: Array,
        gripper_width_m: float = panda.GRIPPER_MAX_WIDTH_M,
        object_poses: Mapping[str, Array] | None = None,
    ) -> None:
        """Put everything at rest.

        Args:
            q_rad: joint angles ``[7]``.
            gripper_width_m: opening of the fingers.
            object_poses: `pose_base_object` ``[7]`` by name; others stand where the model has them.
        """
        data = self.data
        mujoco.mj_resetData(self.model, data)
        data.qpos[:7] = q_rad
        for side in ("left", "right"):
            data.joint(f"finger_{side}").qpos[0] = gripper_width_m / 2
        data.actuator(panda.GRIPPER_ACTUATOR).ctrl[0] = gripper_width_m
        for name, pose in (object_poses or {}).items():
            if self._objects[name].mount != "hand":
                self._write_pose(name, pose)
        self.push(np.zeros(6))
        mujoco.mj_forward(self.model, data)
        self.tau_ext_nm[:] = 0.0
        self._read()

    def object_poses(self) -> dict[str, Array]:
        """`pose_base_object` ``[7]`` by name."""
        bodies = {name: self.data.body(name) for name in self._objects}
        return {name: np.concatenate([body.xpos, body.xquat[[1, 2, 3, 0]]]) for name, body in bodies.items()}

    def place(self, name: str, pose_base_object: Array) -> None:
        """Put an object somewhere, at rest.

        Args:
            name: of it.
            pose_base_object: ``[7]``, its quaternion of unit length.

        Raises:
            ConfigError: there is no such object, or the hand holds it rigidly.
        """
        if name not in self._objects:
            raise ConfigError(unknown_name("object", name, self._objects))
        if self._objects[name].mount == "hand":
            raise ConfigError(f"object {name!r} is held by the hand and cannot be placed")
        self._write_pose(name, pose_base_object)
        mujoco.mj_forward(self.model, self.data)

    def step(self, torque_nm: Array) -> None:
        """Advance by one millisecond.

        Args:
            torque_nm: desired joint torques without gravity ``[7]``; bounded by what the motors can.
        """
        limit = panda.TORQUE_LIMIT_NM
        motor = np.minimum(np.maximum(torque_nm + self._told_gravity_nm, -limit), limit)
        self.data.ctrl[:7] = motor
        if self.push_n.any():
            self._apply_push()
        mujoco.mj_step2(self.model, self.data)
        acceleration = self.data.qacc[:7]
        self.tau_j_nm = motor - self._armature * acceleration - self._damping * self.dq
        outside = self.data.qfrc_constraint[:7] + self.jacobian.T @ self.push_n
        estimate = self._gravity_nm - self._told_gravity_nm - outside
        self.tau_ext_nm += self._blend * (estimate - self.tau_ext_nm)
        mujoco.mj_step1(self.model, self.data)
        self._read()

    @property
    def O_T_EE(self) -> Array:  # noqa: N802 - the interface's name
        """Measured end effector pose ``[4, 4]``."""
        return self.O_T_F @ self.tool.F_T_EE

    def mass_matrix(self) -> Array:
        """Joint-space inertia with the rotors ``[7, 7]``."""
        mujoco.mj_fullM(self.model, self.data, self._full_mass)
        return self._full_mass[:7, :7]

    def push(self, wrench_n: Array) -> None:
        """Let the world push the end effector from now on: force and torque in base axes ``[6]``; zeros end it."""
        self.push_n[:] = wrench_n
        self.data.xfrc_applied[self._hand] = 0.0

    def _write_pose(self, name: str, pose: Array) -> None:
        wxyz = pose[[6, 3, 4, 5]]
        if self._objects[name].mount == "free":
            joint = self.data.joint(f"{name}_free")
            joint.qpos[:], joint.qvel[:] = [*pose[:3], *wxyz], 0.0
        else:
            mocap = self.model.body(name).mocapid[0]
            self.data.mocap_pos[mocap], self.data.mocap_quat[mocap] = pose[:3], wxyz

    def _apply_push(self) -> None:
        arm = self.O_T_EE[:3, 3] - self.data.xipos[self._hand]
        applied = self.data.xfrc_applied[self._hand]
        applied[:3] = self.push_n[:3]
        applied[3:] = self.push_n[3:] + np.cross(arm, self.push_n[:3])

    def _read(self) -> None:
        data, tool = self.data, self.tool
        turn = data.xmat[self._link7].reshape(3, 3)
        self.O_T_F[:3, :3] = turn
        self.O_T_F[:3, 3] = data.xpos[self._link7] + FLANGE_M * turn[:, 2]
        O_T_EE = self.O_T_EE
        mujoco.mj_jac(self.model, data, self._jac[:3], self._jac[3:], O_T_EE[:3, 3], self._link7)
        self.jacobian[:] = self._jac[:, :7]
        # Torque about each axis that holds what hangs on it: -axis . (lever x weight).
        axis, anchor = data.xaxis[:7], data.xanchor[:7]
        lever = data.subtree_com[self._arm_bodies] - anchor
        self._gravity_nm = GRAVITY_M_S2 * self._subtree_kg * (lever[:, 1] * axis[:, 0] - lever[:, 0] * axis[:, 1])
        self._told_gravity_nm = self._gravity_nm.copy()
        for body in self._held:
            self._told_gravity_nm -= self._lift(float(self.model.body_mass[body]), data.xipos[body])
        if tool.m_load:
            centre = self.O_T_F[:3, :3] @ tool.F_x_Cload + self.O_T_F[:3, 3]
            self._told_gravity_nm += self._lift(tool.m_load, centre)
        self.coriolis_nm = data.qfrc_bias[:7] - self._gravity_nm
        self._estimate_wrench(O_T_EE)

    def _lift(self, mass_kg: float, point_m: Array) -> Array:
        """Joint torques that hold a mass at a point ``[7]``."""
        axis, lever = self.data.xaxis[:7], point_m - self.data.xanchor[:7]
        held: Array = GRAVITY_M_S2 * mass_kg * (lever[:, 1] * axis[:, 0] - lever[:, 0] * axis[:, 1])
        return held

    def _estimate_wrench(self, O_T_EE: Array) -> None:
        J = self.jacobian
        wrench = np.linalg.solve(J @ J.T + 1e-9 * np.eye(6), J @ self.tau_ext_nm)
        lever = O_T_EE[:3, :3] @ self.tool.EE_T_K[:3, 3]
        self.wrench_base_k[:3] = wrench[:3]
        fx, fy, fz = wrench[:3]
        x, y, z = lever
        self.wrench_base_k[3:] = wrench[3:] - (y * fz - z * fy, z * fx - x * fz, x * fy - y * fx)

    def _measure_tool(self) -> None:
        """Mass, centre and inertia of hand and fingers, about their centre, in the flange frame."""
        data, model = self.data, self.model
        bodies = [self._hand, *(model.body(f"{side}_finger").id for side in ("left", "right"))]
        mass = model.body_mass[bodies]
        centre = (mass[:, None] * data.xipos[bodies]).sum(0) / mass.sum()
        turn = self.O_T_F[:3, :3]
        inertia = np.zeros((3, 3))
        for body, m in zip(bodies, mass, strict=True):
            own = data.ximat[body].reshape(3, 3)
            d = data.xipos[body] - centre
            inertia += own @ np.diag(model.body_inertia[body]) @ own.T + m * (d @ d * np.eye(3) - np.outer(d, d))
        self.tool.m_ee = float(mass.sum())
        self.tool.F_x_Cee = turn.T @ (centre - self.O_T_F[:3, 3])
        self.tool.I_ee = turn.T @ inertia @ turn
