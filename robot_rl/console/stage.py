"""The cell in the browser: its MuJoCo model, drawn once, of which only what moved is sent again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import mujoco
import numpy as np
import viser

from robot_rl.console.stage_shapes import body_meshes
from robot_rl.core.scene import SceneObject
from robot_rl.core.types import Array
from robot_rl.hardware.mujoco import panda
from robot_rl.hardware.mujoco.scene import build_model

GHOST_OPACITY = 0.35
# So that a ghost that stands where the robot stands does not flicker through its surface.
GHOST_GROWN_M = 0.0015
FINGERS = ("finger_left", "finger_right")
# Less than anyone can see, more than a pose changes by being written down and read again.
STILL_M, STILL_QUAT = 2e-5, 5e-5
# Beside viser's own lamps; at its usual strength white links and a light table lose their shape.
ROOM_LIGHT = 0.4
CAMERA_M, LOOK_AT_M, CAMERA_FOV_RAD = (1.32, -0.86, 0.78), (0.36, 0.0, 0.22), 0.75


def initial_camera(server: viser.ViserServer) -> None:
    """Have every page begin with the whole arm and the table top in view, z up."""
    server.scene.set_up_direction("+z")
    camera = server.initial_camera
    camera.position, camera.look_at, camera.fov = CAMERA_M, LOOK_AT_M, CAMERA_FOV_RAD


class Stage:
    """One cell in a scene: robot, table, floor, light and the objects of a task.

    A move takes two small messages for each body that moved; wrap several calls into `viser.ViserServer.atomic` so that
    no page draws half of them.

    Args:
        scene: of a viser server.
        root: path of its top node, for example ``/cell``; nothing else lies below it.
        objects: of the task.
        ghost_rgb: draw robot and objects in this one colour, translucent and without surroundings: a second episode to
            compare with.
    """

    def __init__(
        self,
        scene: viser.SceneApi,
        root: str,
        objects: Sequence[SceneObject],
        *,
        ghost_rgb: tuple[int, int, int] | None = None,
    ) -> None:
        self._model = build_model(objects)
        self._data = mujoco.MjData(self._model)
        self._objects = {o.name: o for o in objects if o.mount != "hand"}
        if ghost_rgb is None:
            scene.configure_environment_map("city", environment_intensity=ROOM_LIGHT)
        self._root = scene.add_frame(root, show_axes=False)
        self._bodies: dict[int, viser.FrameHandle] = {}
        for body in range(1 if ghost_rgb is not None else 0, self._model.nbody):
            self._draw(scene, body, ghost_rgb)
        self._shown_m = np.full((self._model.nbody, 3), np.nan)
        self._shown_wxyz = np.full((self._model.nbody, 4), np.nan)
        self.pose(panda.Q_HOME_RAD, panda.GRIPPER_MAX_WIDTH_M, {})

    @property
    def visible(self) -> bool:
        """Whether it is drawn."""
        return self._root.visible

    @visible.setter
    def visible(self, value: bool) -> None:
        self._root.visible = value

    def pose(self, q_rad: Array, gripper_width_m: float, objects: Mapping[str, Array]) -> None:
        """Show a state of the cell.

        Args:
            q_rad: joint positions of the arm ``[7]``.
            gripper_width_m: opening between the finger pads.
            objects: `pose_base_object` ``[7]`` by name. An object of the task that is missing is not drawn; what the
                hand holds goes with it, and names of other objects are passed over.
        """
        data = self._data
        data.qpos[:7] = q_rad
        for joint in FINGERS:
            data.joint(joint).qpos[0] = np.clip(0.5 * gripper_width_m, *self._model.joint(joint).range)
        for name, item in self._objects.items():
            if name in objects:
                self._place(item, objects[name])
            if (shown := self._bodies.get(self._model.body(name).id)) is not None:
                shown.visible = name in objects
        mujoco.mj_kinematics(self._model, data)
        still = np.abs(data.xpos - self._shown_m).max(1) <= STILL_M
        still &= np.abs(data.xquat - self._shown_wxyz).max(1) <= STILL_QUAT
        for body in np.flatnonzero(~still).tolist():
            self._shown_m[body], self._shown_wxyz[body] = data.xpos[body], data.xquat[body]
            if body in self._bodies:
                self._bodies[body].position, self._bodies[body].wxyz = data.xpos[body].copy(), data.xquat[body].copy()

    def close(self) -> None:
        """Take it off the scene. May be called twice."""
        if self._bodies:
            self._bodies = {}
            self._root.remove()

    def _draw(self, scene: viser.SceneApi, body: int, ghost_rgb: tuple[int, int, int] | None) -> None:
        meshes = body_meshes(self._model, body, 0.0 if ghost_rgb is None else GHOST_GROWN_M)
        if not meshes:
            return
        path = f"{self._root.name}/{self._model.body(body).name}"
        self._bodies[body] = scene.add_frame(path, show_axes=False)
        for k, mesh in enumerate(meshes):
            red, green, blue, alpha = mesh.rgba
            opacity = alpha if ghost_rgb is None else GHOST_OPACITY * alpha
            scene.add_mesh_simple(
                f"{path}/{k}",
                mesh.vertices_m,
                mesh.faces,
                color=ghost_rgb or (round(255 * red), round(255 * green), round(255 * blue)),
                opacity=None if opacity >= 1.0 else opacity,
                cast_shadow=opacity >= 1.0,
                receive_shadow=opacity >= 1.0,
            )

    def _place(self, item: SceneObject, pose_base_object: Array) -> None:
        wxyz = pose_base_object[[6, 3, 4, 5]]
        if item.mount == "free":
            self._data.joint(f"{item.name}_free").qpos[:] = [*pose_base_object[:3], *wxyz]
        else:
            mocap = int(self._model.body(item.name).mocapid[0])
            self._data.mocap_pos[mocap], self._data.mocap_quat[mocap] = pose_base_object[:3], wxyz
