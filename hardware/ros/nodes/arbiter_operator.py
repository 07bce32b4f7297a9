"""An operator's device on ``teleop/joy`` and ``teleop/twist``, as the arbiter's node reads it."""

from __future__ import annotations

import math

from geometry_msgs.msg import TwistStamped
from rclpy.node import Node
from sensor_msgs.msg import Joy

from robot_rl.controllers.arbiter_twist import Grip, Steer, TwistOperator
from robot_rl.core.types import Array
from robot_rl.hardware.ros.messages import seconds_of, twist_of
from robot_rl.hardware.ros.names import BASE_FRAME, TCP_FRAME, TELEOP_JOY, TELEOP_TWIST
from robot_rl.hardware.ros.nodes.arbiter_inputs import Mailbox
from robot_rl.hardware.ros.qos import STREAM_IN

OPERATOR = "operator"
_LOG_EVERY_S = 1.0


class OperatorInput:
    """Reads the device; `tick` says what its operator asks for.

    A program that publishes ``operator/target_pose`` has the operator's role while it does: the device then stands back
    until it was let go of. A program that begins while the device is engaged is a second commander, which is a fault.

    Args:
        node: that subscribes.
        operator: what turns twists into poses.
    """

    def __init__(self, node: Node, operator: TwistOperator) -> None:
        self._node, self._operator = node, operator
        self._joy = Mailbox(node, Joy, TELEOP_JOY, STREAM_IN)
        self._twist = Mailbox(node, TwistStamped, TELEOP_TWIST, STREAM_IN)
        self._pose_s = self._logged_s = -math.inf

    def heard_pose(self, t_s: float) -> None:
        """A program commands in the operator's role."""
        self._pose_s = t_s

    def block(self) -> None:
        """A wish was not followed."""
        self._operator.block()

    def tick(self, t_s: float, period_s: float, pose_base_tcp: Array | None, stand_back_s: float) -> Steer:
        """What to ask of the arbiter now.

        Args:
            t_s: time now.
            period_s: since the last tick.
            pose_base_tcp: the arbiter's target ``[7]``, or None.
            stand_back_s: how long after a program's last pose the device stands back.
        """
        joy, twist = self._joy.newest(), self._twist.newest()
        if joy is not None:
            self._operator.joy(min(seconds_of(joy.header.stamp), t_s), joy.axes, joy.buttons)
        if twist is not None:
            self._read(twist, t_s)
        if self._operator.grip is not Grip.ENGAGED and 0.0 <= t_s - self._pose_s < stand_back_s:
            self._operator.block()
        return self._operator.tick(t_s, period_s, pose_base_tcp)

    def close(self) -> None:
        """Unsubscribe."""
        self._joy.close()
        self._twist.close()

    def _read(self, message: TwistStamped, t_s: float) -> None:
        frame, sent_s = message.header.frame_id, min(seconds_of(message.header.stamp), t_s)
        if frame in (BASE_FRAME, TCP_FRAME):
            if self._operator.twist(sent_s, twist_of(message), in_tool=frame == TCP_FRAME):
                return
            problem = "is not finite"
        else:
            problem = f"is in the frame {frame!r}, expected {BASE_FRAME!r} or {TCP_FRAME!r}"
        if abs(t_s - self._logged_s) >= _LOG_EVERY_S:
            self._logged_s = t_s
            self._node.get_logger().warning(f"ignored a message on {TELEOP_TWIST}: its twist {problem}")
