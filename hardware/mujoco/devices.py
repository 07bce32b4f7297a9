"""The simulated cell behind the device protocols of `robot_rl.core.protocols`, in lock-step time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from robot_rl.controllers.impedance import ImpedanceParams
from robot_rl.core.crops import CROP_HEIGHT, CROP_WIDTH, Crop, check_crops
from robot_rl.core.errors import DeviceError, unknown_name
from robot_rl.core.protocols import Camera, Cell
from robot_rl.core.randomisation import Randomisation
from robot_rl.core.scene import SceneObject
from robot_rl.core.types import ArmState, Array, Frame, GripperState
from robot_rl.hardware.mujoco.cell import MujocoCell
from robot_rl.hardware.mujoco.panda import GRIPPER_MAX_WIDTH_M
from robot_rl.hardware.mujoco.render import Renderer
from robot_rl.hardware.mujoco.scene import CAMERAS


class SimClock:
    """Simulated time: sleeping advances the physics, so nothing is ever late."""

    def __init__(self, cell: MujocoCell) -> None:
        self._cell = cell

    def now_s(self) -> float:
        """Time since the cell started."""
        return self._cell.time_s

    def sleep_until(self, t_s: float) -> None:
        """Run the control loop up to `t_s`."""
        ticks = round((t_s - self._cell.time_s) / self._cell.model.opt.timestep)
        if ticks > 0:
            self._cell.run(ticks)


class SimArm:
    """The simulated Panda under the same impedance law as the real one."""

    def __init__(self, cell: MujocoCell) -> None:
        self._cell = cell

    def state(self) -> ArmState:
        """The state now."""
        loop, data = self._cell.loop, self._cell.data
        return ArmState(
            q_rad=data.qpos[:7].copy(),
            dq_rad_s=data.qvel[:7].copy(),
            pose_base_tcp=loop.pose_base_tcp.copy(),
            twist_base_tcp=loop.twist_base_tcp.copy(),
            wrench_tcp=loop.wrench_tcp.copy(),
            t_s=self._cell.time_s,
        )

    def set_target(self, pose_base_tcp: Array) -> None:
        """Track a pose; see `robot_rl.core.protocols.Arm`."""
        self._cell.loop.set_target(pose_base_tcp)

    def hold(self) -> None:
        """Stay at the measured pose."""
        self._cell.loop.hold()

    def move_joints(self, q_rad: Array, duration_s: float) -> None:
        """Minimum-jerk joint motion, then hold. Blocks for `duration_s` of simulated time."""
        loop = self._cell.loop
        loop.start_joint_motion(np.asarray(q_rad, np.float64), duration_s)
        self._cell.run(round(duration_s / self._cell.model.opt.timestep))
        loop.hold()

    def recover(self) -> None:
        """Nothing latches in lock-step simulation; the arm holds."""
        self.hold()

    def close(self) -> None:
        """Nothing to release."""


class SimGripper:
    """The simulated hand: a force-limited position servo on the opening."""

    def __init__(self, cell: MujocoCell) -> None:
        self._cell = cell

    def state(self) -> GripperState:
        """The state now."""
        target = float(self._cell.data.ctrl[self._cell.gripper_index])
        return GripperState(self._cell.width_m, target, GRIPPER_MAX_WIDTH_M, self._cell.time_s)

    def command(self, width_m: float) -> None:
        """Move towards an opening.

        Raises:
            DeviceError: the width is not a finite number.
        """
        if not np.isfinite(width_m):
            raise DeviceError(f"gripper width must be finite, got {width_m}")
        self._cell.data.ctrl[self._cell.gripper_index] = min(max(width_m, 0.0), GRIPPER_MAX_WIDTH_M)

    def close(self) -> None:
        """Nothing to release."""


class SimCamera:
    """A camera of the simulated cell; renders when read.

    Args:
        cell: what it looks at.
        name: of the view.
        renderer: closed with this.
        shape: (height, width, 3) of the pictures.
        crop: what they show, see `Renderer.render`; None for all of it.
    """

    def __init__(
        self,
        cell: MujocoCell,
        name: str,
        renderer: Renderer,
        shape: tuple[int, int, int],
        crop: Crop | None = None,
    ) -> None:
        self._cell, self._name, self._renderer, self._shape, self._crop = cell, name, renderer, shape, crop

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, 3)."""
        return self._shape

    def read(self) -> Frame:
        """A picture of the state now."""
        image = self._renderer.render(self._cell.data, self._name, self._crop)
        return Frame(image, self._cell.time_s, self._cell.ticks)

    def pixels_of(self, points_base_m: Array) -> Array:
        """Columns and rows ``[n, 2]`` of its pictures where points ``[n, 3]`` are seen; nan behind the camera."""
        model, data = self._cell.model, self._cell.data
        camera = model.camera(self._name).id
        seen = (points_base_m - data.cam_xpos[camera]) @ data.cam_xmat[camera].reshape(3, 3)
        depth_m = np.where(seen[:, 2] < -1e-3, -seen[:, 2], np.nan)
        focal_px = 0.5 * CROP_HEIGHT / np.tan(0.5 * np.deg2rad(model.cam_fovy[camera]))
        whole = np.stack([seen[:, 0] / depth_m, -seen[:, 1] / depth_m], axis=1) * focal_px
        height, width, _ = self._shape
        # Without a crop the picture has its own aspect ratio about the same middle and height.
        square = CROP_HEIGHT * width / height
        left, top, wide, high = self._crop or (0.5 * (CROP_WIDTH - square), 0, square, CROP_HEIGHT)
        corner = np.array([0.5 * CROP_WIDTH - left, 0.5 * CROP_HEIGHT - top])
        return np.asarray((whole + corner) * [width / wide, height / high], np.float64)

    def close(self) -> None:
        """Free the renderer, which cameras of one size share. May be called twice."""
        self._renderer.close()


class SimWorld:
    """The simulator's truth about the objects."""

    def __init__(self, cell: MujocoCell) -> None:
        self._cell = cell

    def object_pose(self, name: str) -> Array:
        """`pose_base_object` ``[7]``."""
        return self._cell.object_pose(name)

    def place(self, name: str, pose_base_object: Array) -> None:
        """Put an object at rest at a pose."""
        self._cell.place(name, pose_base_object)

    def reset(self, pose_base_tcp: Array, gripper_width_m: float, object_poses: dict[str, Array]) -> None:
        """Teleport the arm, the fingers and the objects."""
        self._cell.reset(self._cell.joints_for(pose_base_tcp), gripper_width_m, object_poses)


def make_sim_cell(
    objects: tuple[SceneObject, ...],
    params: ImpedanceParams,
    cameras: tuple[str, ...] = (),
    image_size: tuple[int, int] = (128, 128),
    randomise: Randomisation | None = None,
    crops: Mapping[str, Crop] | None = None,
) -> tuple[Cell, MujocoCell]:
    """Build the simulation and the devices on it.

    Args:
        objects: the task's objects.
        params: impedance of the arm.
        cameras: which of `robot_rl.hardware.mujoco.scene.CAMERAS` to offer.
        image_size: (height, width) of their pictures.
        randomise: how far the scene looks different from episode to episode; its `Cell.reseed` decides how.
        crops: what of a camera's picture fills its pictures, see `robot_rl.core.crops`.

    Raises:
        DeviceError: unknown camera.
        ConfigError: a crop does not fit.

    Returns:
        The cell that an environment uses, and the simulation behind it for those who may look.
    """
    for name in cameras:
        if name not in CAMERAS:
            raise DeviceError(unknown_name("camera", name, CAMERAS))
    parts = check_crops(crops or {}, CAMERAS)
    sim = MujocoCell(objects, params, randomise)
    height, width = image_size
    renderer = sim.renderer(height, width)
    devices: dict[str, Camera] = {c: SimCamera(sim, c, renderer, (height, width, 3), parts.get(c)) for c in cameras}
    reseed = None if sim.looks is None else sim.looks.draw
    return Cell(SimArm(sim), SimGripper(sim), SimClock(sim), SimWorld(sim), devices, reseed=reseed), sim
