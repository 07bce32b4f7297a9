"""All processes of a cell: `ros2 launch robot_rl cell.launch.py cell:=mine.yaml`.

The same list as `robot-rl cell up`. A process that dies is started again after two seconds. Ctrl-C ends them all, and
so does the death of this program.
"""

import os

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, EmitEvent, ExecuteProcess, OpaqueFunction, RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration

from robot_rl.core.errors import ConfigError, unknown_name
from robot_rl.hardware.cell.description import cell_file, load_cell
from robot_rl.hardware.cell.graph import ProcessSpec, processes
from robot_rl.hardware.cell.process import EXIT_SAID_WHY
from robot_rl.hardware.cell.tether import PARENT

ARGUMENTS = {
    "cell": ("", "Path of the cell's YAML, or name of a bundled one; `robot-rl cell list` lists those."),
    "task": ("", "Task whose objects a simulated or emulated cell holds; empty for the cell's own."),
    "only": ("", "Names of processes, separated by commas, if others run elsewhere; empty for all."),
}
RESPAWN_S = 2.0


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; the processes follow once they are known."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=start)])


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """What to start for the arguments given.

    Raises:
        ConfigError: there is no such cell or process, or its description is wrong.
    """
    cell, task, only = (LaunchConfiguration(name).perform(context) for name in ARGUMENTS)
    specs = chosen(processes(load_cell(cell), cell_file(cell).absolute(), task=task), only)
    entities: list[LaunchDescriptionEntity] = []
    for spec in specs:
        process = ExecuteProcess(
            cmd=list(spec.argv),
            name=spec.name.replace(":", "_"),
            additional_env={**spec.env, PARENT: str(os.getpid())},
            output="screen",
            respawn=True,
            respawn_delay=RESPAWN_S,
            sigterm_timeout="8",
            sigkill_timeout="3",
        )
        entities.append(process)
        if spec.essential:
            entities.append(RegisterEventHandler(OnProcessExit(target_action=process, on_exit=ended)))
    return entities


def chosen(specs: tuple[ProcessSpec, ...], only: str) -> tuple[ProcessSpec, ...]:
    """The processes that the argument `only` names.

    Raises:
        ConfigError: the cell has no process of such a name.
    """
    names = [name.strip() for name in only.split(",") if name.strip()]
    there = [spec.name for spec in specs]
    for name in names:
        if name not in there:
            raise ConfigError(unknown_name("process of this cell", name, there))
    return tuple(spec for spec in specs if not names or spec.name in names)


def ended(event: ProcessExited, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
    """End the cell when a process that it cannot do without has said that it cannot go on."""
    if event.returncode == EXIT_SAID_WHY and not context.is_shutdown:
        return [EmitEvent(event=Shutdown(reason=f"{event.process_name} cannot go on"))]
    return None
