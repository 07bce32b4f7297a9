"""A camera that sees the simulated scene as others report it: it has no physics, it only shows where things are."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping

import mujoco
import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import ConfigError, DeviceError, unknown_name
from robot_rl.core.scene import SceneObject
from robot_rl.core.types import Array, Frame, Image
from robot_rl.hardware.cameras.intrinsics import Intrinsics, pinhole
from robot_rl.hardware.cameras.picture import fit
from robot_rl.hardware.cell.description import CameraConfig
from robot_rl.hardware.mujoco.render import Renderer
from robot_rl.hardware.mujoco.scene import CAMERAS, build_model

JOINTS, GRIPPER = "joints", "gripper"


class MirrorCamera:
    """Renders the last reported joints, fingers and objects when read.

    A frame is as old as the joints it shows, so that what delays the arm's readings is seen in the picture's time, and
    no new frame comes while no newer joints do. Without a crop it is rendered at the published size.

    Args:
        config: of the camera; `view` is what it looks at.
        objects: of the task.
        gripper: whether there are fingers whose opening must be known; without, they are shut.
        now_s: the system's clock.

    Raises:
        ConfigError: there is no such view, or the picture is larger than the scene allows.
    """

    def __init__(
        self,
        config: CameraConfig,
        objects: Collection[SceneObject],
        *,
        gripper: bool = True,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        if config.view not in CAMERAS:
            raise ConfigError(unknown_name("view", config.view, CAMERAS))
        self._config, self._now_s = config, now_s
        self._model = build_model(tuple(objects))
        self._data = mujoco.MjData(self._model)
        self._mounts = {o.name: o.mount for o in objects}
        self._unknown = {JOINTS} | {o.name for o in objects if o.mount != "hand"} | ({GRIPPER} if gripper else set())
        self._fingers = [self._model.joint(f"finger_{side}").qposadr[0] for side in ("left", "right")]
        height, width, _ = config.shape if config.crop is None else (config.height, config.width, 3)
        limit = self._model.vis.global_
        if height > limit.offheight or width > limit.offwidth:
            raise ConfigError(
                f"a simulated picture is {width}x{height}, expected at most {limit.offwidth}x{limit.offheight}"
            )
        self._renderer = Renderer(self._model, height, width)
        self._whole = pinhole(float(self._model.camera(config.view).fovy[0]), width, height)
        self._joints_t_s = -float("inf")
        self._newest: Frame | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, 3)."""
        return self._config.shape

    @property
    def intrinsics(self) -> Intrinsics | None:
        """Of the frames."""
        return self._whole.fitted(self._config.crop, self._config.image_size)

    @property
    def unknown(self) -> tuple[str, ...]:
        """What has not been reported yet, without which there is no picture."""
        return tuple(sorted(self._unknown))

    def set_joints(self, q_rad: Array, t_s: float) -> None:
        """Joint positions ``[7]`` of a time; those that are not newer are ignored."""
        if t_s > self._joints_t_s and np.all(np.isfinite(q_rad)):
            self._data.qpos[:7], self._joints_t_s = q_rad, t_s
            self._unknown.discard(JOINTS)

    def set_width(self, width_m: float) -> None:
        """Opening of the gripper."""
        if np.isfinite(width_m):
            self._data.qpos[self._fingers] = width_m / 2
            self._unknown.discard(GRIPPER)

    def set_object(self, name: str, pose_base_object: npt.ArrayLike) -> None:
        """Pose ``[7]`` of an object that is not held by the hand: what the hand holds moves with it.

        Raises:
            DeviceError: there is no such object.
        """
        pose = np.asarray(pose_base_object, np.float64)
        if name not in self._mounts:
            raise DeviceError(unknown_name("object", name, self._mounts))
        if self._mounts[name] == "hand" or not np.all(np.isfinite(pose)):
            return
        wxyz = pose[[6, 3, 4, 5]]
        if self._mounts[name] == "free":
            joint = self._data.joint(f"{name}_free")
            joint.qpos[:3], joint.qpos[3:] = pose[:3], wxyz
        else:
            mocap = self._model.body(name).mocapid[0]
            self._data.mocap_pos[mocap], self._data.mocap_quat[mocap] = pose[:3], wxyz
        self._unknown.discard(name)

    def read(self) -> Frame:
        """A picture of what is known now, read-only; the last one again if the joints are no newer.

        Raises:
            DeviceError: something has not been reported yet; names it. Or there is no usable OpenGL.
        """
        if self._unknown:
            raise DeviceError(f"no picture yet: nothing was heard of {', '.join(self.unknown)}")
        last = self._newest
        t_s = min(self._joints_t_s, self._now_s())
        if last is None or t_s > last.t_s:
            image = self._render()
            image.setflags(write=False)
            self._newest = last = Frame(image, t_s, 0 if last is None else last.sequence + 1)
        return last

    def listen(self, on_frame: Callable[[], None]) -> None:
        """It never calls: a frame is made when read."""

    def set_exposure_us(self, exposure_us: float) -> None:
        """There is none.

        Raises:
            ConfigError: always.
        """
        raise ConfigError("a simulated camera has no exposure; remove exposure_us")

    def health(self) -> Mapping[str, str]:
        """Facts for `/diagnostics`."""
        facts = {"view": self._config.view}
        return {**facts, "problem": f"nothing was heard of {', '.join(self.unknown)}"} if self._unknown else facts

    def close(self) -> None:
        """Free the OpenGL context, in the thread that read. May be called twice."""
        self._renderer.close()

    def _render(self) -> Image:
        # The three stages of mj_forward that decide where geoms, cameras and lights are.
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)
        image = self._renderer.render(self._data, self._config.view)
        return image if self._config.crop is None else fit(image, self._config.crop, self._config.image_size)
