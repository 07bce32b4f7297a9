"""Nodes of a cell in this process, and a stand-in for other people's drivers; both over real DDS."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped, WrenchStamped
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from robot_rl.core.types import Array
from robot_rl.hardware.cell.description import CellConfig
from robot_rl.hardware.ros import names, qos
from robot_rl.hardware.ros.executor import Spinner, open_context
from robot_rl.hardware.ros.messages import joints_message, pose_message, pose_of, wrench_message
from robot_rl.hardware.ros.node import CellNode


@contextmanager
def serving(config: CellConfig, make: Callable[[Context], Sequence[CellNode]]) -> Iterator[Sequence[CellNode]]:
    """Serve nodes in a thread until the end of the block."""
    context = open_context(config)
    nodes = make(context)
    executor = SingleThreadedExecutor(context=context)
    for node in nodes:
        executor.add_node(node)

    def spin() -> None:
        with suppress(ExternalShutdownException):
            executor.spin()

    thread = threading.Thread(target=spin)
    thread.start()
    try:
        yield nodes
    finally:
        executor.shutdown()
        thread.join()
        for node in nodes:
            node.close()
        context.try_shutdown()


class Listener:
    """Collects what is said on topics."""

    def __init__(self, config: CellConfig, name: str = "listener") -> None:
        self.spinner = Spinner(name, config)
        self.heard: dict[str, list[Any]] = {}

    def listen(self, kind: Any, topic: str, quality: Any = qos.STREAM_IN) -> list[Any]:
        messages = self.heard.setdefault(topic, [])
        self.spinner.node.create_subscription(kind, topic, messages.append, quality)
        return messages

    def close(self) -> None:
        self.spinner.close()


class Crisp:
    """What a Cartesian controller and franka_ros2's broadcasters say, with a tool that goes where it is told.

    Args:
        config: the cell.
        q_rad: first joint positions.
    """

    frame = "fr3_link0"
    period_s = 0.01

    def __init__(self, config: CellConfig, q_rad: Array) -> None:
        self.spinner = Spinner("crisp", config)
        node, space = self.spinner.node, config.robot.controller
        self.ticks = 0
        self.begin_anew(q_rad)
        self._poses = node.create_publisher(PoseStamped, f"{space}/{names.CURRENT_POSE}", 10)
        self._joints = node.create_publisher(JointState, f"{space}/{names.JOINT_STATES}", 10)
        broadcaster = f"{space}/{config.robot.broadcaster}/external_wrench_in_stiffness_frame"
        self._wrenches = node.create_publisher(WrenchStamped, broadcaster, qos.STREAM_IN)
        node.create_subscription(PoseStamped, f"{space}/{names.TARGET_POSE}", self._on_target, 1)
        node.create_subscription(
            JointTrajectory, f"{space}/joint_trajectory_controller/joint_trajectory", self._on_trajectory, 1
        )
        node.create_timer(self.period_s, self._tick)

    def begin_anew(self, q_rad: Array, weight_n: float = 0.0) -> None:
        """At rest in the middle, believing to press down with a weight."""
        self.pose = np.array([0.5, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0])
        self.target, self.q_rad = self.pose.copy(), q_rad.copy()
        self.targets: list[PoseStamped] = []
        self.wrench = np.array([0.0, 0.0, weight_n, 0.0, 0.0, 0.0])
        self.silent, self.switched = False, list[tuple[str, str]]()
        self._plan: tuple[float, float, Array, Array] | None = None

    def switch(self, activate: str, deactivate: str) -> None:
        """Stands for the controller manager."""
        self.switched.append((activate, deactivate))

    def close(self) -> None:
        self.spinner.close()

    def _on_target(self, message: PoseStamped) -> None:
        self.targets.append(message)
        self.target = pose_of(message)

    def _on_trajectory(self, message: JointTrajectory) -> None:
        assert list(message.joint_names) == [f"fr3_joint{i}" for i in range(1, 8)]
        assert self.switched[-1][0] == "joint_trajectory_controller"
        (point,) = message.points
        duration_s = point.time_from_start.sec + 1e-9 * point.time_from_start.nanosec
        self._plan = time.monotonic(), duration_s, self.q_rad.copy(), np.array(point.positions)

    def _tick(self) -> None:
        if self.silent:
            return
        self.pose[:3] += 0.3 * (self.target[:3] - self.pose[:3])
        if self._plan is not None:
            began_s, duration_s, start, end = self._plan
            share = min((time.monotonic() - began_s) / duration_s, 1.0)
            self.q_rad = start + share * (end - start)
        self.ticks += 1
        t_s = time.time()
        self._poses.publish(pose_message(self.pose, self.frame, t_s))
        joints = ["fr3_finger_joint1", *(f"fr3_joint{i}" for i in (3, 1, 2, 7, 6, 5, 4))]
        position = [0.02, *self.q_rad[[2, 0, 1, 6, 5, 4, 3]]]
        self._joints.publish(joints_message(joints, position, t_s))
        self._wrenches.publish(wrench_message(self.wrench, "fr3_hand_tcp", t_s))


class Fingers:
    """A gripper's driver: takes positions from 255, which is closed, to 0, and moves there at once."""

    def __init__(self, config: CellConfig) -> None:
        self.spinner = Spinner("fingers", config)
        node = self.spinner.node
        self.position, self.silent = 0.0, False
        self._states = node.create_publisher(JointState, config.gripper.state_topic, 10)
        node.create_subscription(Float64MultiArray, config.gripper.command_topic, self._on_command, 1)
        node.create_timer(0.01, self._tick)

    def close(self) -> None:
        self.spinner.close()

    def _on_command(self, message: Float64MultiArray) -> None:
        (self.position,) = message.data

    def _tick(self) -> None:
        if not self.silent:
            self._states.publish(joints_message(["finger"], [self.position], time.time()))
