"""One simulated cell: a model, its state and the 1 kHz control loop, seen by the devices in `devices`."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np

from robot_rl.controllers.impedance import ImpedanceParams
from robot_rl.core.errors import DeviceError, unknown_name
from robot_rl.core.randomisation import Randomisation
from robot_rl.core.scene import SceneObject
from robot_rl.core.types import Array
from robot_rl.hardware.mujoco import ik, panda
from robot_rl.hardware.mujoco.loop import ControlLoop
from robot_rl.hardware.mujoco.randomise import Looks
from robot_rl.hardware.mujoco.render import Renderer
from robot_rl.hardware.mujoco.scene import build_model

# What hangs below the force sensor: the hand, and the fingers halfway open.
TOOL_MASS_KG = panda.HAND_MASS_KG + 2 * panda.FINGER_MASS_KG
TOOL_COM_SENSOR_M = (-0.0096, 0.0, 0.0319)


class MujocoCell:
    """Owns the simulation; the devices are views of it.

    Args:
        objects: the task's objects.
        params: impedance of the arm.
        randomise: how far the scene looks different from episode to episode.

    Attributes:
        looks: decides what it looks like; None if that never changes.
    """

    def __init__(
        self, objects: Sequence[SceneObject], params: ImpedanceParams, randomise: Randomisation | None = None
    ) -> None:
        self.objects = {o.name: o for o in objects}
        settings = randomise or Randomisation()
        self.model = build_model(objects, props=not settings.off)
        self.data = mujoco.MjData(self.model)
        self.looks = None if settings.off else Looks(self.model, self.data, self.objects, settings)
        held = [o for o in objects if o.mount == "hand"]
        mass, com = _tool_inertia(self.model, [o.name for o in held])
        self.loop = ControlLoop(
            self.model,
            self.data,
            joint_names=panda.JOINT_NAMES,
            actuator_names=panda.MOTOR_NAMES,
            tcp_site=panda.TCP_SITE,
            force_sensor=panda.FORCE_SENSOR,
            torque_sensor=panda.TORQUE_SENSOR,
            params=params,
            tool_mass_kg=mass,
            tool_com_sensor_m=com,
        )
        self.gripper_index = self.model.actuator(panda.GRIPPER_ACTUATOR).id
        fingers = [self.model.joint(f"finger_{side}").qposadr[0] for side in ("left", "right")]
        self._fingers = np.array(fingers)
        self.ticks = 0
        self.reset(panda.Q_HOME_RAD, panda.GRIPPER_MAX_WIDTH_M, {})

    def renderer(self, height: int, width: int, *, beautiful: bool = False) -> Renderer:
        """For pictures of this cell; see `Renderer`."""
        looks = self.looks
        textures = None if looks is None else lambda: looks.textures
        return Renderer(self.model, height, width, beautiful=beautiful, textures=textures)

    @property
    def width_m(self) -> float:
        """Opening between the finger pads."""
        return float(self.data.qpos[self._fingers].sum())

    @property
    def time_s(self) -> float:
        """Time since the cell started; a reset does not turn it back."""
        return self.ticks * float(self.model.opt.timestep)

    def run(self, n_ticks: int) -> None:
        """Advance physics and control."""
        self.loop.run(n_ticks)
        self.ticks += n_ticks

    def reset(self, q_rad: Array, gripper_width_m: float, object_poses: dict[str, Array]) -> None:
        """Put arm, fingers and objects where they belong, everything at rest.

        The state afterwards depends on the arguments alone, so equal seeds give bit-identical episodes.
        """
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[: len(q_rad)] = q_rad
        self.data.qpos[self._fingers] = gripper_width_m / 2
        self.data.ctrl[self.gripper_index] = gripper_width_m
        for name, pose in object_poses.items():
            self._write_pose(name, pose)
        mujoco.mj_forward(self.model, self.data)
        self.loop.reset()

    def place(self, name: str, pose_base_object: Array) -> None:
        """Put one object at rest at a pose."""
        self._write_pose(name, pose_base_object)
        mujoco.mj_forward(self.model, self.data)

    def object_pose(self, name: str) -> Array:
        """`pose_base_object` ``[7]``."""
        self._known(name)
        body = self.data.body(name)
        return np.concatenate([body.xpos, body.xquat[[1, 2, 3, 0]]])

    def joints_for(self, pose_base_tcp: Array) -> Array:
        """Arm joint angles ``[7]`` for a pose of the tool centre point, near the home configuration."""
        return ik.solve(self.model, panda.TCP_SITE, pose_base_tcp, panda.Q_HOME_RAD)

    def _write_pose(self, name: str, pose: Array) -> None:
        mount = self._known(name).mount
        wxyz = [pose[6], pose[3], pose[4], pose[5]]
        if mount == "free":
            joint = self.data.joint(f"{name}_free")
            joint.qpos[:3], joint.qpos[3:], joint.qvel[:] = pose[:3], wxyz, 0.0
        elif mount == "fixture":
            mocap = self.model.body(name).mocapid[0]
            self.data.mocap_pos[mocap], self.data.mocap_quat[mocap] = pose[:3], wxyz
        else:
            raise DeviceError(f"object {name!r} is held by the hand and cannot be placed")

    def _known(self, name: str) -> SceneObject:
        if name not in self.objects:
            raise DeviceError(unknown_name("object", name, self.objects))
        return self.objects[name]


def _tool_inertia(model: mujoco.MjModel, held: Sequence[str]) -> tuple[float, tuple[float, float, float]]:
    """Mass and centre of mass below the wrist sensor, in the sensor's frame, with rigidly held objects."""
    mass, moment = TOOL_MASS_KG, TOOL_MASS_KG * np.array(TOOL_COM_SENSOR_M)
    for name in held:
        body = model.body(name)
        moment = moment + float(body.mass[0]) * (body.pos + body.ipos)
        mass += float(body.mass[0])
    x, y, z = moment / mass
    return mass, (float(x), float(y), float(z))
