"""The arm node of a cell whose robot is driven by ros2_control; see `robot_rl.hardware.ros.ros2_control`."""

from __future__ import annotations

from functools import partial

from rclpy.context import Context

from robot_rl.hardware.cell.description import CellConfig
from robot_rl.hardware.cell.scene import Scene
from robot_rl.hardware.ros.node import CellNode
from robot_rl.hardware.ros.nodes.arm import ArmNode
from robot_rl.hardware.ros.ros2_control import Ros2ControlArm


def make_nodes(config: CellConfig, scene: Scene, context: Context) -> list[CellNode]:
    """An arm node over the controller's topics."""
    return [ArmNode(config, partial(Ros2ControlArm, config), context)]
