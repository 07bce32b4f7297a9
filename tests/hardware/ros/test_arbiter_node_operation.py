"""The arbiter's node in operation: home, live limits, late listeners, restarts, an operator's device."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import numpy as np
import pytest
from geometry_msgs.msg import TwistStamped
from sensor_msgs.msg import Joy
from std_msgs.msg import String

from robot_rl.core.errors import DeviceError
from robot_rl.hardware.ros import names
from robot_rl.hardware.ros.executor import Spinner
from robot_rl.hardware.ros.messages import stamp_of, twist_message
from robot_rl.hardware.ros.qos import LATCHED, STREAM_OUT
from tests.hardware.ros.arbiter_cell import HOME, ArbiterCell, Commander, at, cell, commander
from tests.hardware.ros.conftest import wait_until

__all__ = ["cell", "commander"]


def test_home(cell: ArbiterCell) -> None:
    cell.enable()
    assert cell.arm.calls.trigger(names.HOME) == (True, "at home")
    cell.wait_mode("holding")
    assert "homing" in [mode for _, mode in cell.arm.modes]
    wait_until(lambda: np.allclose(cell.arm.target, at(0.05), atol=1e-9), "the target where the motion ended", 10.0)


def test_a_motion_home_that_fails_or_is_broken_off(cell: ArbiterCell) -> None:
    cell.begin()
    assert not cell.arm.calls.trigger(names.HOME)[0]
    cell.enable()
    cell.arm.arrives = False
    done, sentence = cell.arm.calls.trigger(names.HOME)
    assert not done and "the joints are stuck" in sentence
    cell.wait_fault("home_failed")
    cell.enable()
    cell.arm.collides = True
    done, sentence = cell.arm.calls.trigger(names.HOME)
    assert not done and "broken off" in sentence and "force_limit" in sentence


def test_limits_change_while_it_runs_and_wrong_ones_are_refused(cell: ArbiterCell, commander: Commander) -> None:
    cell.enable()
    calls = cell.arm.calls
    calls.set_parameters("arbiter", {"limits.box_max_m": [0.5, 0.35, 0.6]})
    with commander.sending(lambda: at(0.2)):
        wait_until(lambda: abs(cell.arm.pose[0] - 0.5) < 1e-6, "the arm at the new wall", 10.0)
        time.sleep(0.1)
        assert cell.arm.pose[0] < 0.5 + 1e-9
        with pytest.raises(DeviceError, match="outside of the new workspace"):
            calls.set_parameters("arbiter", {"limits.box_max_m": [0.48, 0.35, 0.6]})
        calls.set_parameters("arbiter", {"limits.box_max_m": [0.75, 0.35, 0.6]})
        wait_until(lambda: abs(cell.arm.pose[0] - 0.65) < 1e-6, "the arm at its wish", 10.0)
    for name, value in (
        ("limits.box_max_m", [0.75, 0.35]),
        ("limits.box_max_m", [0.1, 0.35, 0.6]),
        ("limits.box_min_m", [math.nan, 0.0, 0.0]),
        ("limits.slew_m_s", 99.0),
        ("limits.slew_m_s", math.nan),
        ("limits.hold_after_s", 5.0),
        ("limits.max_force_n", -1.0),
    ):
        with pytest.raises(DeviceError, match=name):
            calls.set_parameters("arbiter", {name: value})
    calls.set_parameters("arbiter", {"limits.max_force_n": 100.0})
    cell.enable()
    cell.arm.wrench = [0, 0, 60, 0, 0, 0]
    time.sleep(0.3)
    assert cell.arm.mode == "holding"
    calls.set_parameters("arbiter", {"limits.max_force_n": 30.0})
    cell.wait_fault("force_limit")


def test_who_comes_late_knows_the_mode_at_once(cell: ArbiterCell) -> None:
    cell.begin()
    cell.arm.calls.trigger(names.STOP)
    late = Spinner("late", cell.config)
    heard: dict[str, str] = {}
    for topic in (names.MODE, names.FAULT):
        late.node.create_subscription(String, topic, lambda m, topic=topic: heard.setdefault(topic, m.data), LATCHED)
    wait_until(lambda: len(heard) == 2, "both")
    late.close()
    assert heard[names.MODE] == "stopped" and heard[names.FAULT].startswith("stop: ")


def test_killed_and_restarted_it_is_disabled_and_moves_nothing(cell: ArbiterCell, commander: Commander) -> None:
    cell.enable()
    with commander.sending(lambda: at(0.05)):
        wait_until(lambda: np.allclose(cell.arm.pose, at(0.05), atol=1e-6), "the policy to be followed", 10.0)
        cell.process.kill()
        cell.process.process.wait()
        cell.arm.targets.clear()
        cell.arm.modes.clear()
        cell.restart()
        wait_until(lambda: cell.arm.mode == "disabled" and len(cell.arm.targets) > 20, "the restarted arbiter")
        targets = [p for _, p in cell.arm.targets]
        np.testing.assert_allclose(targets, np.tile(at(0.05), (len(targets), 1)), atol=1e-4)
    cell.enable()


def test_interrupted_it_disables_first(cell: ArbiterCell, commander: Commander) -> None:
    cell.enable()
    cell.arm.follows = False
    with commander.sending(lambda: at(0.1)):
        wait_until(lambda: cell.arm.target[0] > HOME[0] + 0.015, "the target ahead of the arm", 10.0)
        assert cell.process.close() == 0
        wait_until(lambda: cell.arm.mode == "disabled", "the last mode", 5.0)
        wait_until(lambda: np.allclose(cell.arm.target, HOME, atol=1e-9), "a frozen target", 5.0)
    cell.restart()
    cell.arm.modes.clear()
    wait_until(lambda: cell.arm.mode == "disabled", "the restarted arbiter")
    cell.enable()


class Device:
    """An operator's device at 50 Hz."""

    def __init__(self, cell: ArbiterCell) -> None:
        node = cell.arm.spinner.node
        self._joy = node.create_publisher(Joy, names.TELEOP_JOY, STREAM_OUT)
        self._twist = node.create_publisher(TwistStamped, names.TELEOP_TWIST, STREAM_OUT)
        self.held, self.twist, self.frame, self.talking = 0, [0.0] * 6, "base", True
        self._timer = node.create_timer(0.02, self._send)
        self._node = node
        wait_until(lambda: self._joy.get_subscription_count() and self._twist.get_subscription_count(), "the arbiter")

    def close(self) -> None:
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._joy)
        self._node.destroy_publisher(self._twist)

    def _send(self) -> None:
        if self.talking:
            joy = Joy(axes=[0.0] * 6, buttons=[0, self.held])
            joy.header.stamp = stamp_of(time.time())
            self._joy.publish(joy)
            self._twist.publish(twist_message(self.twist, self.frame, time.time()))


@pytest.fixture
def device(cell: ArbiterCell) -> Iterator[Device]:
    device = Device(cell)
    yield device
    device.close()


def test_an_operator_steers_while_the_dead_man_is_held(cell: ArbiterCell, device: Device) -> None:
    cell.enable()
    device.twist = [0.1, 0, 0, 0, 0, 0]
    time.sleep(0.2)
    assert cell.arm.mode == "holding" and np.allclose(cell.arm.pose, HOME, atol=1e-9)
    device.held = 1
    wait_until(lambda: cell.arm.pose[0] > 0.48, "the arm to move along x", 10.0)
    device.twist, device.frame = [0, 0, 0.1, 0, 0, 0], "tcp"
    wait_until(lambda: cell.arm.pose[2] < 0.28, "the arm to move along the tool, which points down", 10.0)
    device.held = 0
    cell.wait_mode("holding")
    stayed = cell.arm.pose.copy()
    time.sleep(cell.config.limits.fault_after_s + 0.2)
    assert cell.arm.mode == "holding"
    np.testing.assert_allclose(cell.arm.pose, stayed, atol=1e-9)


def test_a_device_that_is_lost_while_held_is_a_fault(cell: ArbiterCell, device: Device) -> None:
    cell.enable()
    device.held = 1
    cell.wait_mode("active")
    device.talking = False
    cell.wait_fault("command_timeout")
    device.talking = True
    cell.enable()
    time.sleep(0.3)
    assert cell.arm.mode == "holding"
    device.held = 0
    time.sleep(0.2)
    device.held = 1
    cell.wait_mode("active")


def test_a_program_in_the_operators_role_and_the_device(cell: ArbiterCell, device: Device) -> None:
    """Who is first has the role: the device stands back, but a program beside a held device is a second commander."""
    cell.enable()
    program = Commander(cell.arm, "operator")
    wait_until(lambda: program.publisher.get_subscription_count() == 1, "the arbiter to listen")
    with program.sending(lambda: at(0.03)):
        wait_until(lambda: np.allclose(cell.arm.pose, at(0.03), atol=1e-6), "the program to be followed", 10.0)
        device.twist, device.held = [0, 0.1, 0, 0, 0, 0], 1
        time.sleep(0.3)
        np.testing.assert_allclose(cell.arm.pose, at(0.03), atol=1e-6)
    assert cell.arm.calls.trigger(names.release("operator"))[0]
    device.held = 0
    time.sleep(cell.config.limits.hold_after_s + 0.2)
    device.held = 1
    wait_until(lambda: cell.arm.pose[1] > 0.02, "the device to be followed", 10.0)
    with program.sending(lambda: at(0.03)):
        cell.wait_fault("two_commanders")
    program.close()
