"""The production driver against an emulated robot: `ros2 launch robot_rl emulated_cell.launch.py task:=PickCube`."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, ThisLaunchFileDir

ARGUMENTS = {
    "cell": ("emulated", "Path of the cell's YAML, or name of a bundled one."),
    "task": ("", "Task whose objects the cell holds, such as PegInsert; empty for the cell's own."),
}


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and include the launch file of all cells."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    cell = IncludeLaunchDescription(
        PythonLaunchDescriptionSource([ThisLaunchFileDir(), "/cell.launch.py"]),
        launch_arguments=[(name, LaunchConfiguration(name)) for name in ARGUMENTS],
    )
    return LaunchDescription([*arguments, cell])
