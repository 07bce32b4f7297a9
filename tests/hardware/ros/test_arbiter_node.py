"""The arbiter's node as a process, between an arm and its commanders."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Bool

from robot_rl.hardware.ros import names
from robot_rl.hardware.ros.messages import flag_message
from robot_rl.hardware.ros.qos import LATCHED
from tests.hardware.ros.arbiter_cell import HOME, ArbiterCell, Commander, at, cell, commander
from tests.hardware.ros.conftest import wait_until

__all__ = ["cell", "commander"]


def test_it_begins_disabled_and_only_an_enabled_one_follows(cell: ArbiterCell, commander: Commander) -> None:
    cell.begin()
    cell.arm.targets.clear()
    with commander.sending(lambda: at(0.1)):
        wait_until(lambda: "refused" in cell.process.text, "a refusal in the log", 10.0)
        np.testing.assert_allclose(cell.arm.target, HOME, atol=1e-9)
        assert cell.arm.calls.switch(names.ENABLE, True)[0]
        wait_until(lambda: np.allclose(cell.arm.pose, at(0.1), atol=1e-6), "the arm to follow", 10.0)
        assert cell.arm.mode == "active"
        assert cell.arm.calls.switch(names.ENABLE, False)[0]
        cell.wait_mode("disabled")
    steps = np.abs(np.diff([pose[:3] for _, pose in cell.arm.targets], axis=0))
    assert steps.max() <= 0.5 * cell.config.limits.max_tick_s + 1e-9


def test_silence_holds_then_faults_and_is_recovered(cell: ArbiterCell, commander: Commander) -> None:
    cell.enable()
    began_s = time.time()
    with commander.sending(lambda: at(0.5 * (time.time() - began_s))) as stamps:
        wait_until(lambda: cell.arm.pose[0] > 0.5, "the arm to move", 10.0)
    limits = cell.config.limits
    held_s, faulted_s = cell.wait_mode("holding") - stamps[-1], cell.wait_mode("fault") - stamps[-1]
    cell.wait_fault("command_timeout")
    # The last command may have got lost; then the one before it counts.
    assert held_s >= limits.hold_after_s - 0.05 and faulted_s >= limits.fault_after_s - 0.05
    after = [pose for t_s, pose in cell.arm.targets if t_s - stamps[-1] >= limits.hold_after_s]
    assert np.ptp(after, axis=0).max() < 1e-9
    assert not cell.arm.calls.switch(names.ENABLE, True)[0]
    assert cell.arm.calls.trigger(names.RECOVER) == (True, "now disabled")
    cell.wait_mode("disabled")
    assert "silent" in cell.process.text and "restart the commander" in cell.process.text


def test_unusable_commands_are_counted_and_never_followed(cell: ArbiterCell, commander: Commander) -> None:
    cell.enable()
    bad = at(0.1)
    for _ in range(2):
        commander.send([math.nan, *bad[1:]])
        commander.send([*bad[:3], 0.9, 0.0, 0.0, 0.0])
        commander.send(bad, frame="world")
        commander.send(bad, age_s=1.5)
        commander.send(bad, age_s=-0.5)
        commander.send(HOME)
        time.sleep(0.03)
    assert cell.arm.mode == "active"
    for _ in range(cell.config.limits.max_rejections):
        commander.send(bad, frame="world")
        time.sleep(0.005)
    cell.wait_fault("bad_commands")
    assert "wrong_frame" in cell.arm.fault
    np.testing.assert_allclose(cell.arm.target, HOME, atol=1e-9)
    expected = {"not_a_pose": 2, "not_unit": 2, "stale": 2, "from_future": 2, "wrong_frame": 12}
    found = cell.arm.diagnostics
    wait_until(
        lambda: all(int(cell.arm.diagnostics.get(f"count.{key}", 0)) >= n for key, n in expected.items()),
        f"the counts {expected} in the diagnostics {found}",
        5.0,
    )


def test_two_publishers_of_one_role_are_a_fault(cell: ArbiterCell, commander: Commander) -> None:
    cell.enable()
    other = Commander(cell.arm)
    wait_until(lambda: other.publisher.get_subscription_count() == 1, "the arbiter to listen")
    with commander.sending(lambda: at(0.01)), other.sending(lambda: at(-0.01)):
        cell.wait_fault("two_commanders")
    other.close()


def test_the_operator_takes_over_and_releases(cell: ArbiterCell, commander: Commander) -> None:
    cell.enable()
    operator = Commander(cell.arm, "operator")
    wait_until(lambda: operator.publisher.get_subscription_count() == 1, "the arbiter to listen")
    assert not cell.arm.calls.trigger(names.release("operator"))[0]
    with commander.sending(lambda: at(0.05)):
        wait_until(lambda: np.allclose(cell.arm.pose, at(0.05), atol=1e-6), "the policy to be followed", 10.0)
        with operator.sending(lambda: at(0, 0.05)):
            wait_until(lambda: np.allclose(cell.arm.pose, at(0, 0.05), atol=1e-6), "the operator to be followed", 10.0)
        assert not cell.arm.calls.trigger(names.release("policy"))[0]
        assert cell.arm.calls.trigger(names.release("operator"))[0]
        wait_until(lambda: np.allclose(cell.arm.pose, at(0.05), atol=1e-6), "the policy to be followed again", 10.0)
    assert cell.arm.calls.trigger(names.release("policy"))[0]
    time.sleep(cell.config.limits.fault_after_s + 0.2)
    assert cell.arm.mode == "holding"
    operator.close()


@pytest.mark.parametrize("qos", [LATCHED, QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)])
def test_the_e_stop_signal(cell: ArbiterCell, qos: QoSProfile) -> None:
    cell.enable()
    node = cell.arm.spinner.node
    # Of the arbiter's two subscriptions, one does not fit; the default callbacks would warn of that.
    quiet = PublisherEventCallbacks(use_default_callbacks=False)
    switch = node.create_publisher(Bool, names.ESTOP, qos, event_callbacks=quiet)
    wait_until(lambda: switch.get_subscription_count() >= 1, "the arbiter to listen")
    time.sleep(0.2)
    try:
        switch.publish(flag_message(True))
        cell.wait_mode("stopped")
        wait_until(lambda: cell.arm.fault.startswith("estop: "), "the fault", 10.0)
        done, sentence = cell.arm.calls.trigger(names.RECOVER)
        assert not done and "e-stop" in sentence
    finally:
        switch.publish(flag_message(False))
        wait_until(lambda: cell.arm.calls.trigger(names.RECOVER)[0], "the recovery", 10.0)
        node.destroy_publisher(switch)
    cell.wait_mode("disabled")


def test_stop_and_recover(cell: ArbiterCell) -> None:
    cell.enable()
    assert cell.arm.calls.trigger(names.STOP)[0]
    cell.wait_mode("stopped")
    wait_until(lambda: cell.arm.fault.startswith("stop: "), "the fault")
    wait_until(lambda: cell.arm.diagnostics.get("faults") == "stop", "the fault in the diagnostics", 5.0)
    assert cell.arm.diagnostics["mode"] == "stopped" and cell.arm.level == b"\x02"
    assert cell.arm.calls.trigger(names.RECOVER) == (True, "now disabled")
    assert not cell.arm.calls.trigger(names.RECOVER)[0]


def test_an_arm_that_falls_silent_or_is_pushed_is_a_fault(cell: ArbiterCell) -> None:
    cell.enable()
    cell.arm.publishing = False
    cell.wait_fault("stale_measurement")
    cell.arm.publishing = True
    cell.enable()
    cell.arm.wrench = [0, 0, 60, 0, 0, 0]
    cell.wait_fault("force_limit")


def test_a_reflex_is_recovered_together_with_the_robot(cell: ArbiterCell) -> None:
    cell.enable()
    cell.arm.recovers, cell.arm.robot_mode = False, "reflex"
    cell.wait_fault("reflex")
    done, sentence = cell.arm.calls.trigger(names.RECOVER)
    assert not done and "the brakes are closed" in sentence
    assert cell.arm.mode == "fault"
    cell.arm.recovers = True
    assert cell.arm.calls.trigger(names.RECOVER) == (True, "now disabled")
    assert cell.arm.recoveries == 2
    assert cell.arm.calls.switch(names.ENABLE, True)[0]
    assert cell.arm.calls.switch(names.ENABLE, False)[0]
    cell.arm.robot_mode = "reflex"
    time.sleep(0.1)
    assert cell.arm.calls.trigger(names.RECOVER) == (True, "the robot is ready again, now disabled")


def test_the_user_stop(cell: ArbiterCell) -> None:
    cell.enable()
    cell.arm.robot_mode = "user_stopped"
    cell.wait_mode("stopped")
    assert "user stop" in cell.arm.calls.trigger(names.RECOVER)[1]
    assert cell.arm.recoveries == 0
    cell.arm.robot_mode = "nobody knows this one"
    time.sleep(0.1)
    assert cell.arm.calls.trigger(names.RECOVER)[0] and cell.arm.recoveries == 1
