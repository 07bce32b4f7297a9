"""The devices of a cell whose parts are ROS 2 nodes, for one task; a simulated one is started if it does not run."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from robot_rl.core.cells import OVER_ROS
from robot_rl.core.errors import ConfigError
from robot_rl.core.protocols import Cell
from robot_rl.envs.options import split_options
from robot_rl.envs.tasks import make_task
from robot_rl.envs.tasks.base import Task
from robot_rl.hardware.cell.description import CELLS, CellConfig, cell_file, load_cell

SIMULATED = "sim"


def describe_cell(
    cell: str | Path, task: str, task_options: Mapping[str, Any] | None = None
) -> tuple[CellConfig, Path | None]:
    """The description of a cell, made to hold a task where it can be.

    Args:
        cell: ``ros`` for the bundled simulated cell, another bundled name, or the path of a YAML.
        task: its id. A bundled simulated or emulated cell gets the objects of this task, one from a file must have
            them.
        task_options: of the task; those of the environment may be among them.

    Returns:
        The description and its file, or None if no file says exactly this.

    Raises:
        ConfigError: there is no such cell, it is malformed, or it simulates the objects of another task.
    """
    source = SIMULATED if str(cell) == OVER_ROS else cell
    config, file = load_cell(source), cell_file(source)
    if not config.simulated:
        return config, file
    _, options = split_options(task_options or {})
    if file.parent == CELLS:
        return replace(config, task=task, task_options=options), None
    if make_task(config.task, **config.task_options).objects != make_task(task, **options).objects:
        raise ConfigError(
            f"the cell {file} simulates the objects of {_told(config.task, config.task_options)}, not those of "
            f"{_told(task, options)}: change task and task_options there, or use --cell {OVER_ROS}"
        )
    return config, file


def check_cameras(config: CellConfig, cameras: tuple[str, ...]) -> None:
    """Check that a cell has the cameras that are asked for.

    Raises:
        ConfigError: it has not; names those there are.
    """
    missing = [name for name in cameras if name not in config.cameras]
    if missing:
        there = ", ".join(sorted(config.cameras)) or "none"
        raise ConfigError(f"the cell {config.name} has no camera {', '.join(missing)}; it describes these: {there}")


def open_graph_cell(
    config: CellConfig, file: Path | None, task: Task, cameras: tuple[str, ...]
) -> tuple[Cell, ExitStack]:
    """Join a running cell, or start a simulated one first.

    Args:
        config: of `describe_cell`.
        file: of `describe_cell`.
        task: whose objects are to be followed.
        cameras: to read.

    Returns:
        The devices, and what was started for them, to be closed after them.

    Raises:
        ConfigError: an unknown camera, or ROS 2 is not installed.
        DeviceError: the cell does not run or does not answer.
    """
    check_cameras(config, cameras)
    try:
        from robot_rl.hardware.cell.supervisor import start_if_absent
        from robot_rl.hardware.ros.client.cell import open_ros_cell
    except ModuleNotFoundError as e:
        if e.name is None or e.name.startswith("robot_rl"):
            raise
        raise ConfigError(
            f"the cell {config.name} needs ROS 2, of which {e.name} is missing: source a ROS 2 workspace, or "
            "pip install 'robot-rl[ros]'"
        ) from e
    with ExitStack() as stack:
        if config.simulated:
            graph = start_if_absent(config, file)
            if graph is not None:
                stack.callback(graph.close)
        cell = open_ros_cell(config, task.objects, cameras)
        return cell, stack.pop_all()


def _told(task: str, options: Mapping[str, Any]) -> str:
    return f"{task} ({', '.join(f'{k}={v}' for k, v in options.items())})" if options else task
