"""A leader arm on ROS topics, as an actor or a teleop node sees it."""

from __future__ import annotations

from collections.abc import Mapping

from rclpy.node import Node
from sensor_msgs.msg import JointState, Joy

from robot_rl.core.errors import DataError
from robot_rl.core.types import TeleopState
from robot_rl.hardware.leader.config import LeaderConfig
from robot_rl.hardware.leader.device import LeaderTeleop
from robot_rl.hardware.ros.joint_motion import arm_joints_of
from robot_rl.hardware.ros.qos import EVENTS_IN, STREAM_IN


class RosLeader:
    """`robot_rl.core.protocols.Teleop` over the joint states of a leader arm, and a Joy beside it if there is one.

    Args:
        node: that listens; not closed by this device.
        config: of the leader.
        step_m: translation of one control step at full deflection.
        step_rad: rotation of one control step at full deflection.
    """

    def __init__(self, node: Node, config: LeaderConfig, step_m: float, step_rad: float) -> None:
        self._node, self._leader = node, LeaderTeleop(config, step_m, step_rad)
        self._ears = [node.create_subscription(JointState, config.topic, self._on_joints, STREAM_IN)]
        if config.buttons_topic:
            self._ears.append(node.create_subscription(Joy, config.buttons_topic, self._on_buttons, EVENTS_IN))

    def read(self) -> TeleopState:
        """What the person does now; call it once a control step."""
        return self._leader.read()

    def health(self) -> Mapping[str, str]:
        """Facts for `/diagnostics`."""
        return self._leader.health()

    def close(self) -> None:
        """Stop listening. May be called twice."""
        while self._ears:
            self._node.destroy_subscription(self._ears.pop())

    def _on_joints(self, message: JointState) -> None:
        positions = dict(zip(message.name, message.position, strict=False))
        try:
            q_rad = arm_joints_of(message).q_rad
        except DataError:
            self._leader.report(())
            return
        self._leader.report(q_rad, positions)

    def _on_buttons(self, message: Joy) -> None:
        self._leader.report_buttons(message.buttons)
