"""Train one task: `ros2 launch robot_rl train.launch.py task:=PickCube seed:=0`.

Starts `robot-rl train`, which in simulation needs no node of ROS; the actor and learner it starts stop with it.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, EmitEvent, ExecuteProcess
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration

ARGUMENTS = {
    "task": ("PickCube", "Which task to learn; `robot-rl tasks` lists them."),
    "seed": ("0", "Seed of networks, exploration and initial states."),
}


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start the training command found on the PATH."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    train = ExecuteProcess(
        cmd=["robot-rl", "train", LaunchConfiguration("task"), "--seed", LaunchConfiguration("seed")],
        output="screen",
        # Ctrl-C saves a checkpoint before it exits; give that time before a harder signal follows.
        sigterm_timeout="30",
        on_exit=[EmitEvent(event=Shutdown(reason="training ended"))],
    )
    return LaunchDescription([*arguments, train])
