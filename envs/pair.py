"""Two tasks on one cell that undo each other: where the one ends the other begins, so that nobody has to reset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from robot_rl.core.errors import ConfigError
from robot_rl.core.imperfections import IMPERFECTIONS, Imperfections, read_imperfections
from robot_rl.envs.cell_env import CellEnv
from robot_rl.envs.options import NOBODY, EnvOptions, split_options
from robot_rl.envs.preparation import let_go
from robot_rl.envs.tasks import check_options, make_task
from robot_rl.hardware.imperfect import imperfect_cell
from robot_rl.hardware.mujoco.devices import make_sim_cell


def make_pair(forward: str, backward: str, options: Mapping[str, Any] | None = None) -> tuple[CellEnv, CellEnv]:
    """Both environments on one simulated robot, in lock-step; what moves stays where an episode of either left it.

    Closing one closes the cell of both.

    Args:
        forward: id of a task.
        backward: id of the one that undoes it.
        options: fields of both tasks and of `EnvOptions`, and ``imperfections``.

    Raises:
        ConfigError: unknown task or option, or the two are not at home on one cell.
    """
    given = dict(options or {})
    settings: Imperfections = read_imperfections(given.pop(IMPERFECTIONS, "none"))
    run, of_task = split_options(given)
    check_options("the environment", EnvOptions, run)
    env_options = EnvOptions(**{**run, "reset_by": NOBODY})
    first, second = make_task(forward, **of_task), make_task(backward, **of_task)
    if first.objects != second.objects or first.impedance != second.impedance:
        raise ConfigError(f"{forward} and {backward} are no pair: they need the same objects and the same impedance")
    made, _ = make_sim_cell(first.objects, first.impedance)
    cell = imperfect_cell(made, settings)
    return CellEnv(cell, first, env_options), CellEnv(cell, second, env_options)


def undone(env: CellEnv) -> bool:
    """Let go of everything and see whether the task of an environment is still to be done, rather than the other one.

    Raises:
        DataError: the environment was never reset.
    """
    let_go(env.cell)
    env.look()
    return not env.task.arrived(env.snapshot)
