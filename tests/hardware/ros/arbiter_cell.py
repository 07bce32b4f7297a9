"""A real arbiter process and, in the test's own process, an arm that is wherever its target is."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, WrenchStamped
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.publisher import Publisher
from rclpy.task import Future
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger

from robot_rl.core.types import Array
from robot_rl.hardware.cell.description import CellConfig, TeleopConfig
from robot_rl.hardware.ros import names
from robot_rl.hardware.ros.calls import Calls
from robot_rl.hardware.ros.executor import Spinner
from robot_rl.hardware.ros.messages import (
    joints_message,
    pose_message,
    pose_of,
    seconds_of,
    text_message,
    wrench_message,
)
from robot_rl.hardware.ros.qos import COMMAND, LATCHED, STREAM_OUT
from tests.hardware.ros.conftest import NodeProcess, test_cell, wait_until

HOME = np.array([0.45, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0])
Q_RAD = (0.0, -0.8, 0.0, -2.3, 0.0, 1.6, 0.8)
HOME_S = 0.3


def at(dx: float = 0.0, dy: float = 0.0, dz: float = 0.0) -> Array:
    return HOME + np.array([dx, dy, dz, 0, 0, 0, 0])


class FakeArm:
    """Publishes the state at 100 Hz, offers the services that the arbiter asks for, listens to the arbiter."""

    def __init__(self, config: CellConfig) -> None:
        self.spinner = Spinner("fake_arm", config)
        self.calls = Calls(self.spinner)
        node = self.spinner.node
        self.targets: deque[tuple[float, Array]] = deque(maxlen=5000)
        self.modes: deque[tuple[float, str]] = deque(maxlen=1000)
        self.fault = "not heard"
        self.diagnostics: dict[str, str] = {}
        self.level = b""
        self._home: tuple[float, Any] | None = None
        self.rest()
        self._outs = {
            topic: node.create_publisher(kind, topic, STREAM_OUT)
            for topic, kind in (
                (names.CURRENT_POSE, PoseStamped),
                (names.EXTERNAL_WRENCH, WrenchStamped),
                (names.JOINT_STATES, JointState),
            )
        }
        self._mode_out = node.create_publisher(String, names.ROBOT_MODE, LATCHED)
        self._said = ""
        node.create_subscription(PoseStamped, names.TARGET_POSE, self._on_target, COMMAND)
        node.create_subscription(String, names.MODE, lambda m: self.modes.append((time.time(), m.data)), LATCHED)
        node.create_subscription(String, names.FAULT, lambda m: setattr(self, "fault", m.data), LATCHED)
        node.create_subscription(DiagnosticArray, names.DIAGNOSTICS, self._on_diagnostics, 10)
        group = ReentrantCallbackGroup()
        node.create_service(Trigger, names.ARM_HOME, self._on_home, callback_group=group)
        node.create_service(Trigger, names.ARM_RECOVER, self._on_recover, callback_group=group)
        node.create_timer(0.01, self._on_timer)

    def rest(self) -> None:
        """Well again, at home."""
        self.pose, self.follows, self.publishing = HOME.copy(), True, True
        self.wrench: npt.ArrayLike = np.zeros(6)
        self.robot_mode = "ready"
        self.recoveries, self.recovers, self.arrives, self.collides = 0, True, True, False

    @property
    def mode(self) -> str:
        return self.modes[-1][1] if self.modes else ""

    @property
    def target(self) -> Array:
        return self.targets[-1][1]

    def close(self) -> None:
        self.spinner.close()

    def _on_target(self, message: PoseStamped) -> None:
        assert message.header.frame_id == "base"
        pose = pose_of(message)
        self.targets.append((seconds_of(message.header.stamp), pose))
        if self.follows:
            self.pose = pose.copy()

    def _on_timer(self) -> None:
        if self.robot_mode != self._said:
            self._said = self.robot_mode
            self._mode_out.publish(text_message(self._said))
        if self.publishing:
            now_s = time.time()
            self._outs[names.CURRENT_POSE].publish(pose_message(self.pose, "base", now_s))
            self._outs[names.EXTERNAL_WRENCH].publish(wrench_message(self.wrench, "tcp", now_s))
            self._outs[names.JOINT_STATES].publish(joints_message(names.JOINT_NAMES, Q_RAD, now_s))
        if self._home is not None and (self.mode != "homing" or time.monotonic() >= self._home[0]):
            self._home[1].set_result(self.mode == "homing" and self.arrives)
            self._home = None

    async def _on_home(self, _: Any, response: Any) -> Any:
        done: Future[bool] = Future(executor=self.spinner.node.executor)
        self._home = (time.monotonic() + HOME_S, done)
        if self.collides:
            self.wrench = [60.0, 0, 0, 0, 0, 0]
        response.success = bool(await done)
        response.message = "there" if response.success else "the joints are stuck"
        if response.success:
            self.pose = at(0.05)
        return response

    def _on_recover(self, _: Any, response: Any) -> Any:
        self.recoveries += 1
        if self.recovers:
            self.robot_mode = "ready"
        response.success, response.message = self.recovers, "" if self.recovers else "the brakes are closed"
        return response

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.endswith(": arbiter"):
                self.level, self.diagnostics = status.level, {v.key: v.value for v in status.values}


class Commander:
    """Publishes wishes at 50 Hz from a thread of its own, until it is told to be silent."""

    def __init__(self, arm: FakeArm, role: str = "policy") -> None:
        self.publisher: Publisher[PoseStamped] = arm.spinner.node.create_publisher(
            PoseStamped, names.wish(role), COMMAND
        )
        self._node = arm.spinner.node

    def send(self, pose: npt.ArrayLike, frame: str = "base", age_s: float = 0.0) -> float:
        stamp_s = time.time() - age_s
        self.publisher.publish(pose_message(pose, frame, stamp_s))
        return stamp_s

    @contextmanager
    def sending(self, pose: Callable[[], npt.ArrayLike]) -> Iterator[list[float]]:
        """While in the block; yields the stamps that were sent."""
        stop, stamps = threading.Event(), list[float]()

        def run() -> None:
            while not stop.wait(0.02):
                stamps.append(self.send(pose()))

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield stamps
        finally:
            stop.set()
            thread.join()

    def close(self) -> None:
        self._node.destroy_publisher(self.publisher)


class ArbiterCell:
    """The arbiter's process and the arm."""

    def __init__(self, config: CellConfig, folder: Path, *args: str) -> None:
        self.config, self.folder, self._args = config, folder, args
        self.process = NodeProcess(config, "arbiter", folder, *args)
        try:
            self.arm = FakeArm(config)
            wait_until(lambda: self.arm.mode == "disabled" and self.arm.targets, "the arbiter")
        except BaseException:
            self.process.close()
            raise

    def restart(self) -> None:
        self.process = NodeProcess(self.config, "arbiter", self.folder, *self._args)

    def wait_mode(self, mode: str) -> float:
        wait_until(lambda: self.arm.mode == mode, f"the mode {mode}; it is {self.arm.mode}: {self.arm.fault}", 10.0)
        return self.arm.modes[-1][0]

    def wait_fault(self, name: str) -> None:
        self.wait_mode("fault")
        wait_until(lambda: self.arm.fault.startswith(name + ": "), f"the fault {name}, not {self.arm.fault}", 10.0)

    def begin(self) -> None:
        """Disabled, with a fresh arm."""
        self.arm.rest()
        time.sleep(0.05)
        if self.arm.mode in ("fault", "stopped"):
            wait_until(lambda: self.arm.calls.trigger(names.RECOVER)[0], "a recovery", 10.0)
        self.arm.calls.switch(names.ENABLE, False)
        self.wait_mode("disabled")
        wait_until(lambda: not self.arm.fault, "no fault")
        self.arm.rest()
        # Put there, as by a reset of a simulation: a disabled arbiter goes along.
        self.arm.follows = False
        for pose in (at(0.1, 0.1), HOME):
            self.arm.pose = pose.copy()
            wait_until(lambda pose=pose: np.allclose(self.arm.target, pose, atol=1e-9), "the target at the arm", 10.0)
        self.arm.follows = True

    def enable(self) -> None:
        self.begin()
        wait_until(lambda: self.arm.calls.switch(names.ENABLE, True)[0], "the arbiter to be enabled", 10.0)
        self.wait_mode("holding")

    def close(self) -> int:
        code = self.process.close()
        self.arm.close()
        return code


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArbiterCell]:
    """With times that a busy machine keeps."""
    config = test_cell()
    limits = replace(
        config.limits,
        reach_m=0.02,
        max_force_n=30.0,
        max_measurement_age_s=1.0,
        max_command_age_s=1.0,
        hold_after_s=0.4,
        fault_after_s=2.0,
    )
    teleop = TeleopConfig("joy", deadman_button=1)
    cell = ArbiterCell(replace(config, limits=limits, teleop=teleop), tmp_path_factory.mktemp("arbiter"))
    yield cell
    assert cell.close() == 0, cell.process.text


@pytest.fixture
def commander(cell: ArbiterCell) -> Iterator[Commander]:
    commander = Commander(cell.arm)
    wait_until(lambda: commander.publisher.get_subscription_count() == 1, "the arbiter to listen")
    yield commander
    commander.close()
