"""Two tasks on one cell that undo each other: where the one ends the other begins, so that nobody has to reset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from robot_rl.core.cells import IN_PROCESS
from robot_rl.core.crops import check_crops
from robot_rl.core.errors import ConfigError, DataError, DeviceError, SafetyFault
from robot_rl.core.imperfections import Imperfections, read_imperfections
from robot_rl.core.randomisation import Randomisation, read_randomisation
from robot_rl.envs.cell_env import CellEnv
from robot_rl.envs.graph_cell import describe_cell, open_graph_cell
from robot_rl.envs.make import IMAGE_SIZE, check_left_to_the_cell
from robot_rl.envs.options import NOBODY, EnvOptions, split_options
from robot_rl.envs.preparation import let_go
from robot_rl.envs.tasks import check_options, make_task
from robot_rl.hardware.imperfect import imperfect_cell
from robot_rl.hardware.mujoco.devices import make_sim_cell
from robot_rl.hardware.mujoco.scene import CAMERAS


class PairEnv(CellEnv):
    """One of two tasks on one cell; both environments act in turn, one episode at a time."""

    def undone(self) -> bool | None:
        """Let go of everything and see whether the task is still to be done, rather than the other one.

        Returns:
            None if that cannot be seen: the cell does not know where its objects are, or has a fault that the next
            reset will meet, too.
        """
        with suppress(DataError, DeviceError, SafetyFault):
            let_go(self.cell)
            self.look()
            loose = {o.name for o in self.task.objects if o.mount == "free"}
            if not loose & self.cell.unseen:
                return not self.task.arrived(self.snapshot)
        return None


def make_pair(
    forward: str,
    backward: str,
    *,
    cell: str | Path = IN_PROCESS,
    cameras: tuple[str, ...] = (),
    image_size: tuple[int, int] | None = None,
    imperfections: Imperfections | Mapping[str, Any] | str = "none",
    randomise: Randomisation | Mapping[str, Any] | str = "none",
    crops: Mapping[str, Sequence[int]] | None = None,
    **options: Any,
) -> tuple[PairEnv, PairEnv]:
    """Both environments on one robot; what moves stays where an episode of either left it.

    Closing the first closes the cell of both.

    Args:
        forward: id of a task; the description of a simulated cell names this one, whose objects are those of both.
        backward: id of the one that undoes it.
        cell: as for `robot_rl.envs.make_env`, like the rest.
        cameras: as there.
        image_size: as there.
        imperfections: as there.
        randomise: as there.
        crops: as there.
        options: fields of both tasks and of `EnvOptions`.

    Raises:
        ConfigError: unknown task, option or cell, or the two are not at home on one cell.
        DeviceError: unknown camera, or the cell does not run or answer.
    """
    run, of_task = split_options(options)
    check_options("the environment", EnvOptions, run)
    env_options = EnvOptions(**{**run, "reset_by": NOBODY})
    first, second = make_task(forward, **of_task), make_task(backward, **of_task)
    if first.objects != second.objects or first.impedance != second.impedance:
        raise ConfigError(f"{forward} and {backward} are no pair: they need the same objects and the same impedance")
    imperfect, random = read_imperfections(imperfections), read_randomisation(randomise)
    parts = check_crops(crops or {}, CAMERAS)
    if str(cell) != IN_PROCESS:
        check_left_to_the_cell(cell, image_size, None, imperfect, random, parts)
        joined, started = open_graph_cell(*describe_cell(cell, forward, of_task), first, cameras)
        return PairEnv(joined, first, env_options, resources=(started,)), PairEnv(joined, second, env_options)
    made, _ = make_sim_cell(first.objects, first.impedance, cameras, image_size or IMAGE_SIZE, random, parts)
    shared = imperfect_cell(made, imperfect)
    return PairEnv(shared, first, env_options), PairEnv(shared, second, env_options)
