"""How long it takes from a Joy on ROS 2 to the target of the simulated cell's arm, through the safety arbiter."""

from __future__ import annotations

import queue
import time
from dataclasses import replace
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import Joy

from robot_rl.core.errors import DeviceError
from robot_rl.core.types import Array
from robot_rl.hardware.cell.description import CellConfig, NetworkConfig, TeleopConfig, load_cell
from robot_rl.hardware.cell.supervisor import start_if_absent
from robot_rl.hardware.ros import names, qos
from robot_rl.hardware.ros.calls import Calls
from robot_rl.hardware.ros.client.arbiter import READY, ArbiterClient
from robot_rl.hardware.ros.executor import Spinner
from robot_rl.hardware.ros.messages import pose_of, stamp_of

DOMAIN = 70
READY_S = 30.0
TIMEOUT_S = 2.0
# As joy_node repeats what has not changed.
REPEAT_S = 0.05
REST_S = 0.3
MOVED_M = 2e-4
MAX_FAULTS = 5


def bench_cell() -> CellConfig:
    """The bundled simulated cell with an operator's joystick, under a name and on a domain of its own."""
    return replace(
        load_cell("sim"), name="bench_operator", network=NetworkConfig(DOMAIN), teleop=TeleopConfig(provider="joy")
    )


def times_to_target(n: int, rng: np.random.Generator) -> tuple[list[float], int]:
    """From publishing a deflected Joy to the first ``target_pose`` that moved, as its readers hear it.

    Returns:
        The times ``[n]`` in s, and how many pushes were repeated because the arbiter had latched a fault, as it does
        where readings of the arm come late.

    Raises:
        DeviceError: the cell does not come up, or a Joy moved nothing.
        SafetyFault: the arbiter does not let the arm move.
    """
    config = bench_cell()
    cell = start_if_absent(config, None)
    try:
        operator = _Operator(config)
        try:
            found = [operator.push(1.0 if i % 2 else -1.0, rng.uniform(0.0, REPEAT_S)) for i in range(n)]
        finally:
            operator.close()
    finally:
        if cell is not None:
            cell.close()
    return found, operator.repeated


class _Operator:
    """Publishes a joystick, and hears what the arm is told."""

    def __init__(self, config: CellConfig) -> None:
        self._spinner = Spinner("bench_operator", config)
        node = self._spinner.node
        self.repeated = 0
        self._target: Array | None = None
        self._rest: Array | None = None
        self._moved_s = queue.Queue[float]()
        self._joys = node.create_publisher(Joy, names.TELEOP_JOY, qos.EVENTS_OUT)
        node.create_subscription(PoseStamped, names.TARGET_POSE, self._on_target, qos.STREAM_IN)
        try:
            self._begin()
        except BaseException:
            self._spinner.close()
            raise

    def push(self, deflection: float, wait_s: float) -> float:
        """Rest, deflect the stick, and say how long it took until the target moved, in s.

        Raises:
            DeviceError: it did not, or only after too many faults.
        """
        for _ in range(MAX_FAULTS):
            self._say(0.0, REST_S + wait_s)
            self._moved_s = queue.Queue()
            self._rest = self._target
            began_s = time.perf_counter()
            while time.perf_counter() < began_s + TIMEOUT_S and self._arbiter.mode in READY:
                self._publish(deflection)
                try:
                    return self._moved_s.get(timeout=REPEAT_S) - began_s
                except queue.Empty:
                    continue
            self.repeated += 1
            self._enable()
        raise DeviceError(f"a joystick moved nothing {MAX_FAULTS} times; the arbiter says {self._arbiter.mode}")

    def close(self) -> None:
        """Leave the graph."""
        self._say(0.0, REPEAT_S)
        self._spinner.close()

    def _begin(self) -> None:
        self._arbiter = ArbiterClient(self._spinner, Calls(self._spinner))
        end_s = time.monotonic() + READY_S
        while self._arbiter.mode is None or self._joys.get_subscription_count() < 2:
            if time.monotonic() > end_s:
                raise DeviceError(f"the cell bench_operator was not complete within {READY_S:g} s")
            time.sleep(REPEAT_S)
        self._enable()
        # The first push goes through code that nothing has run yet.
        self.push(1.0, 0.0)
        self.repeated = 0

    def _enable(self) -> None:
        self._arbiter.clear()
        if self._arbiter.mode not in READY:
            self._arbiter.enable()

    def _say(self, deflection: float, seconds: float) -> None:
        end_s = time.perf_counter() + seconds
        while (left_s := end_s - time.perf_counter()) > 0.0:
            self._publish(deflection)
            time.sleep(min(left_s, REPEAT_S))

    def _publish(self, deflection: float) -> None:
        message = Joy(axes=[deflection, 0.0, 0.0, 0.0, 0.0, 0.0], buttons=[])
        message.header.stamp = stamp_of(time.time())
        self._joys.publish(message)

    def _on_target(self, message: Any) -> None:
        heard_s, self._target = time.perf_counter(), pose_of(message)
        if self._rest is not None and np.abs(self._target[:3] - self._rest[:3]).max() > MOVED_M:
            self._rest = None
            self._moved_s.put(heard_s)
