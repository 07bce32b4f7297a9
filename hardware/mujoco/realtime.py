"""A simulated cell that keeps up with the wall clock, for programs that talk to it as they would to a real one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from robot_rl.controllers.safety import check_pose
from robot_rl.core.errors import DeviceError, unknown_name
from robot_rl.core.imperfections import Imperfections
from robot_rl.core.protocols import Cell
from robot_rl.core.scene import SceneObject
from robot_rl.core.types import Array
from robot_rl.hardware.cell.scene import Scene
from robot_rl.hardware.imperfect import imperfect_cell
from robot_rl.hardware.mujoco.devices import make_sim_cell

GIVE_UP_S = 0.05
"""Further behind the wall clock than this, time is given up: catching up would freeze whoever asks."""


@dataclass(frozen=True)
class PaceReport:
    """How well the simulation kept up.

    Attributes:
        factor: simulated over real time since the last report.
        lost_s: time given up since the start.
    """

    factor: float
    lost_s: float

    def facts(self) -> dict[str, str]:
        """For `/diagnostics`."""
        return {"real_time_factor": f"{self.factor:.3f}", "lost_time_s": f"{self.lost_s:.3f}"}


def placeable(objects: Iterable[SceneObject]) -> list[SceneObject]:
    """Those that are not held by the hand."""
    return [o for o in objects if o.mount != "hand"]


class RealtimePlant:
    """One simulation that several devices share, each from any thread.

    Nothing runs in the background: whoever asks for something first lets the physics run up to the wall clock, so
    ask at a steady rate. The 1 kHz loop runs without the interpreter lock.

    Args:
        scene: what the cell holds; it starts there.
        imperfections: between the devices and who uses them.
        seed: of the imperfections; each reset draws others.
        wall_s: the system's clock, which readings are stamped with.

    Attributes:
        lock: held by who uses `cell` or `sim`.
        cell: the devices, with their imperfections. Their times are simulated: see `wall_time_s`.
        sim: the simulation itself.
        resets: how often it was reset.
    """

    def __init__(
        self, scene: Scene, imperfections: Imperfections, seed: int = 0, wall_s: Callable[[], float] = time.time
    ) -> None:
        ideal, self.sim = make_sim_cell(scene.objects, scene.impedance)
        self.cell: Cell = imperfect_cell(ideal, imperfections)
        self.lock = threading.RLock()
        self.resets = 0
        self._seed, self._wall_s = seed, wall_s
        self._tick_s = float(self.sim.model.opt.timestep)
        self._begun, self._lost_s = False, 0.0
        self._wall_minus_sim_s = self._reported_s = self._reported_sim_s = 0.0
        self.reset(scene.start_base_tcp, scene.start_width_m, scene.start_objects)

    def advance(self) -> None:
        """Let the physics catch up with the wall clock.

        Raises:
            DeviceError: the simulation became unstable, now or before; `reset` clears it.
        """
        with self.lock:
            self._begin()
            behind_s = self._wall_s() - self._wall_minus_sim_s - self.sim.time_s
            # A system clock that was set back or forth is followed in one step, as a lag is.
            excess_s = behind_s - GIVE_UP_S if behind_s > GIVE_UP_S else min(behind_s + GIVE_UP_S, 0.0)
            self._wall_minus_sim_s += excess_s
            self._lost_s += max(excess_s, 0.0)
            self.cell.clock.sleep_until(self.sim.time_s + behind_s - excess_s)

    def _begin(self) -> None:
        """Time passes from the first time that somebody asks."""
        if not self._begun:
            self._begun = True
            self._reported_s = self._wall_s()
            self._wall_minus_sim_s = self._reported_s - self.sim.time_s

    def wall_time_s(self, sim_s: float) -> float:
        """When a simulated time was, on the wall clock."""
        return sim_s + self._wall_minus_sim_s

    def reset(self, pose_base_tcp: Array, gripper_width_m: float, object_poses: Mapping[str, Array]) -> None:
        """Put arm, fingers and objects where they belong, at rest, with random numbers of a new episode.

        The next reading is of this very state, and its stamp later than that of any reading before.

        Raises:
            DeviceError: the pose is out of reach, or there is no such object; nothing changes.
        """
        with self.lock:
            self._check_start(pose_base_tcp, object_poses)
            if self.cell.reseed is not None:
                self.cell.reseed(int(np.random.SeedSequence((self._seed, self.resets)).generate_state(1)[0]))
            self.cell.world.reset(pose_base_tcp, gripper_width_m, dict(object_poses))
            self.resets += 1
            now_s = self._wall_s() - self.sim.time_s
            self._wall_minus_sim_s = max(now_s, self._wall_minus_sim_s + self._tick_s)

    def _check_start(self, pose_base_tcp: Array, object_poses: Mapping[str, Array]) -> None:
        self.sim.joints_for(check_pose(pose_base_tcp))
        for name, pose in object_poses.items():
            check_pose(pose)
            if self.sim.objects.get(name) not in placeable(self.sim.objects.values()):
                names = [o.name for o in placeable(self.sim.objects.values())]
                raise DeviceError(unknown_name("object that can be placed", name, names))

    def report(self) -> PaceReport:
        """How well it kept up since the last report."""
        with self.lock:
            now_s, sim_s = self._wall_s(), self.sim.time_s
            factor = (sim_s - self._reported_sim_s) / max(now_s - self._reported_s, 1e-9)
            self._reported_s, self._reported_sim_s = now_s, sim_s
            return PaceReport(factor, self._lost_s)
