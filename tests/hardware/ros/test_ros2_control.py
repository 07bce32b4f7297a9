"""An arm behind a controller of others': the driver against a stand-in that speaks the same topics."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs the extra ros")

from geometry_msgs.msg import PoseStamped, TwistStamped, WrenchStamped
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from robot_rl.controllers.arbiter_readings import RobotMode
from robot_rl.controllers.se3 import quat_multiply, rotvec_to_quat
from robot_rl.core.errors import DataError, DeviceError, SafetyFault
from robot_rl.core.protocols import Arm
from robot_rl.hardware.cell.description import CellConfig, GripperConfig, RobotConfig, WorldConfig
from robot_rl.hardware.cell.scene import Scene
from robot_rl.hardware.drivers import ArmDriver
from robot_rl.hardware.ros import names, qos
from robot_rl.hardware.ros.franka_ros2 import mode_of
from robot_rl.hardware.ros.joint_motion import JointMotion, arm_joints_of
from robot_rl.hardware.ros.messages import joints_message, pose_message, wrench_of
from robot_rl.hardware.ros.nodes.ros2_control import make_nodes
from robot_rl.hardware.ros.ros2_control import PoseSlope, Ros2ControlArm
from robot_rl.testing import ArmContract
from tests.hardware.ros.conftest import test_cell, wait_until
from tests.hardware.ros.serving import Crisp, Listener, serving

Q_RAD = np.array(RobotConfig().q_home_rad)


def ros2_control_cell() -> CellConfig:
    robot = RobotConfig(provider="ros2_control", controller_frame=Crisp.frame)
    fixed, none = WorldConfig(provider="fixed"), GripperConfig(provider="none")
    return test_cell(robot=robot, gripper=none, world=fixed, supervision="operator")


class Reflexes:
    mode = RobotMode.READY

    def robot_mode(self) -> RobotMode:
        return self.mode

    def recover(self) -> None:
        self.mode = RobotMode.READY


@pytest.fixture(scope="module")
def robot() -> Iterator[Crisp]:
    """One for all tests: a participant of DDS takes a second to make."""
    robot = Crisp(ros2_control_cell(), Q_RAD)
    yield robot
    robot.close()


@pytest.fixture
def crisp(robot: Crisp) -> Crisp:
    robot.begin_anew(Q_RAD, weight_n=3.0)
    return robot


@pytest.fixture(scope="module")
def shared(robot: Crisp) -> Iterator[Ros2ControlArm]:
    config = ros2_control_cell()
    mover = JointMotion(robot.spinner, config.robot.controller, robot.switch)
    arm = Ros2ControlArm(config, reflexes=Reflexes(), joint_motion=mover)
    wait_until(lambda: arm._targets.get_subscription_count(), "the controller")
    yield arm
    arm.close()


@pytest.fixture
def arm(shared: Ros2ControlArm, crisp: Crisp, reflexes: Reflexes) -> Ros2ControlArm:
    shared._reflexes, shared._tared = reflexes, False
    sent = crisp.ticks
    wait_until(lambda: crisp.ticks > sent + 2 and shared.state() and shared.robot_mode() is RobotMode.READY, "states")
    return shared


@pytest.fixture
def reflexes() -> Reflexes:
    return Reflexes()


class TestContract(ArmContract):
    settle_s = 0.5

    @pytest.fixture
    def device(self, arm: Ros2ControlArm) -> Arm:
        self.arm = arm
        return arm

    def wait(self, seconds: float) -> None:
        """And then for what was published after it, on a machine that may be busy."""
        time.sleep(seconds)
        now_s = time.time()
        wait_until(lambda: self.arm.state().t_s > now_s, "a reading")

    def make(self) -> Arm:
        return Ros2ControlArm(ros2_control_cell())

    def test_close_may_be_called_twice(self, device: Arm) -> None:
        another = self.make()
        another.close()
        another.close()


def test_is_a_driver(arm: Ros2ControlArm) -> None:
    assert isinstance(arm, ArmDriver)


def test_joints_are_picked_by_name(arm: Ros2ControlArm) -> None:
    np.testing.assert_array_equal(arm.state().q_rad, Q_RAD)


def test_wrench_is_of_the_world_on_the_tool_and_tared(arm: Ros2ControlArm, crisp: Crisp) -> None:
    wait_until(lambda: arm.state() and not arm.health()["wrench is not tared"], "the tare")
    crisp.wrench[2] += 10.0  # the robot presses 10 N more along the tool's z: the world presses back
    wait_until(lambda: arm.state().wrench_tcp[2] < -9.9, "the low-pass")
    assert np.abs(arm.state().wrench_tcp - [0, 0, -10, 0, 0, 0]).max() < 0.11


def test_targets_carry_the_name_of_the_controllers_frame(arm: Ros2ControlArm, crisp: Crisp) -> None:
    wait_until(lambda: arm._targets.get_subscription_count(), "the controller")
    arm.set_target(arm.state().pose_base_tcp)
    wait_until(lambda: crisp.targets, "the target")
    assert crisp.targets[0].header.frame_id == Crisp.frame


def test_a_robot_that_stopped_itself(arm: Ros2ControlArm, reflexes: Reflexes) -> None:
    reflexes.mode = RobotMode.REFLEX
    assert arm.state().fault == "reflex"
    with pytest.raises(SafetyFault) as fault:
        arm.set_target(arm.state().pose_base_tcp)
    assert fault.value.fault == "reflex"
    arm.recover()
    assert arm.state().fault is None
    reflexes.mode = RobotMode.USER_STOPPED
    with pytest.raises(DeviceError, match="user_stopped"):
        arm.recover()


def test_silence_makes_it_unavailable(arm: Ros2ControlArm, crisp: Crisp) -> None:
    crisp.silent = True
    wait_until(lambda: arm.robot_mode() is RobotMode.UNAVAILABLE, "the driver to notice")
    before_s = arm.state().t_s
    time.sleep(0.05)
    assert arm.state().t_s == before_s, "an old reading stays old"
    crisp.silent = False
    wait_until(lambda: arm.robot_mode() is RobotMode.READY, "the states to come back")


def test_a_second_commander_is_refused(arm: Ros2ControlArm, crisp: Crisp) -> None:
    other = crisp.spinner.node.create_publisher(PoseStamped, f"robot/{names.TARGET_POSE}", qos.COMMAND)

    def refused() -> bool:
        try:
            arm.set_target(arm.state().pose_base_tcp)
        except DeviceError as e:
            return "2 publishers" in str(e)
        return False

    wait_until(refused, "the driver to see the other")
    crisp.spinner.node.destroy_publisher(other)


def test_without_a_controller_manager_joints_stay(arm: Ros2ControlArm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm, "_joint_motion", None)
    with pytest.raises(DeviceError, match="controller_manager_msgs"):
        arm.move_joints(Q_RAD, 1.0)


def test_a_joint_motion_that_is_broken_off(arm: Ros2ControlArm, crisp: Crisp) -> None:
    with pytest.raises(DeviceError, match="broken off"):
        arm.move_joints(Q_RAD + 1.0, 20.0, lambda: False)
    assert [activated for activated, _ in crisp.switched][-1] == "cartesian_impedance_controller"
    assert np.abs(crisp.q_rad - Q_RAD).max() < 0.2


def test_silent_topics_are_named() -> None:
    config = ros2_control_cell()
    config = replace(config, robot=replace(config.robot, controller="elsewhere"))
    with pytest.raises(DeviceError, match=r"elsewhere/current_pose.*elsewhere/joint_states.*start ros2_control"):
        Ros2ControlArm(config, first_s=0.2)


def test_the_arm_node_over_it(shared: Ros2ControlArm, crisp: Crisp, scene: Scene) -> None:
    """What the cell sees has the cell's names, frames and order; what it sends arrives."""
    shared.close()  # it would be a second commander; this is the last test that needs the robot
    config = ros2_control_cell()
    listener = Listener(config)
    modes = listener.listen(String, names.ROBOT_MODE, qos.LATCHED)
    kinds = {
        names.CURRENT_POSE: PoseStamped,
        names.CURRENT_TWIST: TwistStamped,
        names.JOINT_STATES: JointState,
        names.EXTERNAL_WRENCH: WrenchStamped,
    }
    heard = {topic: listener.listen(kind, topic) for topic, kind in kinds.items()}
    targets = listener.spinner.node.create_publisher(PoseStamped, names.TARGET_POSE, qos.COMMAND)
    goal = crisp.pose + np.array([0.05, 0, 0, 0, 0, 0, 0])
    try:
        with serving(config, lambda context: make_nodes(config, scene, context)):
            wait_until(lambda: all(heard.values()) and modes and modes[-1].data == "ready", "the arm node")

            def follows() -> bool:
                targets.publish(pose_message(goal, names.BASE_FRAME, time.time()))
                return bool(np.abs(crisp.pose[:3] - goal[:3]).max() < 1e-3)

            wait_until(follows, "the tool to arrive")
            assert heard[names.CURRENT_POSE][-1].header.frame_id == names.BASE_FRAME
            assert heard[names.EXTERNAL_WRENCH][-1].header.frame_id == names.TCP_FRAME
            assert list(heard[names.JOINT_STATES][-1].position) == list(Q_RAD)
            assert np.isfinite(wrench_of(heard[names.EXTERNAL_WRENCH][-1])).all()
            crisp.target = goal + np.array([0.3, 0, 0, 0, 0, 0, 0])
            wait_until(lambda: abs(crisp.target[0] - goal[0]) < 0.25, "the node to hold when the arbiter is silent")
    finally:
        listener.close()


@pytest.fixture
def scene() -> Scene:
    from robot_rl.cli.node import make_scene

    return make_scene(replace(ros2_control_cell(), task="Reach"))


@given(st.permutations(range(9)))
def test_joint_order_does_not_matter(order: list[int]) -> None:
    joints = [*(f"left_fr3_joint{i}" for i in range(1, 8)), "left_fr3_finger_joint1", "wheel"]
    values = [*np.arange(7.0), 70.0, 80.0]
    message = joints_message([joints[i] for i in order], [values[i] for i in order], 1.0, [values[i] for i in order])
    picked = arm_joints_of(message)
    assert picked.names == tuple(joints[:7])
    np.testing.assert_array_equal(picked.q_rad, np.arange(7.0))
    np.testing.assert_array_equal(picked.dq_rad_s, np.arange(7.0))


def test_missing_joints_are_named() -> None:
    with pytest.raises(DataError, match="lacks joint2"):
        arm_joints_of(joints_message([f"joint{i}" for i in (1, 3, 4, 5, 6, 7)], range(6), 1.0))


def test_slope_of_poses() -> None:
    slope = PoseSlope(time_constant_s=0.001)
    start = rotvec_to_quat(np.array([0.3, -0.2, 2.0]))
    for i in range(100):
        turn = rotvec_to_quat(np.array([0.0, 0.0, 0.5 * 0.01 * i]))
        twist = slope.update(np.concatenate([[0.1 * 0.01 * i, 0, 0], quat_multiply(turn, start)]), 0.01 * i)
    np.testing.assert_allclose(twist, [0.1, 0, 0, 0, 0, 0.5], atol=1e-4)
    np.testing.assert_array_equal(slope.update(np.ones(7), 0.01 * 99), twist)


def test_modes_of_the_robot() -> None:
    modes = [mode_of(i).value for i in range(8)]
    assert modes == [
        "unavailable",
        "unavailable",
        "ready",
        "guiding",
        "reflex",
        "user_stopped",
        "unavailable",
        "unavailable",
    ]
