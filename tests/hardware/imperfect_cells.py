"""Cells for the tests of imperfect devices."""

from __future__ import annotations

import numpy as np

from robot_rl.core.imperfections import Imperfections
from robot_rl.core.protocols import Cell
from robot_rl.core.types import Array
from robot_rl.envs.tasks import make_task
from robot_rl.hardware.imperfect import imperfect_cell
from robot_rl.hardware.mujoco.devices import make_sim_cell


class ByHand:
    """A clock that stands still unless told; devices on it are pure functions of time."""

    def __init__(self) -> None:
        self.t_s = 0.0

    def now_s(self) -> float:
        return self.t_s

    def sleep_until(self, t_s: float) -> None:
        self.t_s = max(self.t_s, t_s)


def start() -> tuple[Array, float, dict[str, Array]]:
    begin = make_task("PickCube").sample_start(np.random.default_rng(0))
    return begin.pose_base_tcp, begin.gripper_width_m, begin.objects


def make_cell(settings: Imperfections, cameras: tuple[str, ...] = ()) -> Cell:
    """A simulated cell with a cube, started as an episode is."""
    task = make_task("PickCube")
    bare, _ = make_sim_cell(task.objects, task.impedance, cameras)
    cell = imperfect_cell(bare, settings)
    cell.world.reset(*start())
    return cell


def moved(pose_base_tcp: Array, up_m: float) -> Array:
    target = pose_base_tcp.copy()
    target[2] += up_m
    return target
