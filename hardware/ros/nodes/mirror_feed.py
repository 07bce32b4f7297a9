"""What a simulated camera needs to know, from the topics of the cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from geometry_msgs.msg import PoseStamped
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import JointState

from robot_rl.core.errors import DataError
from robot_rl.core.scene import SceneObject
from robot_rl.hardware.cameras.mirror import MirrorCamera
from robot_rl.hardware.ros import names
from robot_rl.hardware.ros.messages import joints_of, pose_of, seconds_of
from robot_rl.hardware.ros.qos import STREAM_IN


class MirrorFeed:
    """Tells a camera where arm, fingers and objects are, whoever publishes that.

    A camera needs the newest message of each topic 30 times a second, not each of hundreds: waking up for all of them
    costs more than rendering does. So nothing is executed when they come; `poll` takes what is there.

    Args:
        node: that subscribes.
        camera: to be told.
        objects: of the task.
        gripper: whether the cell has one.
    """

    def __init__(self, node: Node, camera: MirrorCamera, objects: Sequence[SceneObject], *, gripper: bool) -> None:
        self._node, self._camera, self._group = node, camera, _NeverExecuted()
        self._subscriptions: list[Any] = []
        self._listen(JointState, names.JOINT_STATES, self._on_joints)
        if gripper:
            self._listen(JointState, names.GRIPPER_STATES, self._on_gripper)
        for item in objects:
            if item.mount != "hand":
                self._listen(PoseStamped, names.object_pose(item.name), partial(self._on_object, item.name))

    def poll(self) -> None:
        """Tell the camera what has come since the last time."""
        # The joints are asked last: a picture is dated by them, so nothing else in it may be older for want of asking.
        for subscription in reversed(self._subscriptions):
            with subscription.handle:
                taken = subscription.handle.take_message(subscription.msg_type, False)
            if taken is not None:
                try:
                    subscription.callback(taken[0])
                except DataError as e:
                    self._node.get_logger().warning(f"{subscription.topic_name}: {e}", throttle_duration_sec=5.0)

    def close(self) -> None:
        """Hear no more. May be called twice."""
        while self._subscriptions:
            self._node.destroy_subscription(self._subscriptions.pop())

    def _listen(self, kind: Any, topic: str, callback: Callable[[Any], None]) -> None:
        subscription = self._node.create_subscription(kind, topic, callback, STREAM_IN, callback_group=self._group)
        self._subscriptions.append(subscription)

    def _on_joints(self, message: JointState) -> None:
        self._camera.set_joints(joints_of(message, 7)[0], seconds_of(message.header.stamp))

    def _on_gripper(self, message: JointState) -> None:
        self._camera.set_width(float(joints_of(message, 1)[0][0]))

    def _on_object(self, name: str, message: PoseStamped) -> None:
        self._camera.set_object(name, pose_of(message))


class _NeverExecuted(CallbackGroup):
    """Keeps an executor from waiting for what belongs to it."""

    def can_execute(self, entity: Any) -> bool:
        return False

    def beginning_execution(self, entity: Any) -> bool:
        return False

    def ending_execution(self, entity: Any) -> None:
        """It never began."""
