"""An operator's device on topics, through the SpaceMouse's real library, and other people's joysticks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs the extra ros")

from geometry_msgs.msg import TwistStamped
from sensor_msgs.msg import Joy

from robot_rl.cli.node import make_scene
from robot_rl.core.errors import ConfigError
from robot_rl.core.types import TeleopState
from robot_rl.hardware.cell.description import CellConfig, TeleopConfig
from robot_rl.hardware.ros import names, qos
from robot_rl.hardware.ros.messages import seconds_of, stamp_of, twist_of
from robot_rl.hardware.ros.node import Level
from robot_rl.hardware.ros.nodes.teleop import TeleopNode, make_nodes, twist_tcp
from robot_rl.hardware.spacemouse.axes import AxisConfig
from robot_rl.hardware.spacemouse.device import SpaceMouseTeleop
from tests.hardware.ros.conftest import test_cell, wait_until
from tests.hardware.ros.serving import Listener, serving

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
        wait_until(lambda: list(joys[-1].buttons) == [0, 1, 0, 0, 1], "the button")
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


def test_nothing_to_start() -> None:
    config = teleop_cell(TeleopConfig())
    with pytest.raises(ConfigError, match="expected spacemouse or joy"):
        make_nodes(config, make_scene(config), None)  # type: ignore[arg-type]


def test_speeds() -> None:
    state = TeleopState(engaged=True, twist_tcp=np.array([1, -1, 0.5, 0, 1, -0.5]))
    np.testing.assert_allclose(twist_tcp(state, SPEEDS), [0.2, -0.2, 0.1, 0.0, 0.4, -0.2])
    assert not twist_tcp(TeleopState(twist_tcp=np.ones(6)), SPEEDS).any()
