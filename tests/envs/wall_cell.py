"""A simulated cell in a time that passes by itself: the real one, or one that a test moves."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from robot_rl.core.errors import DeviceError, SafetyFault
from robot_rl.core.protocols import Cell
from robot_rl.core.types import ArmState, Array, GripperState
from robot_rl.envs import CellEnv, EnvOptions, make_task
from robot_rl.hardware.mujoco.cell import MujocoCell
from robot_rl.hardware.mujoco.devices import SimArm, SimClock, SimGripper, make_sim_cell


class ScriptedTime:
    """A wall clock that passes only when a test says so, or when somebody sleeps; sleeping may take longer.

    Args:
        now_s: where it stands at first; Unix time is as good as any.
    """

    def __init__(self, now_s: float = 1.7e9) -> None:
        self.now_s = now_s
        self.oversleep_s = list[float]()

    def now(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += max(0.0, seconds) + (self.oversleep_s.pop(0) if self.oversleep_s else 0.0)


class WallClock(SimClock):
    """Physics follows a time that does not wait for it.

    Args:
        cell: advanced to the time of now whenever somebody has slept.
        now: the time.
        sleep: lets it pass.
    """

    def __init__(
        self, cell: MujocoCell, now: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        super().__init__(cell)
        self._now, self._sleep = now, sleep
        self._start_s = now() - cell.time_s

    def now_s(self) -> float:
        return self._now()

    def sleep_until(self, t_s: float) -> None:
        left_s = t_s - self._now()
        if left_s > 0:
            self._sleep(left_s)
        super().sleep_until(self._now() - self._start_s)


class WallArm(SimArm):
    """An arm whose readings carry the clock's time, and which can latch a fault or go away."""

    def __init__(self, cell: MujocoCell, clock: WallClock) -> None:
        super().__init__(cell)
        self.clock = clock
        self.fault: str | None = None
        self.gone = self.silent = False
        self.calls = list[str]()

    def state(self) -> ArmState:
        if self.silent:
            raise DeviceError("nothing was heard from the arm")
        return replace(super().state(), t_s=self.clock.now_s(), fault=self.fault)

    def set_target(self, pose_base_tcp: Array) -> None:
        self.calls.append("set_target")
        if self.gone:
            raise DeviceError("the arm is gone")
        if self.fault is not None:
            raise SafetyFault(f"the arm has latched {self.fault}", self.fault)
        super().set_target(pose_base_tcp)

    def hold(self) -> None:
        self.calls.append("hold")
        if self.gone:
            raise DeviceError("the arm is gone")
        super().hold()


class WallGripper(SimGripper):
    """The same for the gripper."""

    def __init__(self, cell: MujocoCell, clock: WallClock) -> None:
        super().__init__(cell)
        self.clock = clock
        self.gone = False

    def state(self) -> GripperState:
        return replace(super().state(), t_s=self.clock.now_s())

    def command(self, width_m: float) -> None:
        if self.gone:
            raise DeviceError("the gripper is gone")
        super().command(width_m)


class WallEnv(CellEnv):
    """An environment over such a cell.

    Attributes:
        arm: of the cell.
        gripper: of the cell.
    """

    arm: WallArm
    gripper: WallGripper


def make_wall_env(task: str = "Reach", when: ScriptedTime | None = None, **options: Any) -> WallEnv:
    """A task on a cell in scripted time, or in that of the computer; options are those of `EnvOptions`."""
    built = make_task(task)
    lockstep, sim = make_sim_cell(built.objects, built.impedance)
    clock = WallClock(sim) if when is None else WallClock(sim, when.now, when.sleep)
    arm, gripper = WallArm(sim, clock), WallGripper(sim, clock)
    cell = Cell(arm, gripper, clock, lockstep.world, lockstep=False)
    env = WallEnv(cell, built, EnvOptions(**options))
    env.arm, env.gripper = arm, gripper
    return env
