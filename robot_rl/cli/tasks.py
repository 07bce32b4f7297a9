"""``robot-rl tasks``: what can be trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from robot_rl.cli.arguments import parse


@dataclass(frozen=True)
class TasksArguments:
    """List the tasks and their options with defaults."""


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    parse(TasksArguments, argv, verb="tasks")
    from robot_rl.envs import EnvOptions
    from robot_rl.envs.tasks import TASKS

    for name, task in TASKS.items():
        summary = (task.__doc__ or "").strip().splitlines()[0]
        print(f"{name}: {summary}")
        print(f"    {options_of(task)}")
    print(f"every task: {options_of(EnvOptions)}")
    print("\nPass options as: robot-rl train TASK --task-options NAME=VALUE ...")
    return 0


def options_of(config: Any) -> str:
    """Options of a dataclass that can be given on the command line, with their defaults."""
    from robot_rl.envs.tasks import task_options

    return " ".join(f"{name}={default}" for name, default in task_options(config).items())
