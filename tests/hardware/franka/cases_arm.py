"""The arm driver passes the contract of arms."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from robot_rl.controllers.arbiter_readings import RobotMode
from robot_rl.core.protocols import Arm
from robot_rl.hardware.cell.description import RobotConfig
from robot_rl.hardware.drivers import ArmDriver
from robot_rl.hardware.fci.stage import EmulatorStage
from robot_rl.hardware.franka.arm import FrankyArm
from robot_rl.testing import ArmFaultContract
from tests.hardware.franka.support import emulated, free_address, wait_until


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    where = free_address()
    with emulated(where):
        yield where


@pytest.fixture(scope="module")
def kept() -> Iterator[list[FrankyArm]]:
    arms: list[FrankyArm] = []
    yield arms
    for arm in arms:
        arm.close()


class TestFrankyArm(ArmFaultContract):
    settle_s = 0.7

    @pytest.fixture
    def device(self, address: str, kept: list[FrankyArm]) -> Iterator[Arm]:
        """One for all tests, since each connection takes a second; made anew when a test has closed it."""
        self.stage = EmulatorStage(address)
        self.config = RobotConfig(provider="franky", address=address, emulated=True, realtime="ignore")
        if not kept or kept[-1].robot_mode() is RobotMode.UNAVAILABLE:
            kept.append(self.make())
        self.driver = kept[-1]
        self.driver.recover()
        yield self.driver
        self.stage.close()

    def make(self) -> FrankyArm:
        arm = FrankyArm(self.config)
        assert isinstance(arm, ArmDriver)
        return arm

    def wait(self, seconds: float) -> None:
        """By the robot's clock, which a busy machine slows down."""
        end_s = self.robot_s() + seconds
        wait_until(lambda: self.robot_s() >= end_s)

    def robot_s(self) -> float:
        return float(self.driver.health()["robot clock"].split()[0])

    def latch_fault(self, device: Arm) -> None:
        self.stage.line("error cartesian_reflex")
        wait_until(lambda: device.state().fault is not None)
