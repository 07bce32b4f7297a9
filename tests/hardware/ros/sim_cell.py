"""A simulated cell as a process, and somebody who listens to it and commands it in the arbiter's place."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, TwistStamped, WrenchStamped
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, String

from robot_rl.core.types import Array
from robot_rl.hardware.cell.description import CellConfig
from robot_rl.hardware.ros import names
from robot_rl.hardware.ros.calls import Calls
from robot_rl.hardware.ros.executor import Spinner
from robot_rl.hardware.ros.messages import pose_message, pose_of, seconds_of, text_message
from robot_rl.hardware.ros.qos import COMMAND, LATCHED, STREAM_OUT
from tests.hardware.ros.conftest import NodeProcess, wait_until

TOPICS: dict[str, tuple[Any, QoSProfile]] = {
    names.CURRENT_POSE: (PoseStamped, STREAM_OUT),
    names.CURRENT_TWIST: (TwistStamped, STREAM_OUT),
    names.JOINT_STATES: (JointState, STREAM_OUT),
    names.EXTERNAL_WRENCH: (WrenchStamped, STREAM_OUT),
    names.ROBOT_MODE: (String, LATCHED),
    names.GRIPPER_STATES: (JointState, STREAM_OUT),
    names.GRIPPER_TARGET: (Float64MultiArray, LATCHED),
    names.object_pose("cube"): (PoseStamped, STREAM_OUT),
}


class Observer:
    """Keeps all that a cell says, and says what an arbiter would."""

    def __init__(self, config: CellConfig) -> None:
        self.config = config
        self.spinner = Spinner("observer", config)
        self.calls = Calls(self.spinner, 20.0)
        self.heard: dict[str, list[Any]] = {topic: [] for topic in TOPICS}
        self.facts: dict[str, list[tuple[str, dict[str, str]]]] = {}
        node = self.spinner.node
        for topic, (kind, quality) in TOPICS.items():
            node.create_subscription(kind, topic, self.heard[topic].append, quality)
        node.create_subscription(DiagnosticArray, names.DIAGNOSTICS, self._on_diagnostics, 10)
        self.commands = node.create_publisher(PoseStamped, names.TARGET_POSE, COMMAND)
        self.gripper = node.create_publisher(Float64MultiArray, names.GRIPPER_COMMAND, COMMAND)
        self._safety_mode = node.create_publisher(String, names.MODE, LATCHED)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            kind = status.name.rpartition(" ")[2]
            self.facts.setdefault(kind, []).append((status.message, {v.key: v.value for v in status.values}))

    def begin(self) -> None:
        """Wait until the cell talks and listens."""
        for topic in TOPICS:
            wait_until(lambda topic=topic: self.heard[topic], topic)
        wait_until(lambda: self.robot_mode == "ready", "the robot to be ready")
        wait_until(lambda: self.commands.get_subscription_count() and self.gripper.get_subscription_count(), "ears")

    @property
    def t_s(self) -> float:
        return seconds_of(self.heard[names.CURRENT_POSE][-1].header.stamp)

    @property
    def pose(self) -> Array:
        return pose_of(self.heard[names.CURRENT_POSE][-1])

    @property
    def q_rad(self) -> Array:
        return np.array(self.heard[names.JOINT_STATES][-1].position)

    @property
    def width_m(self) -> float:
        return float(self.heard[names.GRIPPER_STATES][-1].position[0])

    @property
    def robot_mode(self) -> str:
        return str(self.heard[names.ROBOT_MODE][-1].data)

    def pass_time(self, seconds: float) -> None:
        """Wait for this much of the cell's own time."""
        end_s = self.t_s + seconds
        wait_until(lambda: self.t_s > end_s, f"{seconds} s to pass")

    def moved(self, x_m: float, y_m: float = 0.0, z_m: float = 0.0) -> Array:
        """The present pose, shifted."""
        pose = self.pose
        pose[:3] += (x_m, y_m, z_m)
        return pose

    def fact(self, kind: str, key: str) -> Callable[[], str]:
        """Newest value in the diagnostics of a node."""
        return lambda: self.facts[kind][-1][1].get(key, "") if self.facts.get(kind) else ""

    def send(self, pose: Array, frame: str = names.BASE_FRAME, t_s: float | None = None) -> None:
        self.commands.publish(pose_message(pose, frame, time.time() if t_s is None else t_s))

    def say_mode(self, mode: str) -> None:
        self._safety_mode.publish(text_message(mode))

    @contextmanager
    def repeating(self, say: Callable[[], None], hz: float = 100.0) -> Iterator[None]:
        """Say something again and again until the end of the block."""
        stop = threading.Event()

        def run() -> None:
            while not stop.wait(1.0 / hz):
                say()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def go(self, pose: Array, tolerance_m: float = 0.004) -> None:
        """Command a pose until the tool is there."""
        with self.repeating(lambda: self.send(pose)):
            wait_until(lambda: np.abs(self.pose[:3] - pose[:3]).max() < tolerance_m, "the arm to follow")

    def close(self) -> None:
        self.spinner.close()


class SimCell:
    """Process and observer."""

    def __init__(self, config: CellConfig, folder: Path, *args: str) -> None:
        self.config = config
        self.process = NodeProcess(config, "sim", folder, *args)
        try:
            self.observer = Observer(config)
            self.observer.begin()
        except BaseException:
            self.process.close()
            raise

    def close(self) -> int:
        """End it as Ctrl-C does; its exit code."""
        self.observer.close()
        return self.process.close()


def fresh_start(observer: Observer) -> None:
    """Bring a cell that several tests share back to its start."""
    observer.say_mode("")
    done, reason = observer.calls.trigger(names.WORLD_RESET)
    assert done, reason
    observer.pass_time(0.05)
