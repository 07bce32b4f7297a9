"""Tasks, one file each: objects, start states, state parts, success, rewards, and the scripted expert's plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

from robot_rl.core.errors import ConfigError, unknown_name
from robot_rl.envs.tasks.base import Task
from robot_rl.envs.tasks.grasp_insert import GraspInsert
from robot_rl.envs.tasks.peg_insert import PegInsert
from robot_rl.envs.tasks.pick_cube import PickCube
from robot_rl.envs.tasks.reach import Reach

TASKS: dict[str, Callable[..., Task]] = {t.__name__: t for t in (Reach, PickCube, PegInsert, GraspInsert)}


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
    known = [f.name for f in fields(TASKS[name]) if f.init]  # type: ignore[arg-type]
    for option in options:
        if option not in known:
            raise ConfigError(unknown_name(f"option of task {name}", option, known))
    return TASKS[name](**options)
