"""The devices of a cell on ROS 2 keep the contracts of their protocols, over the real nodes of the simulated cell."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest
from sensor_msgs.msg import Joy

from robot_rl.core.errors import DeviceError
from robot_rl.core.protocols import Arm, Camera, Cell, Gripper, Teleop
from robot_rl.core.types import Array
from robot_rl.envs.tasks import make_task
from robot_rl.envs.tasks.base import Start
from robot_rl.hardware.cell.description import CameraConfig, CellConfig
from robot_rl.hardware.ros import names
from robot_rl.hardware.ros.calls import Calls
from robot_rl.hardware.ros.client.arm import RosArm
from robot_rl.hardware.ros.client.camera import RosCamera
from robot_rl.hardware.ros.client.cell import open_ros_cell
from robot_rl.hardware.ros.client.teleop import RosTeleop
from robot_rl.hardware.ros.executor import Spinner
from robot_rl.hardware.ros.messages import stamp_of
from robot_rl.testing import ArmFaultContract, CameraContract, GripperContract, TeleopContract, WorldContract
from tests.hardware.ros.conftest import NodeProcess, test_cell, wait_until
from tests.hardware.ros.kept import Kept

TASK = make_task("PickCube")
CONFIG = test_cell("sim", cameras={"wrist": CameraConfig(hz=10.0, image_size=(64, 64))})


def start() -> Start:
    return TASK.sample_start(np.random.default_rng(0))


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CellConfig]:
    """The simulated cell: two processes, shared by all tests here."""
    folder = tmp_path_factory.mktemp("nodes")
    with ExitStack() as stack:
        for name in ("sim", "arbiter"):
            stack.callback(NodeProcess(CONFIG, name, folder, "--task", TASK.id).close)
        yield CONFIG


@pytest.fixture(scope="module")
def shared(graph: CellConfig) -> Iterator[Cell]:
    cell = open_ros_cell(graph, TASK.objects)
    yield cell
    cell.close()


class OverRos:
    """Begins every test at the start of an episode."""

    cell: Cell
    kept: Kept

    @pytest.fixture(autouse=True)
    def _begin(self, shared: Cell) -> None:
        begin = start()
        shared.world.reset(begin.pose_base_tcp, begin.gripper_width_m, begin.objects)
        assert isinstance(shared.arm, RosArm)
        self.kept = Kept(shared.arm)
        self.cell = replace(shared, arm=self.kept)

    def wait(self, seconds: float) -> None:
        # On a busy machine a reading may be late by more than its period.
        self.kept.wait(max(seconds, 0.25))


class TestRosArm(OverRos, ArmFaultContract):
    settle_s = 1.0

    @pytest.fixture(autouse=True)
    def _stop(self, _begin: None) -> Iterator[None]:
        spinner = Spinner("stopper", CONFIG)
        self.stopper = Calls(spinner)
        yield
        spinner.close()

    def make(self) -> Arm:
        return self.kept

    def latch_fault(self, device: Arm) -> None:
        self.stopper.trigger(names.STOP)
        wait_until(lambda: device.state().fault, "the fault")

    def test_a_joint_motion_beyond_the_limits_is_refused(self, device: Arm) -> None:
        q_rad = device.state().q_rad.copy()
        q_rad[3] = 1.0
        with pytest.raises(DeviceError, match="within the limits"):
            device.move_joints(q_rad, 1.0)
        assert device.state().fault is None

    def test_another_home_is_forgotten_after_one_motion(self, device: Arm) -> None:
        q_rad = device.state().q_rad.copy()
        q_rad[3] += self.step_q_rad
        device.move_joints(q_rad, self.settle_s)
        done, text = self.stopper.trigger(names.HOME, 30.0)
        assert done, text
        np.testing.assert_allclose(device.state().q_rad, CONFIG.robot.q_home_rad, atol=self.tolerance_rad)


class TestRosGripper(OverRos, GripperContract):
    settle_s = 1.0

    def make(self) -> Gripper:
        return self.cell.gripper


class TestRosWorld(OverRos, WorldContract):
    def make(self) -> Cell:
        return self.cell

    def wait(self, seconds: float) -> None:
        # A target from before a reset is not one to keep.
        time.sleep(max(seconds, 0.25))

    def start(self) -> tuple[Array, float, dict[str, Array]]:
        begin = start()
        return begin.pose_base_tcp, begin.gripper_width_m, begin.objects


@pytest.mark.gl
class TestRosCamera(CameraContract):
    @pytest.fixture(autouse=True, scope="class")
    @staticmethod
    def _camera_node(graph: CellConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        node = NodeProcess(graph, "camera:wrist", tmp_path_factory.mktemp("camera"), "--task", TASK.id)
        yield
        node.close()

    @pytest.fixture(autouse=True)
    def _spinner(self) -> Iterator[None]:
        self.spinner = Spinner("viewer", CONFIG)
        yield
        self.spinner.close()

    period_s = 0.5

    def make(self) -> Camera:
        camera = RosCamera(self.spinner, "wrist", CONFIG.cameras["wrist"].shape)
        wait_until(lambda: camera.heard, "a picture")
        return camera


class TestRosTeleop(TeleopContract):
    """Over a joystick driver that says everything that a message can."""

    AXES = ([0.2, -1.0, 0.5, 0.0, 0.0, 1.0], [3.0, float("nan"), float("inf")], [], [0.0] * 8)

    @pytest.fixture(autouse=True)
    def _driver(self) -> Iterator[None]:
        self.spinner, driver = Spinner("reader", CONFIG), Spinner("joystick", CONFIG)
        topic, ended = driver.node.create_publisher(Joy, names.TELEOP_JOY, 1), threading.Event()

        def publish() -> None:
            count = 0
            while not ended.wait(0.01):
                message = Joy(axes=self.AXES[count % len(self.AXES)], buttons=[count % 2] * (count % 7))
                message.header.stamp = stamp_of(time.time())
                topic.publish(message)
                count += 1

        thread = threading.Thread(target=publish)
        thread.start()
        yield
        ended.set()
        thread.join()
        driver.close()
        self.spinner.close()

    def make(self) -> Teleop:
        teleop = RosTeleop(self.spinner)
        wait_until(lambda: teleop.read().age_s < 1.0, "the joystick")
        return teleop
