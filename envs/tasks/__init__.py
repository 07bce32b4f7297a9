"""Tasks, one file each: objects, start states, state parts, success, rewards, and the scripted expert's plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from robot_rl.core.errors import ConfigError, unknown_name
from robot_rl.envs.tasks.base import Task
from robot_rl.envs.tasks.grasp_insert import GraspInsert
from robot_rl.envs.tasks.move_cube import MoveCubeBack, MoveCubeOut
from robot_rl.envs.tasks.peg_insert import PegInsert
from robot_rl.envs.tasks.pick_cube import PickCube
from robot_rl.envs.tasks.reach import Reach

TASKS: dict[str, Callable[..., Task]] = {
    t.__name__: t for t in (Reach, PickCube, PegInsert, GraspInsert, MoveCubeOut, MoveCubeBack)
}


def task_names() -> tuple[str, ...]:
    """Names that `make_task` and the command line accept."""
    return tuple(TASKS)


def register_task(cls: type[Task]) -> type[Task]:
    """Class decorator for tasks defined outside this package."""
    TASKS[cls.__name__] = cls
    return cls


def make_task(name: str, **options: object) -> Task:
    """A task by name; options are the fields of its dataclass.

    Raises:
        ConfigError: unknown task or option, or a value the task refuses.
    """
    if name not in TASKS:
        raise ConfigError(unknown_name("task", name, TASKS))
    check_options(f"task {name}", TASKS[name], options)
    return TASKS[name](**options)


def check_options(owner: str, config: Any, options: dict[str, Any]) -> None:
    """Compare options with the fields of a dataclass.

    Raises:
        ConfigError: an option that is unknown, or of another type than its default.
    """
    defaults = task_options(config)
    for option, value in options.items():
        if option not in defaults:
            raise ConfigError(unknown_name(f"option of {owner}", option, defaults))
        wanted = type(defaults[option])
        if isinstance(value, bool) is not (wanted is bool) or not isinstance(
            value, (int, float) if wanted is float else wanted
        ):
            raise ConfigError(f"option {option} of {owner} must be {wanted.__name__}, got {value!r}")


def task_options(task: Any) -> dict[str, bool | int | float | str]:
    """Options that can be given by name and value, with their defaults; also those of `EnvOptions`."""
    return {f.name: f.default for f in fields(task) if f.init and isinstance(f.default, bool | int | float | str)}
