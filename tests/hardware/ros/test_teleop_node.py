"""An operator's device on topics, through the SpaceMouse's real library, and other people's joysticks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs the extra ros")

from geometry_msgs.msg import TwistStamped
from sensor_msgs.msg import JointState, Joy

from robot_rl.cli.node import make_scene
from robot_rl.core.errors import ConfigError
from robot_rl.core.types import Array, TeleopState
from robot_rl.hardware.cell.description import CellConfig, TeleopConfig
from robot_rl.hardware.joystick import BUTTONS, ENGAGED, OPEN
from robot_rl.hardware.leader.config import LeaderConfig, Lever
from robot_rl.hardware.ros import names, qos
from robot_rl.hardware.ros.client.teleop import RosTeleop
from robot_rl.hardware.ros.messages import joints_message, seconds_of, stamp_of, twist_of
from robot_rl.hardware.ros.node import Level
from robot_rl.hardware.ros.nodes.teleop import TeleopNode, make_nodes, twist_tcp
from robot_rl.hardware.spacemouse.axes import AxisConfig
from robot_rl.hardware.spacemouse.device import SpaceMouseTeleop
from tests.hardware.ros.conftest import test_cell, wait_until
from tests.hardware.ros.serving import Listener, serving

HOME = np.array([0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785])
SPEEDS = TeleopConfig(provider="spacemouse", linear_m_s=0.2, angular_rad_s=0.4)


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener(test_cell())
    yield listener
    listener.close()


def teleop_cell(teleop: TeleopConfig) -> CellConfig:
    return test_cell(teleop=teleop)


def test_a_spacemouse(listener: Listener) -> None:
    pytest.importorskip("pyspacemouse", reason="needs the extra spacemouse")
    from tests.hardware.spacemouse.hid import FULL, FakeHid, buttons, connect, rotation, translation

    config, hid = teleop_cell(SPEEDS), FakeHid()
    joys, twists = listener.listen(Joy, names.TELEOP_JOY), listener.listen(TwistStamped, names.TELEOP_TWIST)
    open_device = partial(SpaceMouseTeleop, AxisConfig(static_s=10.0), partial(connect, hid))
    with serving(config, lambda context: [TeleopNode(config, open_device, context)]) as (node,):
        wait_until(lambda: joys and twists, "the node")
        assert not any(joys[-1].axes)
        assert not twist_of(twists[-1]).any()
        hid.send(translation(y=-FULL), rotation(z=FULL), buttons(0b10))  # forward, clockwise, right button
        wait_until(lambda: joys[-1].axes[0] == 1.0 and any(twist_of(twists[-1])[3:]), "the push")
        assert list(joys[-1].axes) == [1.0, 0.0, 0.0, 0.0, 0.0, -1.0]
        wait_until(lambda: list(joys[-1].buttons) == buttons_of(OPEN, ENGAGED), "the button")
        assert twists[-1].header.frame_id == names.TCP_FRAME
        np.testing.assert_allclose(twist_of(twists[-1]), [0.2, 0, 0, 0, 0, 0.4], atol=1e-12)
        hid.unplugged = True
        wait_until(lambda: node.health()[0].level is Level.ERROR, "the loss")
        wait_until(lambda: time.time() - seconds_of(twists[-1].header.stamp) > 0.5, "old stamps")
        assert not twist_of(twists[-1]).any()
        assert not any(joys[-1].axes)


def test_somebody_elses_joystick(listener: Listener) -> None:
    config = teleop_cell(TeleopConfig(provider="joy", linear_m_s=0.1))
    twists = listener.listen(TwistStamped, names.TELEOP_TWIST)
    joys = listener.spinner.node.create_publisher(Joy, names.TELEOP_JOY, qos.COMMAND)
    message = Joy(axes=[0.0, 1.0, 0.5], buttons=[])
    with serving(config, lambda context: make_nodes(config, make_scene(config), context)):

        def arrives() -> bool:
            message.header.stamp = stamp_of(time.time())
            joys.publish(message)
            return bool(twists) and bool(twist_of(twists[-1]).any())

        wait_until(arrives, "the twist")
        np.testing.assert_allclose(twist_of(twists[-1])[:3], [0.0, -0.1, -0.05], atol=1e-9)
        wait_until(lambda: not twist_of(twists[-1]).any(), "zero after the driver fell silent")
        assert listener.spinner.node.count_publishers(names.TELEOP_JOY) == 1


def buttons_of(*pressed: str) -> list[int]:
    return [int(name in pressed) for name in BUTTONS]


class Taps:
    """A device with a button that is tapped between two readings."""

    def __init__(self) -> None:
        self.taps: list[frozenset[str]] = []

    def read(self) -> TeleopState:
        return TeleopState(buttons=self.taps.pop(0) if self.taps else frozenset())

    def close(self) -> None:
        pass


def test_taps_reach_an_actor_that_reads_seldom(listener: Listener) -> None:
    config, device = teleop_cell(SPEEDS), Taps()
    teleop, joys = RosTeleop(listener.spinner), listener.listen(Joy, names.TELEOP_JOY)
    with serving(config, lambda context: [TeleopNode(config, lambda: device, context)]):
        wait_until(lambda: joys and teleop.read().age_s < 1.0, "the node")
        assert not teleop.read().buttons
        device.taps += [frozenset({"discard"}), frozenset({"end", "pause"})]
        wait_until(lambda: not device.taps, "the taps")
        n = len(joys)
        wait_until(lambda: len(joys) > n + 10, "more messages")
        assert teleop.read().buttons == {"discard", "end", "pause"}
        assert not teleop.read().buttons


def test_a_leader_arm(listener: Listener) -> None:
    leader = LeaderConfig(
        "arm_beside/states", clutch="lever", clutch_lever=Lever("trigger", 0.0, 1.0), buttons_topic="pedal"
    )
    config = teleop_cell(TeleopConfig(provider="leader", linear_m_s=0.25, angular_rad_s=1.0, leader=leader))
    joys, twists = listener.listen(Joy, names.TELEOP_JOY), listener.listen(TwistStamped, names.TELEOP_TWIST)
    states = listener.spinner.node.create_publisher(JointState, "arm_beside/states", qos.STREAM_OUT)
    pedal = listener.spinner.node.create_publisher(Joy, "pedal", qos.EVENTS_OUT)
    mark = Joy(buttons=[0, 0, 1])
    joints, q_rad, trigger = ["trigger", *(f"leader_joint{i}" for i in range(1, 8))], HOME.copy(), 0.0

    def say() -> bool:
        states.publish(joints_message(joints, [trigger, *q_rad], time.time()))
        time.sleep(0.01)
        return bool(joys and twists)

    def twist() -> Array:
        return twist_of(twists[-1])

    with serving(config, lambda context: make_nodes(config, make_scene(config), context)) as (node,):
        wait_until(say, "the node")
        assert list(joys[-1].buttons) == buttons_of()
        trigger = 1.0
        wait_until(lambda: say() and joys[-1].buttons[4] == 1, "the clutch")
        assert not twist().any(), "closing it moves nothing"

        def turn() -> bool:
            q_rad[6] -= 0.005  # the last joint turns the tool about its own axis
            return say() and twist()[5] < -0.1

        wait_until(turn, "the motion")
        np.testing.assert_allclose(twist()[:5], np.zeros(5), atol=1e-9)
        assert abs(twist()[5]) <= 1.0 + 1e-9
        wait_until(lambda: pedal.publish(mark) or (say() and joys[-1].buttons[2] == 1), "the pedal's mark")
        joints[1] = "no_joint"
        wait_until(lambda: say() and node.health()[0].values["refused"] != "0", "the refusal")
        wait_until(lambda: node.health()[0].level is Level.ERROR, "the silence")
        assert list(joys[-1].buttons)[4] == 0
        assert not twist().any()


def test_the_arbiter_takes_a_leaders_clutch_for_its_grip() -> None:
    assert TeleopConfig(provider="leader").grip_button == 4
    assert TeleopConfig(provider="leader", deadman_button=7).grip_button == 7
    assert TeleopConfig(provider="spacemouse").grip_button == -1


def test_nothing_to_start() -> None:
    config = teleop_cell(TeleopConfig())
    with pytest.raises(ConfigError, match="expected spacemouse, leader or joy"):
        make_nodes(config, make_scene(config), None)  # type: ignore[arg-type]


def test_speeds() -> None:
    state = TeleopState(engaged=True, twist_tcp=np.array([1, -1, 0.5, 0, 1, -0.5]))
    np.testing.assert_allclose(twist_tcp(state, SPEEDS), [0.2, -0.2, 0.1, 0.0, 0.4, -0.2])
    assert not twist_tcp(TeleopState(twist_tcp=np.ones(6)), SPEEDS).any()
