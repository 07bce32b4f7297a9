"""What a ROS 2 node needs of the device it drives, beyond what an environment needs of it.

Drivers stamp their readings with the clock they are given, by default the system's, so that processes of one machine
agree about ages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

from robot_rl.controllers.arbiter_readings import RobotMode
from robot_rl.core.protocols import Arm, Gripper
from robot_rl.core.types import Array


def always() -> bool:
    """Never breaks a motion off."""
    return True


@runtime_checkable
class ArmDriver(Arm, Protocol):
    """An arm that an arm node drives. `state` never blocks; `ArmState.fault` says why `robot_mode` is not READY."""

    def robot_mode(self) -> RobotMode:
        """What the robot says about whether it takes commands."""
        ...

    def move_joints(self, q_rad: Array, duration_s: float, go_on: Callable[[], bool] = always) -> None:
        """Move to a joint configuration along a smooth path, then hold there. Blocks until it arrived.

        Args:
            q_rad: joint positions ``[7]``.
            duration_s: shortest duration; a driver takes longer where its limits ask for it.
            go_on: asked at least every 50 ms; the motion is broken off, and the arm holds, when it answers False.

        Raises:
            DeviceError: the arm did not arrive, or the motion was broken off.
        """
        ...

    def health(self) -> Mapping[str, str]:
        """Facts for `/diagnostics`, such as the share of commands that reached the robot in time."""
        ...


@runtime_checkable
class GripperDriver(Gripper, Protocol):
    """A gripper that a gripper node drives. `state` and `command` never block."""

    def home(self) -> None:
        """Find the end stops. Blocks.

        Raises:
            DeviceError: the gripper could not.
        """
        ...

    def health(self) -> Mapping[str, str]:
        """Facts for `/diagnostics`."""
        ...
