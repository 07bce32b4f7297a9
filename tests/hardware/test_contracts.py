"""Every simulated device keeps the contract of its protocol."""

from __future__ import annotations

import numpy as np
import pytest

from robot_rl.core.protocols import Arm, Camera, Cell, Clock, Gripper
from robot_rl.core.types import Array
from robot_rl.envs.tasks import make_task
from robot_rl.hardware.mujoco.devices import make_sim_cell
from robot_rl.testing import ArmContract, CameraContract, ClockContract, GripperContract, WorldContract


class Simulated:
    """A cell with a cube, started as an episode is; waiting advances its clock."""

    cameras: tuple[str, ...] = ()
    cell: Cell

    def make_cell(self) -> Cell:
        task = make_task("PickCube")
        self.cell, _ = make_sim_cell(task.objects, task.impedance, self.cameras)
        self.cell.world.reset(*self.start())
        return self.cell

    def start(self) -> tuple[Array, float, dict[str, Array]]:
        start = make_task("PickCube").sample_start(np.random.default_rng(0))
        return start.pose_base_tcp, start.gripper_width_m, start.objects

    def wait(self, seconds: float) -> None:
        self.cell.clock.sleep_until(self.cell.clock.now_s() + seconds)


class TestSimArm(Simulated, ArmContract):
    def make(self) -> Arm:
        return self.make_cell().arm


class TestSimGripper(Simulated, GripperContract):
    def make(self) -> Gripper:
        return self.make_cell().gripper


class TestSimClock(Simulated, ClockContract):
    def make(self) -> Clock:
        return self.make_cell().clock


class TestSimWorld(Simulated, WorldContract):
    def make(self) -> Cell:
        return self.make_cell()


@pytest.mark.parametrize("camera", ["wrist", "side"])
@pytest.mark.gl
class TestSimCamera(Simulated, CameraContract):
    @pytest.fixture(autouse=True)
    def _choose(self, camera: str) -> None:
        self.cameras = (camera,)

    def make(self) -> Camera:
        (camera,) = self.make_cell().cameras.values()
        return camera
