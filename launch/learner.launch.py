"""A learner on a workstation: `ros2 launch robot_rl learner.launch.py task:=PickCube keys:=DIR`.

The actors run beside their cells: `robot-rl act --learner tcp://HOST:5555 --keys DIR`. `robot-rl keys create DIR` makes
the keys.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, EmitEvent, ExecuteProcess
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration

ARGUMENTS = {
    "task": ("PickCube", "Which task to learn; `robot-rl tasks` lists them."),
    "cell": ("ros", "Cell that the actors act in: ros, a bundled name, or a YAML that lies at the same path there."),
    "listen": ("tcp://0.0.0.0:5555", "Address where actors join."),
    "seed": ("0", "Seed of networks and exploration."),
}
KEYS = "Folder of keys, made by `robot-rl keys create`; the actors need theirs."


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start the training command found on the PATH, without an actor of its own."""
    arguments = [
        *(
            DeclareLaunchArgument(name, default_value=default, description=text)
            for name, (default, text) in ARGUMENTS.items()
        ),
        DeclareLaunchArgument("keys", description=KEYS),
    ]
    command: list[str | LaunchConfiguration] = ["robot-rl", "train", LaunchConfiguration("task"), "--actors", "0"]
    for name in ("cell", "listen", "keys", "seed"):
        command += [f"--{name}", LaunchConfiguration(name)]
    learner = ExecuteProcess(
        cmd=command,
        output="screen",
        # Ctrl-C saves a checkpoint before it exits; give that time before a harder signal follows.
        sigterm_timeout="30",
        on_exit=[EmitEvent(event=Shutdown(reason="training ended"))],
    )
    return LaunchDescription([*arguments, learner])
