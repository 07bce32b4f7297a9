"""Bringing a cell to the start of an episode: who puts the objects back, whether it worked, what a person is asked.

`Preparation.begin` moves the arm and looks whether it, the gripper and the objects are where they belong. What only a
person can do is asked for in one sentence, `Preparation.wanted`, and done when he says so (`Preparation.confirm`) or
when the objects have been seen in their place for `SEEN_S`.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np

from robot_rl.controllers.se3 import quat_angle
from robot_rl.core.errors import DataError, DeviceError
from robot_rl.core.protocols import Cell
from robot_rl.core.types import Array
from robot_rl.envs.options import AUTO, NOBODY, PERSON, PROGRAM, EnvOptions
from robot_rl.envs.tasks.base import Snapshot, Start, Task

SEEN_S = 1.0
"""Objects that lie in their place for so long need no word of a person."""
LET_GO_S = 0.5
"""How long what falls out of an opening gripper is given to come to rest."""
THEN = ", then press ready"


def let_go(cell: Cell) -> None:
    """Open a gripper that is not open, and wait until what falls out of it has come to rest."""
    state = cell.gripper.state()
    if state.width_m < 0.9 * state.max_width_m:
        cell.gripper.command(state.max_width_m)
        cell.clock.sleep_until(cell.clock.now_s() + LET_GO_S)


class Preparation:
    """Prepares episodes of one task on one cell.

    Args:
        cell: its devices.
        task: whose episodes begin.
        options: who resets, how exactly and how often it is tried.
        overlook: what the simulator knows of where the objects lie is no reason to put them back; only `give_up` is.

    Attributes:
        put_back: how often an object had to be put back by somebody, a person or the program in his place.
    """

    def __init__(self, cell: Cell, task: Task, options: EnvOptions, *, overlook: bool = False) -> None:
        self.put_back = 0
        self._cell, self._task, self._options = cell, task, options
        self._loose = tuple(o.name for o in task.objects if o.mount == "free")
        # A tracker beside a person who resets is a device that a real cell has; the simulator's own knowledge is not.
        self._seen = not cell.unseen.intersection(self._loose) and (cell.placed_by_person or not overlook)
        self._start: Start | None = None
        self._asking, self._stuck = False, ""
        self._seen_since_s: float | None = None
        self._given_up = False

    def give_up(self) -> None:
        """The policy cannot go on from where the objects lie: the next `begin` has them put back, whoever resets."""
        self._given_up = True

    def begin(self, start: Start, reset_by: str = "") -> None:
        """Bring everything to its start that can be brought there without a person. Blocks.

        Args:
            start: where the episode begins.
            reset_by: as `EnvOptions.reset_by`, which it replaces unless empty.

        Raises:
            DataError: after all tries something is off; says what and by how much.
            SafetyFault: as `robot_rl.core.protocols.World.reset`.
            DeviceError: likewise.
        """
        self._start, self._asking, self._stuck, self._seen_since_s = start, False, "", None
        by = self._who(reset_by)
        stay = bool(self._loose) and by in (PERSON, NOBODY)
        if stay:
            let_go(self._cell)
            start = replace(start, objects={**start.objects, **self._poses()})
        off = self._go(start)
        if off and by == PERSON:
            self._asking, self._stuck = True, off
        elif off:
            raise DataError(f"after {self._options.reset_tries} resets {off}")
        elif stay:
            self._tidy(by)
        self._given_up = False

    def wanted(self) -> str:
        """What a person has to see to before the first step, as one sentence; empty when nothing is left."""
        if not self._asking:
            return ""
        if self._stuck:
            return f"{self._stuck[0].upper()}{self._stuck[1:]}: free the arm{THEN}"
        wrong = self._wrong()
        if not self._seen or wrong:
            self._seen_since_s = None
            return f"{self._task.request}{THEN}{f' ({wrong})' if wrong else ''}"
        now_s = self._cell.clock.now_s()
        if self._seen_since_s is None:
            self._seen_since_s = now_s
        # in lock-step nothing moves while nobody acts
        self._asking = not self._cell.lockstep and now_s - self._seen_since_s < SEEN_S
        return f"{self._task.request}{THEN}" if self._asking else ""

    def confirm(self) -> None:
        """A person says that he has done what was wanted. What can be seen not to be done is asked for again.

        In simulation the program does it in his place. Does nothing while nothing is wanted. Blocks where the arm has
        to be brought back once more.

        Raises:
            SafetyFault: as `begin`.
            DeviceError: likewise.
        """
        if not self._asking or self._start is None:
            return
        if self._stuck:
            self.begin(self._start)
            return
        if self._wrong():
            if self._cell.placed_by_person:
                return
            self._place()
        self.put_back += 1
        self._asking = False

    def _who(self, reset_by: str) -> str:
        by = reset_by or self._options.reset_by
        return (PERSON if self._cell.placed_by_person else PROGRAM) if by == AUTO else by

    def _tidy(self, by: str) -> None:
        """What lies wrong is for a person, except in simulation where nobody is meant to be needed."""
        if not self._seen and (by == PERSON or self._cell.placed_by_person):
            self._asking = by == PERSON or self._given_up
        elif self._given_up or self._wrong():
            self._asking = by == PERSON or self._cell.placed_by_person
            if not self._asking:
                self._place()
                self.put_back += 1

    def _go(self, start: Start) -> str:
        """Returns what is off after the last try, empty if nothing is."""
        off = ""
        for _ in range(self._options.reset_tries):
            self._cell.world.reset(start.pose_base_tcp, start.gripper_width_m, start.objects)
            off = self._deviation(start)
            if not off:
                break
        return off

    def _deviation(self, start: Start) -> str:
        """The first thing that is not where it belongs, and by how much."""
        o, now = self._options, self._cell.arm.state().pose_base_tcp
        away_m = float(np.linalg.norm(now[:3] - start.pose_base_tcp[:3]))
        turned_rad = quat_angle(now[3:], start.pose_base_tcp[3:])
        if away_m > o.reset_position_m or turned_rad > o.reset_rotation_rad:
            limits = f"{1e3 * o.reset_position_m:.0f} mm and {o.reset_rotation_rad:.2f} rad"
            return f"the tool is {1e3 * away_m:.1f} mm and {turned_rad:.2f} rad from its start, allowed are {limits}"
        width_m = self._cell.gripper.state().width_m
        if self._task.action_spec.gripper_active and abs(width_m - start.gripper_width_m) > o.reset_width_m:
            return (
                f"the gripper is open by {1e3 * width_m:.1f} mm instead of {1e3 * start.gripper_width_m:.1f} mm, "
                f"allowed are {1e3 * o.reset_width_m:.0f} mm of difference"
            )
        return "" if self._cell.placed_by_person else self._strayed(start)

    def _strayed(self, start: Start) -> str:
        for name, pose in start.objects.items():
            away_m = float(np.linalg.norm(self._cell.world.object_pose(name)[:3] - pose[:3]))
            if name not in self._cell.unseen and away_m > self._options.reset_position_m:
                return (
                    f"{name} is {1e3 * away_m:.1f} mm from where it was put, "
                    f"allowed are {1e3 * self._options.reset_position_m:.0f} mm"
                )
        return ""

    def _wrong(self) -> str:
        """What is seen to be wrong with where the objects lie; empty if nothing is, or nobody looks."""
        if not self._seen:
            return ""
        try:
            return self._task.misplaced(self._snapshot())
        except DeviceError as e:  # a person's hand hides an object from its tracker
            return str(e)

    def _place(self) -> None:
        assert self._start is not None
        for name in self._loose:
            if name in self._start.objects:
                self._cell.world.place(name, self._start.objects[name])

    def _poses(self) -> dict[str, Array]:
        """Of what can move and is seen. What the hand hides from a tracker only a person could have moved anyway."""
        poses = {}
        for name in self._loose:
            with suppress(DeviceError):
                poses[name] = self._cell.world.object_pose(name)
        return poses

    def _snapshot(self) -> Snapshot:
        objects = {o.name: self._cell.world.object_pose(o.name) for o in self._task.objects}
        return Snapshot(self._cell.arm.state(), self._cell.gripper.state(), objects)
