"""Two tasks on one cell that undo each other: where the one ends the other begins, so that nobody has to reset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy.typing as npt

from robot_rl.core.cells import IN_PROCESS
from robot_rl.core.crops import check_crops
from robot_rl.core.errors import ConfigError, DataError, DeviceError, SafetyFault
from robot_rl.core.imperfections import Imperfections, read_imperfections
from robot_rl.core.protocols import Cell, Detector
from robot_rl.core.randomisation import Randomisation, read_randomisation
from robot_rl.envs.cell_env import CellEnv, Closeable
from robot_rl.envs.graph_cell import describe_cell, open_graph_cell
from robot_rl.envs.make import IMAGE_SIZE, cameras_of, check_left_to_the_cell
from robot_rl.envs.options import NOBODY, EnvOptions, split_options
from robot_rl.envs.preparation import Preparation, let_go
from robot_rl.envs.tasks import check_options, make_task
from robot_rl.envs.tasks.base import Task
from robot_rl.hardware.imperfect import imperfect_cell
from robot_rl.hardware.mujoco.devices import make_sim_cell
from robot_rl.hardware.mujoco.scene import CAMERAS

LOOK_S = 1.0
"""How long a detector looks at what lies still before it is taken not to see the task done."""


class PairEnv(CellEnv):
    """One of two tasks on one cell; both environments act in turn, one episode at a time.

    With a detector, nothing between two episodes rests on what only a simulator knows: whose turn is next and whether
    something is put back follow from what the detectors say.

    Args:
        cell: as for `CellEnv`, like the rest.
        task: as there.
        options: as there.
        resources: as there.
        detector: as there.
    """

    def __init__(
        self,
        cell: Cell,
        task: Task,
        options: EnvOptions,
        *,
        resources: Sequence[Closeable] = (),
        detector: Detector | None = None,
    ) -> None:
        super().__init__(cell, task, options, resources=resources, detector=detector)
        self._said_done = False
        if detector is not None:
            self._preparation = Preparation(cell, task, options, overlook=True)

    def step(self, action: npt.ArrayLike) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """As `CellEnv.step`."""
        answer = super().step(action)
        self._said_done = answer[2]
        return answer

    def undone(self, *, succeeded: bool = False) -> bool | None:
        """Let go of everything and see whether the task is still to be done, rather than the other one.

        Args:
            succeeded: how the episode ended. Beside a detector a success is believed, and so is a person who took back
                that it was one; after any other end the detector looks again, at what lies still.

        Returns:
            None if that cannot be seen: the cell does not know where its objects are, or has a fault that the next
            reset will meet, too.
        """
        took_back, self._said_done = self._said_done and not succeeded, False
        with suppress(DataError, DeviceError, SafetyFault):
            let_go(self.cell)
            if self._judging.detected:
                return not (succeeded or (not took_back and self._looks_done()))
            self.look()
            loose = {o.name for o in self.task.objects if o.mount == "free"}
            if not loose & self.cell.unseen:
                return not self.task.arrived(self.snapshot)
        return None

    def already_done(self) -> bool:
        """Whether its detector sees the task done before its turn begins, thus disputes that the other one is.

        False without a detector: rules do not contradict each other.
        """
        with suppress(DataError, DeviceError, SafetyFault):
            return self._judging.detected and self._looks_done()
        return False

    def _looks_done(self) -> bool:
        clock = self.cell.clock
        self.look()
        self._judging.begin(self.snapshot, self._frames)
        for _ in range(max(1, round(LOOK_S * self.hz))):
            clock.sleep_until(clock.now_s() + 1.0 / self.hz)
            self.look()
            if self._judging.judge(self.snapshot, self._frames, clock.now_s()).success:
                return True
        return False


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
    detectors: tuple[Detector | None, Detector | None] = (None, None),
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
        detectors: of both tasks; each decides on success in place of its task's rules, and with the other one on whose
            turn is next. In simulation the object is put into its place before the first episode then.
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
    parts, cameras = check_crops(crops or {}, CAMERAS), cameras_of(cameras, *detectors)
    if str(cell) != IN_PROCESS:
        check_left_to_the_cell(cell, image_size, None, imperfect, random, parts)
        joined, started = open_graph_cell(*describe_cell(cell, forward, of_task), first, cameras)
        return _both(joined, (first, second), env_options, detectors, (started,))
    made, _ = make_sim_cell(first.objects, first.impedance, cameras, image_size or IMAGE_SIZE, random, parts)
    return _both(imperfect_cell(made, imperfect), (first, second), env_options, detectors, ())


def _both(
    cell: Cell,
    tasks: tuple[Task, Task],
    options: EnvOptions,
    detectors: tuple[Detector | None, Detector | None],
    resources: Sequence[Closeable],
) -> tuple[PairEnv, PairEnv]:
    first = PairEnv(cell, tasks[0], options, resources=resources, detector=detectors[0])
    if detectors[0] is not None and not cell.placed_by_person:
        first.give_up()
    return first, PairEnv(cell, tasks[1], options, detector=detectors[1])
