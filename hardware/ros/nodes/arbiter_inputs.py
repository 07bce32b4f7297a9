"""What the arbiter reads: mailboxes that its tick empties, the newest state of the arm, and who sends a command.

An executor wakes up for every message of a subscription that it waits for, and builds its wait set anew each time; at
five streams of 100 Hz that is most of the node's work. Only the tick makes use of what arrives, so it looks by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped, WrenchStamped
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from robot_rl.controllers.arbiter import Measurement, RobotMode
from robot_rl.core.errors import DataError
from robot_rl.core.types import Array
from robot_rl.hardware.ros.messages import joints_of, pose_of, seconds_of, wrench_of
from robot_rl.hardware.ros.names import CURRENT_POSE, EXTERNAL_WRENCH, JOINT_STATES, ROBOT_MODE
from robot_rl.hardware.ros.qos import LATCHED, STREAM_IN

WISHES = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE, history=HistoryPolicy.KEEP_LAST)
"""Deeper than a command's: two commanders between two ticks must both be seen."""
_UNCOUNTED = 2**64 - 1


class _NeverExecuted(CallbackGroup):
    """Keeps a subscription out of the executor's wait set."""

    def can_execute(self, entity: Any) -> bool:
        return False

    def beginning_execution(self, entity: Any) -> bool:
        return False

    def ending_execution(self, entity: Any) -> None:
        pass


class Mailbox:
    """A subscription that is emptied when its owner wants to.

    Args:
        node: that subscribes.
        kind: of message.
        topic: relative to the node's namespace.
        qos: whose depth is the size of the box.
    """

    def __init__(self, node: Node, kind: Any, topic: str, qos: QoSProfile) -> None:
        self._node, self._kind, self._depth = node, kind, qos.depth
        self._subscription = node.create_subscription(kind, topic, lambda _: None, qos, callback_group=_NeverExecuted())

    def take(self) -> Sequence[tuple[Any, Mapping[str, Any]]]:
        """Messages that arrived since the last time, the oldest first, with what the middleware says about each."""
        taken: list[tuple[Any, Any]] = []
        with self._subscription.handle:
            while len(taken) < self._depth and (one := self._subscription.handle.take_message(self._kind, False)):
                taken.append(one)
        return taken

    def newest(self) -> Any | None:
        """The last of them."""
        taken = self.take()
        return taken[-1][0] if taken else None

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self._subscription)


class ArmInputs:
    """The newest state of the arm.

    Args:
        node: that subscribes.
        joints: how many the arm has.
    """

    def __init__(self, node: Node, joints: int) -> None:
        self._joints = joints
        self._boxes = {
            CURRENT_POSE: Mailbox(node, PoseStamped, CURRENT_POSE, STREAM_IN),
            EXTERNAL_WRENCH: Mailbox(node, WrenchStamped, EXTERNAL_WRENCH, STREAM_IN),
            JOINT_STATES: Mailbox(node, JointState, JOINT_STATES, STREAM_IN),
        }
        self._mode_box = Mailbox(node, String, ROBOT_MODE, LATCHED)
        self.robot_mode = RobotMode.UNAVAILABLE
        self.stamps_s: dict[str, float] = {}
        self._pose, self._wrench, self._q_rad = np.zeros(7), np.zeros(6), np.zeros(0)

    def measurement(self) -> Measurement | None:
        """As old as the oldest of its parts; None before each was heard once."""
        for topic, box in self._boxes.items():
            message = box.newest()
            if message is not None:
                self.stamps_s[topic] = seconds_of(message.header.stamp)
                self._keep(topic, message)
        mode = self._mode_box.newest()
        if mode is not None:
            self.robot_mode = robot_mode_of(mode.data)
        if len(self.stamps_s) < len(self._boxes):
            return None
        return Measurement(min(self.stamps_s.values()), self._pose, self._wrench, self._q_rad, self.robot_mode)

    def close(self) -> None:
        """Unsubscribe."""
        for box in (*self._boxes.values(), self._mode_box):
            box.close()

    def _keep(self, topic: str, message: Any) -> None:
        if topic == CURRENT_POSE:
            self._pose = pose_of(message)
        elif topic == EXTERNAL_WRENCH:
            self._wrench = wrench_of(message)
        else:
            self._q_rad = _positions(message, self._joints)


def robot_mode_of(text: str) -> RobotMode:
    """The mode of that name; an unknown one counts as unavailable."""
    try:
        return RobotMode(text)
    except ValueError:
        return RobotMode.UNAVAILABLE


class Sources:
    """Names the publisher of each message.

    By its global id; a middleware that gives none leaves the number of the publication, and one that does not rise is
    of somebody else.
    """

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._others: dict[str, int] = {}

    def name(self, role: str, info: Mapping[str, Any]) -> tuple[str, int | None]:
        """Source of a message in a role, and its number if the publisher counts.

        Args:
            role: that it was sent in.
            info: what the middleware says about the message.
        """
        number = info.get("publication_sequence_number")
        sequence = None if number is None or number == _UNCOUNTED else int(number)
        gid = bytes((info.get("publisher_gid") or {}).get("data", b""))
        if any(gid):
            return gid.hex(), sequence
        if sequence is not None and sequence <= self._last.get(role, -1):
            self._others[role] = self._others.get(role, 0) + 1
        if sequence is not None:
            self._last[role] = sequence
        return f"publisher {self._others.get(role, 0)}", sequence


def _positions(message: JointState, n: int) -> Array:
    """An incomplete list stays incomplete: the arbiter says what is wrong with it."""
    try:
        return joints_of(message, n)[0]
    except DataError:
        return np.array(message.position)
