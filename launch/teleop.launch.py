"""The operator's device of a cell: `ros2 launch robot_rl teleop.launch.py cell:=mine.yaml`.

For a device at another machine than the cell, which `network.reach: environment` allows. The description must name it.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, ThisLaunchFileDir


def generate_launch_description() -> LaunchDescription:
    """Declare the argument and include the launch file of all cells for this one process."""
    text = "Path of the cell's YAML, whose teleop.provider says which device."
    cell = IncludeLaunchDescription(
        PythonLaunchDescriptionSource([ThisLaunchFileDir(), "/cell.launch.py"]),
        launch_arguments=[("cell", LaunchConfiguration("cell")), ("only", "teleop")],
    )
    return LaunchDescription([DeclareLaunchArgument("cell", description=text), cell])
