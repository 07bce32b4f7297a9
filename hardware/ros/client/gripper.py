"""The gripper of a cell on ROS 2, as an environment sees it."""

from __future__ import annotations

import math
import time

from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from robot_rl.core.errors import DataError, DeviceError
from robot_rl.core.protocols import Clock
from robot_rl.core.types import GripperState
from robot_rl.hardware.ros import names, qos
from robot_rl.hardware.ros.client.heard import Newest
from robot_rl.hardware.ros.executor import Spinner
from robot_rl.hardware.ros.messages import joints_of, numbers_message

_ECHO_S = 0.5


class RosGripper:
    """Commands and readings of the gripper node.

    `GripperState.target_m` is what was commanded last, by this client or by anybody else.

    Args:
        spinner: whose node talks; not closed by this device.
        max_width_m: largest opening of the gripper.
    """

    def __init__(self, spinner: Spinner, max_width_m: float) -> None:
        self._max_width_m = max_width_m
        self._states = Newest(spinner.node, JointState, names.GRIPPER_STATES, lambda m: float(joints_of(m, 1)[0][0]))
        self._targets = Newest(spinner.node, Float64MultiArray, names.GRIPPER_TARGET, _one, qos.LATCHED)
        self._commands = spinner.node.create_publisher(Float64MultiArray, names.GRIPPER_COMMAND, qos.COMMAND)
        self._sent: tuple[float, float] | None = None

    @property
    def heard(self) -> bool:
        """Whether there has been a reading, and a target."""
        return self._states.newest is not None and self._targets.newest is not None

    def state(self) -> GripperState:
        """The newest reading.

        Raises:
            DeviceError: none was ever heard.
        """
        state = self._states.read()
        return GripperState(state.value, self._target_m(), self._max_width_m, state.t_s)

    def command(self, width_m: float) -> None:
        """Move towards an opening, clipped to what there is.

        Raises:
            DeviceError: the width is not a finite number.
        """
        if not math.isfinite(width_m):
            raise DeviceError(f"gripper width must be finite, got {width_m}")
        width_m = min(max(float(width_m), 0.0), self._max_width_m)
        self._sent = width_m, time.monotonic()
        self._commands.publish(numbers_message([width_m]))

    def wait_after(self, t_s: float, timeout_s: float) -> bool:
        """Wait for a reading stamped after `t_s`; False if none came in time."""
        return self._states.wait(lambda heard: heard.t_s > t_s, timeout_s)

    def close(self) -> None:
        """Nothing to release: the node belongs to the cell."""

    def _target_m(self) -> float:
        """What the node says; right after a command, what was commanded: the node may not have heard of it yet."""
        sent, heard = self._sent, self._targets.read()
        if sent is not None:
            confirmed = heard.arrived_s >= sent[1] and math.isclose(heard.value, sent[0], abs_tol=1e-9)
            if not confirmed and time.monotonic() - sent[1] < _ECHO_S:
                return sent[0]
            self._sent = None
        return min(max(heard.value, 0.0), self._max_width_m)


class NoGripper:
    """A tool without a gripper: it is as wide as it was told to be, so that tasks which hold a tool rigidly can run.

    Args:
        clock: for the stamps.
        max_width_m: largest width that may be asked for.
    """

    def __init__(self, clock: Clock, max_width_m: float) -> None:
        self._clock, self._max_width_m = clock, max_width_m
        self._width_m = 0.0

    def state(self) -> GripperState:
        """What it was told."""
        return GripperState(self._width_m, self._width_m, self._max_width_m, self._clock.now_s())

    def command(self, width_m: float) -> None:
        """Be told.

        Raises:
            DeviceError: the width is not a finite number.
        """
        if not math.isfinite(width_m):
            raise DeviceError(f"gripper width must be finite, got {width_m}")
        self._width_m = min(max(float(width_m), 0.0), self._max_width_m)

    def close(self) -> None:
        """Nothing to release."""


def _one(message: Float64MultiArray) -> float:
    if len(message.data) != 1:
        raise DataError(f"a gripper's target has {len(message.data)} values, expected 1")
    return float(message.data[0])
