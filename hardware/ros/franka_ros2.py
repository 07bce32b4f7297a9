"""What franka_ros2 says of the robot's mode, and its error recovery.

Its message package exists in ROS 2 workspaces only, so it is looked for when it is needed, and nothing here has been
run against it: what was used are the documented names of franka_ros2 2.4 (Humble) and 3.3 (Jazzy).
"""

from __future__ import annotations

import time
from importlib import import_module
from typing import Any, Protocol

from robot_rl.controllers.arbiter_readings import RobotMode
from robot_rl.core.errors import DeviceError
from robot_rl.hardware.cell.description import RobotConfig
from robot_rl.hardware.ros.client.heard import Newest
from robot_rl.hardware.ros.executor import Spinner

FRESH_S = 0.5
RECOVERY_S = 10.0
_WAIT_S = 0.01
_MODES = {2: RobotMode.READY, 3: RobotMode.GUIDING, 4: RobotMode.REFLEX, 5: RobotMode.USER_STOPPED}


class Reflexes(Protocol):
    """What a robot says about itself, and its error recovery."""

    def robot_mode(self) -> RobotMode:
        """Of the robot."""
        ...

    def recover(self) -> None:
        """Clear its errors. Blocks.

        Raises:
            DeviceError: it did not.
        """
        ...


def mode_of(number: int) -> RobotMode:
    """Mode for ``robot_mode`` of ``franka_msgs/FrankaRobotState``.

    An idle robot (1) is unavailable: no controller of it is active, so that nobody follows targets.
    """
    return _MODES.get(number, RobotMode.UNAVAILABLE)


def find_franka(spinner: Spinner, robot: RobotConfig) -> Reflexes | None:
    """The robot's own voice; None if the package ``franka_msgs`` is not installed."""
    try:
        states, actions = import_module("franka_msgs.msg"), import_module("franka_msgs.action")
    except ModuleNotFoundError:
        return None
    return FrankaLink(spinner, robot, states.FrankaRobotState, actions.ErrorRecovery)


class FrankaLink:
    """Listens to the state broadcaster, calls the action server.

    Args:
        spinner: whose node talks.
        robot: names the namespaces.
        state: class of the state message; it has ``robot_mode``.
        recovery: class of the recovery action.
    """

    def __init__(self, spinner: Spinner, robot: RobotConfig, state: Any, recovery: Any) -> None:
        from rclpy.action.client import ActionClient

        space = robot.controller.rstrip("/")
        self._recovery = recovery
        self._mode = Newest(
            spinner.node, state, f"{space}/{robot.broadcaster}/robot_state", lambda m: mode_of(int(m.robot_mode))
        )
        self._client: Any = ActionClient(spinner.node, recovery, f"{space}/action_server/error_recovery")

    def robot_mode(self) -> RobotMode:
        """As the broadcaster says; unavailable when it is silent."""
        heard = self._mode.newest
        return RobotMode.UNAVAILABLE if heard is None or heard.age_s > FRESH_S else heard.value

    def recover(self) -> None:
        """Call the error recovery, and wait until a controller moves the robot again.

        Raises:
            DeviceError: the action server is absent or refuses, or no controller is active afterwards.
        """
        end_s = time.monotonic() + RECOVERY_S
        if not self._client.wait_for_server(RECOVERY_S):
            raise DeviceError("nobody offers franka_ros2's error recovery: is its action_server up?")
        goal = _wait(self._client.send_goal_async(self._recovery.Goal()), end_s)
        if not goal.accepted:
            raise DeviceError("franka_ros2 refuses the error recovery")
        _wait(goal.get_result_async(), end_s)
        while self.robot_mode() is not RobotMode.READY:
            if time.monotonic() > end_s:
                raise DeviceError(
                    f"the errors were cleared, but the robot is {self.robot_mode().value}: activate the hardware"
                    " component (ros2 control set_hardware_component_state) and the controller again"
                )
            time.sleep(_WAIT_S)


def _wait(future: Any, end_s: float) -> Any:
    while not future.done():
        if time.monotonic() > end_s:
            raise DeviceError(f"franka_ros2's error recovery did not answer within {RECOVERY_S:g} s")
        time.sleep(_WAIT_S)
    return future.result()
