"""Imperfect devices keep the contracts of the perfect ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from robot_rl.core.errors import SafetyFault
from robot_rl.core.imperfections import FRANKA
from robot_rl.core.protocols import Arm, Camera, Cell, Clock, Gripper
from robot_rl.core.types import ArmState, Array
from robot_rl.envs.tasks import make_task
from robot_rl.hardware.imperfect import imperfect_cell
from robot_rl.hardware.mujoco.devices import SimArm, make_sim_cell
from robot_rl.testing import (
    ArmContract,
    ArmFaultContract,
    CameraContract,
    ClockContract,
    GripperContract,
    WorldContract,
)
from tests.hardware.imperfect_cells import make_cell, start


class Imperfect:
    """Everything that can be wrong is."""

    settings = FRANKA
    cameras: tuple[str, ...] = ()
    cell: Cell

    def make_cell(self) -> Cell:
        self.cell = make_cell(self.settings, self.cameras)
        return self.cell

    def wait(self, seconds: float) -> None:
        self.cell.clock.sleep_until(self.cell.clock.now_s() + seconds)


class TestImperfectArm(Imperfect, ArmContract):
    def make(self) -> Arm:
        return self.make_cell().arm


class TestImperfectGripper(Imperfect, GripperContract):
    def make(self) -> Gripper:
        return self.make_cell().gripper


class TestImperfectClock(Imperfect, ClockContract):
    def make(self) -> Clock:
        return self.make_cell().clock


class TestImperfectWorld(Imperfect, WorldContract):
    def make(self) -> Cell:
        return self.make_cell()

    def start(self) -> tuple[Array, float, dict[str, Array]]:
        return start()


@pytest.mark.gl
class TestImperfectCamera(Imperfect, CameraContract):
    cameras = ("wrist",)

    def make(self) -> Camera:
        return self.make_cell().cameras["wrist"]


class Latching(SimArm):
    """A simulated arm whose fault a test can provoke."""

    fault: str | None = None

    def state(self) -> ArmState:
        return replace(super().state(), fault=self.fault)

    def set_target(self, pose_base_tcp: Array) -> None:
        if self.fault is not None:
            raise SafetyFault(f"{self.fault} is latched", self.fault)
        super().set_target(pose_base_tcp)

    def recover(self) -> None:
        self.fault = None
        super().recover()


class TestImperfectArmWithFaults(Imperfect, ArmFaultContract):
    def make(self) -> Arm:
        task = make_task("PickCube")
        bare, sim = make_sim_cell(task.objects, task.impedance)
        self.inner = Latching(sim)
        self.cell = imperfect_cell(replace(bare, arm=self.inner), self.settings)
        self.cell.world.reset(*start())
        return self.cell.arm

    def latch_fault(self, device: Arm) -> None:
        self.inner.fault = "reflex"
        self.inner.hold()

    def test_a_target_under_way_when_the_fault_latches_does_nothing(self, device: Arm) -> None:
        device.set_target(self.stepped(device))
        self.latch_fault(device)
        self.wait(1.0)
        assert device.state().fault == "reflex"
