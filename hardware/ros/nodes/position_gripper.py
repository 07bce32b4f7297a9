"""A gripper behind somebody else's driver: it takes a position on one topic and publishes joint states on another."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from functools import partial

from rclpy.context import Context
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from robot_rl.core.errors import DataError, DeviceError
from robot_rl.core.types import GripperState
from robot_rl.hardware.cell.description import CellConfig, GripperConfig
from robot_rl.hardware.cell.scene import Scene
from robot_rl.hardware.ros import qos
from robot_rl.hardware.ros.client.heard import Newest
from robot_rl.hardware.ros.executor import Spinner
from robot_rl.hardware.ros.messages import joints_of, numbers_message
from robot_rl.hardware.ros.node import CellNode

FIRST_S = 5.0


class PositionGripper:
    """`robot_rl.hardware.drivers.GripperDriver` over two topics; positions are mapped linearly onto the opening.

    Args:
        config: the cell; ``gripper`` names the topics and the positions at which the gripper is closed and open.
        first_s: how long to wait for the first joint state.

    Raises:
        DeviceError: none came.
    """

    def __init__(self, config: CellConfig, first_s: float = FIRST_S) -> None:
        self._config = config.gripper
        self._spinner = Spinner("position_gripper_driver", config)
        node = self._spinner.node
        self._positions = Newest(node, JointState, self._config.state_topic, _position)
        self._commands = node.create_publisher(Float64MultiArray, self._config.command_topic, qos.COMMAND)
        if not self._positions.wait(lambda _: True, first_s):
            self._spinner.close()
            raise DeviceError(f"no joint state came on {self._config.state_topic}: start the gripper's driver")
        self._target_m = width_of(self._positions.read().value, self._config)

    def state(self) -> GripperState:
        """The newest reading; its stamp is the driver's, or if that sends none the time of arrival."""
        heard = self._positions.read()
        width_m = width_of(heard.value, self._config)
        t_s = heard.t_s if heard.t_s > 0.0 else time.time() - heard.age_s
        return GripperState(width_m, self._target_m, self._config.max_width_m, t_s)

    def command(self, width_m: float) -> None:
        """Send a position.

        Raises:
            DeviceError: the width is not finite.
        """
        if not math.isfinite(width_m):
            raise DeviceError(f"gripper width must be finite, got {width_m}")
        self._target_m = min(max(float(width_m), 0.0), self._config.max_width_m)
        self._commands.publish(numbers_message([position_of(self._target_m, self._config)]))

    def home(self) -> None:
        """Not possible over a position topic.

        Raises:
            DeviceError: always.
        """
        raise DeviceError("a position gripper finds its end stops by itself: use what its own driver offers")

    def health(self) -> Mapping[str, str]:
        """Whether anybody takes the commands, and how old the last reading is."""
        takers, age_s = self._commands.get_subscription_count(), self._positions.read().age_s
        return {"takers of commands": str(takers), "age_s": f"{age_s:.3f}"}

    def close(self) -> None:
        """Leave the graph. May be called twice."""
        self._spinner.close()


def width_of(position: float, config: GripperConfig) -> float:
    """Opening in m at a position of the driver, within what the gripper has."""
    share = (position - config.closed_at) / (config.open_at - config.closed_at)
    return min(max(share, 0.0), 1.0) * config.max_width_m


def position_of(width_m: float, config: GripperConfig) -> float:
    """Position of the driver at an opening in m."""
    return config.closed_at + width_m / config.max_width_m * (config.open_at - config.closed_at)


def _position(message: JointState) -> float:
    position = float(joints_of(message, 1)[0][0])
    if not math.isfinite(position):
        raise DataError(f"a gripper's position is {position}")
    return position


def make_nodes(config: CellConfig, scene: Scene, context: Context) -> list[CellNode]:
    """The gripper node of a cell with such a gripper."""
    from robot_rl.hardware.ros.nodes.gripper import GripperNode

    return [GripperNode(config, partial(PositionGripper, config), context)]
