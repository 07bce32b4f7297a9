"""An operator's device on topics: ``teleop/joy`` with its axes and buttons, ``teleop/twist`` with what they ask for."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
from geometry_msgs.msg import TwistStamped
from rclpy.context import Context
from rclpy.node import Node
from sensor_msgs.msg import Joy

from robot_rl.core.errors import ConfigError
from robot_rl.core.protocols import Teleop
from robot_rl.core.types import Array, TeleopState
from robot_rl.hardware.cell.description import CellConfig, TeleopConfig
from robot_rl.hardware.cell.scene import Scene
from robot_rl.hardware.joystick import joy_of, teleop_of
from robot_rl.hardware.ros import names, qos
from robot_rl.hardware.ros.client.heard import Newest
from robot_rl.hardware.ros.client.leader import RosLeader
from robot_rl.hardware.ros.messages import stamp_of, twist_message
from robot_rl.hardware.ros.node import CellNode, Health, Level

TELEOP_HZ = 50.0
LOST_S = 0.5
# Readers take best effort: a press is said more than once.
SAID_TIMES = 3
OPERATOR_FRAME = "operator"


@runtime_checkable
class Reporting(Protocol):
    """A device that knows facts about itself."""

    def health(self) -> Mapping[str, str]:
        """Facts for `/diagnostics`."""
        ...


class JoyTeleop:
    """`robot_rl.core.protocols.Teleop` over a ``teleop/joy`` that another driver publishes.

    Args:
        node: that listens; not closed by this device.
    """

    def __init__(self, node: Node) -> None:
        self._newest = Newest(node, Joy, names.TELEOP_JOY, lambda m: (list(m.axes), list(m.buttons)))

    def read(self) -> TeleopState:
        """The newest message, as old as it is; nobody is engaged before the first, or when the last is too old."""
        heard = self._newest.newest
        if heard is None:
            return TeleopState(age_s=math.inf)
        age_s = max(heard.age_s, 0.0)
        return teleop_of(*heard.value, age_s) if age_s < LOST_S else TeleopState(age_s=age_s)

    def close(self) -> None:
        """Nothing to release: the subscription is the node's."""


class TeleopNode(CellNode):
    """Publishes any `robot_rl.core.protocols.Teleop`.

    Both messages are stamped with the time at which the device was last heard, so that whoever reads them sees a device
    that has gone. The twist is in the tool's axes (frame ``tcp``), in m/s and rad/s, and zero while the operator is not
    engaged. Axes and buttons of the joy are those of `robot_rl.hardware.joystick`; a tap of a button lasts for three
    messages at least.

    Args:
        config: the cell.
        open_device: opens the device; None for the ``teleop/joy`` of another driver, of which only the twist is made.
        context: of the process.
    """

    def __init__(self, config: CellConfig, open_device: Callable[[], Teleop] | None, context: Context) -> None:
        super().__init__("teleop", config, context)
        self._open_device = open_device or partial(JoyTeleop, self)
        self._device: Teleop | None = None
        self._state = TeleopState(age_s=float("inf"))
        self._marks: deque[frozenset[str]] = deque(maxlen=SAID_TIMES)
        self._joy = None if open_device is None else self.create_publisher(Joy, names.TELEOP_JOY, qos.EVENTS_OUT)
        self._twist = self.create_publisher(TwistStamped, names.TELEOP_TWIST, qos.COMMAND)
        self._timer = self.create_timer(1.0 / TELEOP_HZ, self._tick, autostart=False)

    def open(self) -> None:
        """Open the device."""
        self._device = self._open_device()

    def start(self) -> None:
        """Publish."""
        self._timer.reset()

    def halt(self) -> None:
        """Stop publishing: whoever listens takes a silent operator for one that let go."""
        self._timer.cancel()

    def shut(self) -> None:
        """Close the device."""
        if self._device is not None:
            self._device.close()
            self._device = None

    def health(self) -> list[Health]:
        """Whether the device is there, and what it knows about itself."""
        facts: Mapping[str, str] = self._device.health() if isinstance(self._device, Reporting) else {}
        values = {"engaged": self._state.engaged, "age_s": f"{self._state.age_s:.3f}", **facts}
        if self._state.age_s > LOST_S:
            text = f"the operator's device was not heard for {self._state.age_s:.1f} s: is it plugged in?"
            return [Health(Level.ERROR, text, values)]
        return [Health(Level.OK, "engaged" if self._state.engaged else "at rest", values)]

    def _tick(self) -> None:
        if self._device is None:
            return
        state = self._state = self._device.read()
        if math.isinf(state.age_s):
            return
        t_s = self.now_s() - state.age_s
        self._marks.append(state.buttons)
        if self._joy is not None:
            joy = Joy()
            joy.header.stamp, joy.header.frame_id = stamp_of(t_s), OPERATOR_FRAME
            joy.axes, joy.buttons = joy_of(replace(state, buttons=frozenset().union(*self._marks)))
            self._joy.publish(joy)
        self._twist.publish(twist_message(twist_tcp(state, self.config.teleop), names.TCP_FRAME, t_s))


class LeaderNode(TeleopNode):
    """Publishes what the person at a leader arm does, as speeds that make the follower's way that of the leader.

    Args:
        config: the cell.
        context: of the process.
    """

    def __init__(self, config: CellConfig, context: Context) -> None:
        super().__init__(config, self._open_leader, context)

    def _open_leader(self) -> RosLeader:
        teleop = self.config.teleop
        return RosLeader(self, teleop.leader, teleop.linear_m_s / TELEOP_HZ, teleop.angular_rad_s / TELEOP_HZ)


def twist_tcp(state: TeleopState, config: TeleopConfig) -> Array:
    """What the operator asks for ``[6]`` in m/s and rad/s, in the tool's axes."""
    if not state.engaged:
        return np.zeros(6)
    scale: Array = np.repeat([config.linear_m_s, config.angular_rad_s], 3)
    return state.twist_tcp * scale


def make_nodes(config: CellConfig, scene: Scene, context: Context) -> list[CellNode]:
    """The operator's device of a cell.

    Raises:
        ConfigError: the description asks for none.
    """
    provider = config.teleop.provider
    if provider == "none":
        raise ConfigError("teleop.provider is none, expected spacemouse, leader or joy")
    if provider == "joy":
        return [TeleopNode(config, None, context)]
    if provider == "leader":
        return [LeaderNode(config, context)]
    from robot_rl.hardware.spacemouse.device import SpaceMouseTeleop

    return [TeleopNode(config, SpaceMouseTeleop, context)]
