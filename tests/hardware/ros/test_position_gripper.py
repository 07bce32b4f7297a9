"""A gripper behind a driver of others'."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

pytest.importorskip("rclpy", reason="needs the extra ros")

from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from robot_rl.cli.node import make_scene
from robot_rl.core.errors import DeviceError
from robot_rl.core.protocols import Gripper
from robot_rl.hardware.cell.description import CellConfig, GripperConfig, RobotConfig, WorldConfig
from robot_rl.hardware.drivers import GripperDriver
from robot_rl.hardware.ros import names, qos
from robot_rl.hardware.ros.messages import numbers_message
from robot_rl.hardware.ros.nodes.gripper import make_nodes
from robot_rl.hardware.ros.nodes.position_gripper import PositionGripper, position_of, width_of
from robot_rl.testing import GripperContract
from tests.hardware.ros.conftest import test_cell, wait_until
from tests.hardware.ros.serving import Fingers, Listener, serving


def gripper_cell() -> CellConfig:
    gripper = GripperConfig(provider="position", max_width_m=0.085, closed_at=255.0, open_at=0.0)
    robot, world = RobotConfig(provider="ros2_control"), WorldConfig(provider="fixed")
    return test_cell(robot=robot, gripper=gripper, world=world, supervision="operator")


@pytest.fixture(scope="module")
def fingers() -> Iterator[Fingers]:
    fingers = Fingers(gripper_cell())
    yield fingers
    fingers.close()


@pytest.fixture(scope="module")
def gripper(fingers: Fingers) -> Iterator[PositionGripper]:
    gripper = PositionGripper(gripper_cell())
    wait_until(lambda: gripper.health()["takers of commands"] == "1", "the fingers")
    yield gripper
    gripper.close()


class TestContract(GripperContract):
    settle_s = 0.1

    @pytest.fixture
    def device(self, gripper: PositionGripper) -> Gripper:
        self.gripper = gripper
        return gripper

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)
        now_s = time.time()
        wait_until(lambda: self.gripper.state().t_s > now_s, "a reading")

    def make(self) -> Gripper:
        return PositionGripper(gripper_cell())

    def test_close_may_be_called_twice(self, device: Gripper) -> None:
        another = self.make()
        another.close()
        another.close()


def test_is_a_driver_that_cannot_home(gripper: PositionGripper) -> None:
    assert isinstance(gripper, GripperDriver)
    with pytest.raises(DeviceError, match="by itself"):
        gripper.home()


def test_closed_is_255(gripper: PositionGripper, fingers: Fingers) -> None:
    gripper.command(0.0)
    wait_until(lambda: fingers.position == 255.0, "the command")
    gripper.command(0.085)
    wait_until(lambda: fingers.position == 0.0, "the command")


def test_a_silent_driver_is_old(gripper: PositionGripper, fingers: Fingers) -> None:
    fingers.silent = True
    time.sleep(0.1)
    before_s = gripper.state().t_s
    time.sleep(0.05)
    assert gripper.state().t_s == before_s
    fingers.silent = False
    wait_until(lambda: gripper.state().t_s > before_s, "the driver")


def test_the_gripper_node_over_it(fingers: Fingers) -> None:
    config = gripper_cell()
    listener = Listener(config)
    states = listener.listen(JointState, names.GRIPPER_STATES)
    targets = listener.listen(Float64MultiArray, names.GRIPPER_TARGET, qos.LATCHED)
    commands = listener.spinner.node.create_publisher(Float64MultiArray, names.GRIPPER_COMMAND, qos.COMMAND)
    try:
        with serving(config, lambda context: make_nodes(config, make_scene(config), context)):

            def closes() -> bool:
                commands.publish(numbers_message([0.01]))
                return bool(states) and abs(states[-1].position[0] - 0.01) < 1e-6

            wait_until(closes, "the fingers to close")
            wait_until(lambda: targets and targets[-1].data[0] == pytest.approx(0.01), "the target")
    finally:
        listener.close()


def test_without_a_driver() -> None:
    config = gripper_cell()
    with pytest.raises(DeviceError, match="position_gripper/elsewhere"):
        PositionGripper(
            CellConfig(
                name=config.name,
                network=config.network,
                robot=config.robot,
                world=config.world,
                gripper=GripperConfig(provider="position", state_topic="position_gripper/elsewhere"),
            ),
            first_s=0.2,
        )


ends = st.floats(-1000.0, 1000.0)


@given(st.floats(0.0, 1.0), ends, ends.filter(lambda x: abs(x) > 1.0), st.floats(0.01, 0.5))
def test_positions_and_widths_are_inverse(share: float, closed_at: float, stroke: float, widest_m: float) -> None:
    config = GripperConfig(provider="position", max_width_m=widest_m, closed_at=closed_at, open_at=closed_at + stroke)
    width_m = share * widest_m
    assert width_of(position_of(width_m, config), config) == pytest.approx(width_m, abs=1e-9)


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_width_stays_within_the_gripper(position: float) -> None:
    config = GripperConfig(provider="position", closed_at=255.0, open_at=0.0)
    assert 0.0 <= width_of(position, config) <= config.max_width_m
