"""A whole cell behind slow and noisy connections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from robot_rl.core.imperfections import Imperfections
from robot_rl.core.protocols import Camera, Cell
from robot_rl.core.types import Array
from robot_rl.hardware.imperfect.devices import ImperfectArm, ImperfectCamera, ImperfectGripper
from robot_rl.hardware.imperfect.timeline import Timeline

Device = ImperfectArm | ImperfectGripper | ImperfectCamera


class _Connection:
    """The world of an imperfect cell: a reset also clears the lines, each with random numbers of its own."""

    def __init__(self, cell: Cell, timeline: Timeline, devices: Sequence[Device]) -> None:
        self._world, self._reseed, self._timeline, self._devices = cell.world, cell.reseed, timeline, devices
        self._seed = 0

    def reseed(self, seed: int) -> None:
        """Random numbers of the episode that the next reset begins."""
        self._seed = seed
        if self._reseed is not None:
            self._reseed(seed)

    def object_pose(self, name: str) -> Array:
        return self._world.object_pose(name)

    def place(self, name: str, pose_base_object: Array) -> None:
        self._world.place(name, pose_base_object)

    def reset(self, pose_base_tcp: Array, gripper_width_m: float, object_poses: dict[str, Array]) -> None:
        self._timeline.clear()
        self._world.reset(pose_base_tcp, gripper_width_m, object_poses)
        for index, device in enumerate(self._devices):
            device.restart(np.random.default_rng((self._seed, index)))


def imperfect_cell(cell: Cell, settings: Imperfections) -> Cell:
    """Put latency, loss and noise between an environment and the devices of a cell.

    What is off is left as it is; with everything off the cell itself comes back. Arm and gripper come first among the
    random numbers, so that an episode repeats without the cameras of its recording.

    Args:
        cell: closed with the result.
        settings: how bad it is.

    Returns:
        A cell whose `Cell.reseed` decides all random numbers of the episode that the next reset begins.
    """
    if settings.off:
        return cell
    timeline = Timeline(cell.clock)
    arm = ImperfectArm(cell.arm, timeline, settings)
    gripper = ImperfectGripper(cell.gripper, timeline, settings)
    cameras = (
        {}
        if settings.camera_off and settings.picture_off
        else {n: ImperfectCamera(c, timeline, settings) for n, c in cell.cameras.items()}
    )
    connection = _Connection(cell, timeline, [arm, gripper, *cameras.values()])
    seen: dict[str, Camera] = {**cell.cameras, **cameras}
    return replace(
        cell,
        arm=arm,
        gripper=gripper,
        clock=timeline,
        world=connection,
        cameras=seen,
        reseed=connection.reseed,
    )
