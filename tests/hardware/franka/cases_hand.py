"""The hand driver passes the contract of grippers, keeps its grip, and survives a lost connection."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest

from robot_rl.core.errors import DeviceError
from robot_rl.core.protocols import Gripper
from robot_rl.hardware.cell.description import GripperConfig, RobotConfig
from robot_rl.hardware.drivers import GripperDriver
from robot_rl.hardware.fci.stage import EmulatorStage
from robot_rl.hardware.franka.arm import FrankyArm
from robot_rl.hardware.franka.hand import FrankyHand
from robot_rl.testing import GripperContract
from tests.hardware.franka.support import emulated, free_address, wait_until

CONFIG = GripperConfig(provider="franky")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    where = free_address()
    with emulated(where, "PickCube"):
        yield where


@pytest.fixture
def hand(address: str) -> Iterator[FrankyHand]:
    driver = FrankyHand(CONFIG, address)
    yield driver
    driver.close()


def settle(hand: FrankyHand) -> None:
    """Until the fingers do nothing any more; a new command is looked at within 0.1 s."""
    time.sleep(0.15)
    wait_until(lambda: hand.health()["doing"] == "nothing")


class TestFrankyHand(GripperContract):
    @pytest.fixture(autouse=True)
    def emulator(self, address: str) -> None:
        self.address = address

    def make(self) -> Gripper:
        self.hand = FrankyHand(CONFIG, self.address)
        assert isinstance(self.hand, GripperDriver)
        return self.hand

    def wait(self, seconds: float) -> None:
        if seconds < self.settle_s:
            super().wait(seconds)
        else:
            settle(self.hand)


@pytest.fixture(scope="module")
def tool_m(address: str) -> Iterator[np.ndarray]:
    """Where the tool is, once an arm has lowered it to the table."""
    arm = FrankyArm(RobotConfig(provider="franky", address=address, emulated=True, realtime="ignore"))
    target = arm.state().pose_base_tcp.copy()
    while target[2] > 0.022:
        target[2] -= 0.002
        arm.set_target(target)
        wait_until(lambda: arm.state().pose_base_tcp[2] < target[2] + 0.005)
    yield arm.state().pose_base_tcp[:3]
    arm.close()


@pytest.mark.parametrize("width_m", [0.0, 0.02])
def test_fingers_keep_pressing_on_what_is_between_them(
    address: str, hand: FrankyHand, tool_m: np.ndarray, width_m: float
) -> None:
    stage = EmulatorStage(address)
    hand.command(CONFIG.max_width_m)
    settle(hand)
    stage.place("cube", np.array([tool_m[0], tool_m[1], 0.02, 0.0, 0.0, 0.0, 1.0]))
    hand.command(width_m)
    # The hand says so in its next message, which may come after it has stopped.
    wait_until(lambda: hand.health()["holds something"] == "yes")
    settle(hand)
    assert hand.state().width_m == pytest.approx(0.04, abs=2e-3)
    assert (hand.state().target_m, hand.health()["holds something"]) == (width_m, "yes")
    hand.command(CONFIG.max_width_m)
    wait_until(lambda: hand.health()["holds something"] == "no")
    stage.close()


def test_finding_the_end_stops(hand: FrankyHand) -> None:
    hand.command(0.04)
    hand.home()
    assert hand.state().width_m == pytest.approx(CONFIG.max_width_m, abs=1e-3)
    settle(hand)


def test_a_hand_has_one_client(hand: FrankyHand, address: str) -> None:
    with pytest.raises(DeviceError, match=f"cannot connect to a hand at {address}"):
        FrankyHand(CONFIG, address)


def test_a_closed_hand_takes_no_command(address: str) -> None:
    hand = FrankyHand(CONFIG, address)
    hand.close()
    with pytest.raises(DeviceError, match="no connection"):
        hand.command(0.0)
    with pytest.raises(DeviceError, match="no connection"):
        hand.home()


def test_a_lost_connection_is_seen_by_the_age_of_readings_and_comes_back() -> None:
    address = free_address()
    with emulated(address):
        hand = FrankyHand(CONFIG, address)
        hand.command(0.03)
        settle(hand)
    wait_until(lambda: hand.health()["connected"] == "no")
    kept = hand.state()
    with pytest.raises(DeviceError, match="no connection"):
        hand.command(0.01)
    assert hand.state() == kept
    with emulated(address):
        wait_until(lambda: hand.health()["connected"] == "yes")
        assert hand.state().t_s > kept.t_s
        hand.command(0.02)
        settle(hand)
        assert hand.state().width_m == pytest.approx(0.02, abs=1e-3)
        hand.close()
