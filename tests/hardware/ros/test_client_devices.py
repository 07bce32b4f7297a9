"""What a client makes of messages: from nodes that answer late, restart, or send what nobody can use."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import Image as ImageMessage
from sensor_msgs.msg import JointState, Joy
from std_msgs.msg import Float64MultiArray, String

from robot_rl.controllers.arbiter_modes import Mode
from robot_rl.core.errors import ConfigError, DeviceError, SafetyFault
from robot_rl.core.marks import MARKS
from robot_rl.core.scene import Box, SceneObject
from robot_rl.hardware.cell.description import CellConfig, WorldConfig
from robot_rl.hardware.joystick import BUTTONS
from robot_rl.hardware.ros import names, qos
from robot_rl.hardware.ros.calls import Calls
from robot_rl.hardware.ros.client.arbiter import SILENT, ArbiterClient
from robot_rl.hardware.ros.client.arm import RosArm
from robot_rl.hardware.ros.client.camera import RosCamera
from robot_rl.hardware.ros.client.cell import open_ros_cell
from robot_rl.hardware.ros.client.clock import WallClock
from robot_rl.hardware.ros.client.gripper import NoGripper, RosGripper
from robot_rl.hardware.ros.client.readiness import Readiness
from robot_rl.hardware.ros.client.teleop import RosTeleop
from robot_rl.hardware.ros.client.world import RosWorld
from robot_rl.hardware.ros.executor import Spinner
from robot_rl.hardware.ros.messages import (
    image_message,
    joints_message,
    numbers_message,
    pose_message,
    stamp_of,
    text_message,
)
from robot_rl.testing import GripperContract
from tests.hardware.ros.conftest import test_cell, wait_until

POSE = np.array([0.5, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0])
OBJECTS = (
    SceneObject("cube", (Box((0.02, 0.02, 0.02)),)),
    SceneObject("peg", (Box((0.01, 0.01, 0.03)),), mount="hand"),
)


class Side:
    """One end of a conversation: the client's, or that of the nodes."""

    def __init__(self, name: str, config: CellConfig) -> None:
        self.spinner = Spinner(name, config)
        self.node, self.calls = self.spinner.node, Calls(self.spinner, timeout_s=0.5)

    def say(self, kind: type, topic: str, quality: object = qos.STREAM_OUT) -> object:
        """A publisher that somebody hears."""
        publisher = self.node.create_publisher(kind, topic, quality)
        wait_until(lambda: publisher.get_subscription_count() > 0, f"a reader of {topic}")
        return publisher.publish


@pytest.fixture(scope="module")
def sides() -> Iterator[tuple[Side, Side]]:
    config = test_cell("sim")
    config = replace(config, name=f"{config.name}_talk")
    client, nodes = Side("client", config), Side("nodes", config)
    yield client, nodes
    client.spinner.close()
    nodes.spinner.close()


@pytest.fixture
def client(sides: tuple[Side, Side]) -> Side:
    return sides[0]


@pytest.fixture
def nodes(sides: tuple[Side, Side]) -> Side:
    return sides[1]


def config_of(side: Side, **changes: object) -> CellConfig:
    return replace(test_cell("sim"), name=side.node.get_namespace()[1:], **changes)  # type: ignore[arg-type]


class TestCamera:
    def picture(self, value: int, t_s: float, size: int = 4) -> ImageMessage:
        return image_message(np.full((size, size, 3), value, np.uint8), "wrist", t_s)

    def test_numbers_are_stamps_and_never_go_back(self, client: Side, nodes: Side) -> None:
        camera = RosCamera(client.spinner, "first", (4, 4, 3))
        say = nodes.say(ImageMessage, names.image("first"))
        say(self.picture(1, 20.0))
        wait_until(lambda: camera.heard, "a picture")
        assert camera.read().sequence == 20_000_000_000
        say(self.picture(2, 10.0))  # the clock was turned back
        wait_until(lambda: camera.read().t_s == 10.0, "the next")
        assert camera.read().sequence == 20_000_000_001

    def test_a_repeated_stamp_is_the_same_exposure(self, client: Side, nodes: Side) -> None:
        camera = RosCamera(client.spinner, "second", (4, 4, 3))
        say = nodes.say(ImageMessage, names.image("second"))
        for value, t_s in ((1, 5.0), (9, 5.0), (3, 6.0)):
            say(self.picture(value, t_s))
            wait_until(lambda t_s=t_s: camera.heard and camera.read().t_s == t_s, "it")
            if t_s == 5.0:
                time.sleep(0.1)
                assert camera.read().image[0, 0, 0] == 1

    def test_pictures_of_another_size_are_not_taken(self, client: Side, nodes: Side) -> None:
        camera = RosCamera(client.spinner, "third", (4, 4, 3))
        with pytest.raises(DeviceError, match="third/color/image_raw"):
            camera.read()
        say = nodes.say(ImageMessage, names.image("third"))
        say(self.picture(1, 1.0, size=8))
        time.sleep(0.2)
        with pytest.raises(DeviceError, match=r"\(8, 8, 3\), expected \(4, 4, 3\)"):
            camera.read()
        say(self.picture(1, 2.0))
        wait_until(lambda: camera.heard, "one of the right size")
        assert not camera.read().image.flags.writeable


class TestGripper:
    @pytest.fixture
    def gripper(self, client: Side, nodes: Side) -> RosGripper:
        gripper = RosGripper(client.spinner, 0.08)
        self.target = nodes.say(Float64MultiArray, names.GRIPPER_TARGET, qos.LATCHED)
        state = nodes.say(JointState, names.GRIPPER_STATES)
        state(joints_message([names.GRIPPER_JOINT], [0.03], time.time()))
        self.target(numbers_message([0.05]))
        wait_until(lambda: gripper.heard, "the gripper")
        return gripper

    def test_says_what_the_node_says(self, gripper: RosGripper) -> None:
        state = gripper.state()
        assert (state.width_m, state.target_m, state.max_width_m) == (0.03, 0.05, 0.08)

    def test_a_command_counts_at_once_and_an_echo_of_the_one_before_does_not(self, gripper: RosGripper) -> None:
        gripper.command(0.0)
        gripper.command(0.02)
        self.target(numbers_message([0.0]))
        time.sleep(0.1)
        assert gripper.state().target_m == 0.02

    def test_somebody_elses_command_counts_once_ones_own_is_confirmed(self, gripper: RosGripper) -> None:
        gripper.command(0.02)
        self.target(numbers_message([0.02]))
        wait_until(lambda: gripper.state().target_m == 0.02, "the echo")
        time.sleep(0.1)
        gripper.state()
        self.target(numbers_message([0.07]))
        wait_until(lambda: gripper.state().target_m == 0.07, "the operator's")

    def test_a_command_that_no_node_took_is_not_the_target_for_ever(self, gripper: RosGripper) -> None:
        gripper.command(0.01)
        wait_until(lambda: gripper.state().target_m == 0.05, "the truth", 5.0)


class TestNoGripper(GripperContract):
    settle_s = 0.0

    def make(self) -> NoGripper:
        return NoGripper(WallClock(), 0.08)


class TestTeleop:
    def test_nobody_holds_a_device_that_is_not_heard(self, client: Side, nodes: Side) -> None:
        teleop = RosTeleop(client.spinner)
        assert not teleop.read().engaged
        assert teleop.read().age_s == float("inf")
        say = nodes.say(Joy, names.TELEOP_JOY, qos.COMMAND)
        say(Joy(axes=[1.0, 0.0, 0.0, 0.0, 0.0, 0.0], buttons=[]))
        wait_until(lambda: teleop.read().engaged, "the operator")
        wait_until(lambda: not teleop.read().engaged, "the device to count as lost", 5.0)

    def test_axes_are_those_of_an_operator_who_looks_where_the_robot_looks(self, client: Side, nodes: Side) -> None:
        teleop = RosTeleop(client.spinner)
        say = nodes.say(Joy, names.TELEOP_JOY, qos.COMMAND)
        say(Joy(axes=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], buttons=[0, 1, 1]))
        wait_until(lambda: teleop.read().engaged, "the operator")
        state = teleop.read()
        np.testing.assert_allclose(state.twist_tcp, [0.1, -0.2, -0.3, 0.4, -0.5, -0.6], atol=1e-6)
        assert state.gripper == 1.0
        assert state.buttons == {"success"}

    @pytest.mark.parametrize(
        ("buttons", "held"), [([0, 0, 0, 0, 0, 1], True), ([0, 0, 0, 0, 0, 0], False), ([], False)]
    )
    def test_a_deadman_button_must_be_held(self, client: Side, nodes: Side, buttons: list[int], held: bool) -> None:
        teleop = RosTeleop(client.spinner, deadman_button=5)
        say = nodes.say(Joy, names.TELEOP_JOY, qos.COMMAND)
        say(Joy(axes=[1.0, 0.0, 0.0, 0.0, 0.0, 0.0], buttons=buttons))
        wait_until(lambda: teleop.read().age_s < 1.0, "the device")
        assert teleop.read().engaged is held
        assert not teleop.read().buttons, "who holds it marks nothing"

    def test_a_press_between_two_readings_is_not_lost(self, client: Side, nodes: Side) -> None:
        teleop = RosTeleop(client.spinner)
        say = nodes.say(Joy, names.TELEOP_JOY, qos.EVENTS_OUT)
        wait_until(lambda: say(Joy()) or teleop.read().age_s < 1.0, "the device")
        for mark in MARKS:
            say(Joy(buttons=[int(name == mark) for name in BUTTONS]))
        say(Joy(axes=[1.0]))
        wait_until(lambda: teleop._joys.newest is not None and teleop._joys.newest.value[0], "the last message")
        assert teleop.read().buttons == set(MARKS)
        assert not teleop.read().buttons
        say(Joy(axes=[0.5], buttons=[0, 0, 1]))
        wait_until(lambda: teleop.read().twist_tcp[0] == 0.5, "the held button")
        assert teleop.read().buttons == teleop.read().buttons == {"success"}

    def test_a_device_that_is_gone_behind_a_node_that_runs(self, client: Side, nodes: Side) -> None:
        teleop = RosTeleop(client.spinner)
        say = nodes.say(Joy, names.TELEOP_JOY, qos.EVENTS_OUT)
        message = Joy(axes=[1.0, 0.0, 0.0], buttons=[])
        message.header.stamp = stamp_of(time.time() - 5.0)
        wait_until(lambda: say(message) or teleop.read().age_s < 100.0, "the message")
        state = teleop.read()
        assert state.age_s >= 5.0
        assert not state.engaged and not state.twist_tcp.any()


class TestArbiter:
    @pytest.fixture
    def arbiter(self, client: Side, nodes: Side) -> ArbiterClient:
        arbiter = ArbiterClient(client.spinner, client.calls)
        self.mode = nodes.say(String, names.MODE, qos.LATCHED)
        self.fault = nodes.say(String, names.FAULT, qos.LATCHED)
        return arbiter

    def is_in(self, arbiter: ArbiterClient, mode: Mode) -> None:
        self.mode(text_message(mode.value))
        assert arbiter.wait_for({mode})

    def test_silence_is_a_fault(self, arbiter: ArbiterClient) -> None:
        assert arbiter.fault == SILENT
        self.is_in(arbiter, Mode.HOLDING)
        assert arbiter.fault is None
        wait_until(lambda: arbiter.fault == SILENT, "the silence to be noticed", 5.0)
        assert "robot-rl cell up" in arbiter.remedy

    @pytest.mark.parametrize("mode", [Mode.HOLDING, Mode.ACTIVE, Mode.HOMING])
    def test_an_arm_that_may_move_has_no_fault(self, arbiter: ArbiterClient, mode: Mode) -> None:
        self.is_in(arbiter, mode)
        assert arbiter.fault is None

    def test_a_fault_has_the_name_that_the_arbiter_gave_it(self, arbiter: ArbiterClient) -> None:
        self.fault(text_message("force_limit: 51 N: more than 50"))
        wait_until(lambda: arbiter.sentence, "the fault")
        self.is_in(arbiter, Mode.FAULT)
        assert arbiter.fault == "force_limit"
        assert "51 N" in arbiter.remedy
        assert "free the tool" in arbiter.remedy

    def test_a_disabled_arm_takes_no_target(self, arbiter: ArbiterClient, client: Side) -> None:
        arm = RosArm(client.spinner, client.calls, arbiter)
        self.is_in(arbiter, Mode.DISABLED)
        with pytest.raises(SafetyFault) as refusal:
            arm.set_target(POSE)
        assert refusal.value.fault == "disabled"

    def test_a_bad_pose_is_refused_whatever_the_mode(self, arbiter: ArbiterClient, client: Side) -> None:
        with pytest.raises(DeviceError, match="seven finite numbers"):
            RosArm(client.spinner, client.calls, arbiter).set_target(np.full(7, np.nan))

    def test_a_reading_needs_all_its_topics(self, arbiter: ArbiterClient, client: Side) -> None:
        arm = RosArm(client.spinner, client.calls, arbiter)
        with pytest.raises(DeviceError, match="current_pose"):
            arm.state()
        assert arm.unheard == ["current_pose", "current_twist", "joint_states", "external_wrench"]

    def test_an_operator_is_told_what_to_do_and_waited_for(self, arbiter: ArbiterClient, client: Side) -> None:
        told: list[str] = []
        config = config_of(client, supervision="operator", operator_timeout_s=1.0)
        arm = RosArm(client.spinner, client.calls, arbiter)
        readiness = Readiness(config, arm, arbiter, told.append)
        self.is_in(arbiter, Mode.DISABLED)
        with pytest.raises(DeviceError, match="nobody came within 1 s"):
            readiness.clear()
        assert len(told) == 1
        assert "robot-rl cell" in told[0]
        self.is_in(arbiter, Mode.HOLDING)
        readiness.clear()


class TestWorld:
    def world(self, side: Side, config: CellConfig, objects: tuple[SceneObject, ...] = OBJECTS) -> RosWorld:
        arbiter, clock = ArbiterClient(side.spinner, side.calls), WallClock()
        arm, gripper = RosArm(side.spinner, side.calls, arbiter), NoGripper(clock, 0.08)
        readiness = Readiness(config, arm, arbiter)
        return RosWorld(config, objects, side.spinner, side.calls, arm, gripper, arbiter, clock, readiness)

    def test_an_object_nobody_speaks_of_has_no_pose(self, client: Side) -> None:
        world = self.world(client, config_of(client))
        assert world.unheard == [names.object_pose("cube")]
        with pytest.raises(DeviceError, match="objects/cube/pose"):
            world.object_pose("cube")
        with pytest.raises(DeviceError, match=r"bolt.*cube, peg"):
            world.object_pose("bolt")

    def test_a_pose_that_is_no_longer_said_is_not_believed(self, client: Side, nodes: Side) -> None:
        world = self.world(client, config_of(client))
        say = nodes.say(PoseStamped, names.object_pose("cube"))
        say(pose_message(POSE, names.BASE_FRAME, time.time()))
        wait_until(lambda: not world.unheard, "the cube")
        np.testing.assert_array_equal(world.object_pose("cube"), POSE)
        time.sleep(1.1)
        with pytest.raises(DeviceError, match="is its publisher up"):
            world.object_pose("cube")

    def test_what_stands_is_believed_for_ever_and_not_placed(self, client: Side, nodes: Side) -> None:
        fixed = WorldConfig(provider="fixed", objects={"stand": tuple(POSE.tolist())})  # type: ignore[arg-type]
        robot = replace(test_cell("sim").robot, provider="franky")
        gripper = replace(test_cell("sim").gripper, provider="franky")
        config = config_of(client, world=fixed, robot=robot, gripper=gripper, supervision="operator")
        early = nodes.node.create_publisher(PoseStamped, names.object_pose("stand"), qos.LATCHED)
        early.publish(pose_message(POSE, names.BASE_FRAME, time.time()))
        world = self.world(client, config, (SceneObject("stand", (Box((0.02, 0.02, 0.02)),), mount="fixture"),))
        wait_until(lambda: not world.unheard, "the stand")
        time.sleep(1.1)
        np.testing.assert_array_equal(world.object_pose("stand"), POSE)
        with pytest.raises(DeviceError, match="by hand"):
            world.place("stand", POSE)


def test_a_cell_that_does_not_run_is_refused_with_what_is_missing() -> None:
    config = replace(test_cell("sim"), name="nobody")
    with pytest.raises(DeviceError, match=r"current_pose.*objects/cube/pose.*safety/mode.*robot-rl cell up"):
        open_ros_cell(config, OBJECTS, timeout_s=0.2)


def test_an_unknown_camera_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="unknown camera 'front'"):
        open_ros_cell(test_cell("sim"), OBJECTS, ("front",))
