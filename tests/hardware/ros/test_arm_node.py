"""The arm's node as a process, in front of a simulated arm."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from rclpy.context import Context

from robot_rl.cli.node import make_scene
from robot_rl.core.errors import ConfigError
from robot_rl.hardware.ros import names
from robot_rl.hardware.ros.messages import pose_message, seconds_of
from robot_rl.hardware.ros.nodes import arm, gripper
from robot_rl.hardware.ros.qos import COMMAND
from tests.hardware.ros.conftest import NodeProcess, test_cell, wait_until
from tests.hardware.ros.sim_cell import Observer, SimCell, fresh_start


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimCell]:
    cell = SimCell(test_cell(), tmp_path_factory.mktemp("arm"))
    yield cell
    assert cell.close() == 0, cell.process.text


@pytest.fixture
def seen(cell: SimCell) -> Observer:
    fresh_start(cell.observer)
    return cell.observer


def refused(seen: Observer) -> int:
    return int(seen.fact("arm", "rejected")() or 0)


def test_one_reading_is_four_messages_with_one_stamp(seen: Observer) -> None:
    seen.pass_time(0.3)
    topics = (names.CURRENT_POSE, names.CURRENT_TWIST, names.JOINT_STATES, names.EXTERNAL_WRENCH)
    stamps = [{seconds_of(m.header.stamp) for m in seen.heard[topic][-20:-2]} for topic in topics]
    shared = set.intersection(*stamps)
    assert len(shared) >= 12
    times = [seconds_of(m.header.stamp) for m in seen.heard[names.CURRENT_POSE]]
    assert (np.diff(times) > 0.0).all()
    assert abs(times[-1] - time.time()) < 5.0
    frames = [seen.heard[topic][-1].header.frame_id for topic in topics]
    assert frames == ["base", "base", "", "tcp"]
    assert tuple(seen.heard[names.JOINT_STATES][-1].name) == names.JOINT_NAMES


def test_it_says_how_it_is(seen: Observer) -> None:
    wait_until(seen.fact("arm", "state_hz"), "diagnostics")
    facts = seen.facts["arm"][-1][1]
    wanted = {"robot_mode", "fault", "state_hz", "worst_gap_ms", "commands", "rejected", "real_time_factor"}
    assert wanted <= set(facts)


def test_a_target_is_followed(seen: Observer) -> None:
    seen.go(seen.moved(0.03, -0.02, 0.02))


def test_bad_targets_are_refused_and_counted(seen: Observer) -> None:
    before = refused(seen)
    pose, start = seen.moved(0.1), seen.pose
    nan, long_quat, no_quat = pose.copy(), pose.copy(), pose.copy()
    nan[1], long_quat[3:], no_quat[3:] = np.nan, pose[3:] * 1.1, 0.0
    seen.pass_time(0.5)  # in which the arm waits for an arbiter to say its mode, after it was put elsewhere
    for bad, frame in ((nan, "base"), (long_quat, "base"), (no_quat, "base"), (pose, "world"), (pose, "")):
        for _ in range(10):
            seen.send(bad, frame)
            seen.pass_time(0.02)
    wait_until(lambda: refused(seen) >= before + 15, "the refusals in the diagnostics")
    np.testing.assert_allclose(seen.pose[:3], start[:3], atol=1e-3)
    seen.go(seen.moved(0.02))


def test_nobody_is_obeyed_while_two_command(seen: Observer) -> None:
    before, start, goal = refused(seen), seen.pose, seen.moved(0.05)
    other = seen.spinner.node.create_publisher(PoseStamped, names.TARGET_POSE, COMMAND)
    wait_until(lambda: other.get_subscription_count() == 1, "the arm to hear the other one")
    with seen.repeating(lambda: seen.send(goal)):
        wait_until(lambda: refused(seen) >= before + 5, "refusals")
        np.testing.assert_allclose(seen.pose[:3], start[:3], atol=2e-3)
        other.publish(pose_message(goal, "base", time.time()))
    seen.spinner.node.destroy_publisher(other)
    seen.go(goal)


def test_an_arm_whose_commander_falls_silent_holds(cell: SimCell, seen: Observer) -> None:
    said = cell.process.text.count("the arm holds")
    goal = seen.moved(0.15, 0.1)
    with seen.repeating(lambda: seen.send(goal)):
        start = seen.pose
        wait_until(lambda: np.abs(seen.pose[:3] - start[:3]).max() > 0.01, "the arm to move")
    wait_until(lambda: cell.process.text.count("the arm holds") > said, "the arm to hold")
    seen.pass_time(0.5)
    here = seen.pose
    seen.pass_time(0.5)
    np.testing.assert_allclose(seen.pose[:3], here[:3], atol=5e-3)
    assert np.abs(here[:3] - goal[:3]).max() > 0.03
    assert cell.process.text.count("the arm holds") == said + 1
    seen.go(seen.moved(0.01))


def test_it_homes_while_the_arbiter_says_so_and_readings_go_on(cell: SimCell, seen: Observer) -> None:
    n = len(seen.heard[names.CURRENT_POSE])
    with seen.repeating(lambda: seen.say_mode("homing"), 10.0):
        # On a busy machine the arbiter's voice fails now and then, which breaks the motion off as it should.
        answers = (seen.calls.trigger(names.ARM_HOME, 30.0) for _ in range(3))
        assert any(done for done, _ in answers)
    seen.pass_time(0.1)
    np.testing.assert_allclose(seen.q_rad, cell.config.robot.q_home_rad, atol=0.02)
    assert len(seen.heard[names.CURRENT_POSE]) > n + 20


@pytest.mark.parametrize("end", ["fault", "silence"])
def test_a_motion_home_ends_with_the_arbiters_leave(cell: SimCell, seen: Observer, end: str) -> None:
    answers: list[tuple[bool, str]] = []

    def home() -> None:
        answers.append(seen.calls.trigger(names.ARM_HOME, 30.0))

    start = seen.q_rad
    away = np.abs(start - cell.config.robot.q_home_rad).max()
    with seen.repeating(home, 1000.0):
        with seen.repeating(lambda: seen.say_mode("homing"), 10.0):
            wait_until(lambda: np.abs(seen.q_rad - start).max() > 0.02, "the arm to move")
        if end == "fault":
            seen.say_mode("fault")
        wait_until(lambda: answers, "the answer")
    assert not answers[0][0]
    assert "broken off" in answers[0][1]
    assert np.abs(seen.q_rad - cell.config.robot.q_home_rad).max() > 0.3 * away


def test_it_does_not_home_by_itself(seen: Observer) -> None:
    seen.say_mode("holding")
    start = seen.q_rad
    done, text = seen.calls.trigger(names.ARM_HOME)
    assert not done
    assert "homing" in text
    np.testing.assert_allclose(seen.q_rad, start, atol=5e-3)


def test_a_reflex_stops_it_until_it_is_recovered(seen: Observer) -> None:
    seen.calls.set_parameters("arm", {"emulated_robot_mode": "reflex"})
    wait_until(lambda: seen.robot_mode == "reflex", "the reflex to be told")
    before, start, goal = refused(seen), seen.pose, seen.moved(0.05)
    with seen.repeating(lambda: seen.send(goal)):
        wait_until(lambda: refused(seen) > before, "a refusal")
    np.testing.assert_allclose(seen.pose[:3], start[:3], atol=2e-3)
    wait_until(lambda: seen.fact("arm", "fault")() == "reflex", "the fault in the diagnostics")
    assert seen.calls.trigger(names.ARM_RECOVER) == (True, "")
    wait_until(lambda: seen.robot_mode == "ready", "recovery")
    seen.go(goal)


def test_a_user_stop_is_not_recovered_from_here(seen: Observer) -> None:
    seen.calls.set_parameters("arm", {"emulated_robot_mode": "user_stopped"})
    wait_until(lambda: seen.robot_mode == "user_stopped", "the user stop to be told")
    done, text = seen.calls.trigger(names.ARM_RECOVER)
    assert not done
    assert "user_stopped" in text
    seen.calls.set_parameters("arm", {"emulated_robot_mode": "ready"})
    wait_until(lambda: seen.robot_mode == "ready", "the user stop to be undone")


def test_it_comes_back_after_a_crash(start_node: Callable[..., NodeProcess]) -> None:
    config = test_cell()
    config = replace(config, name=f"{config.name}_crash")
    process = start_node(config, "sim")
    seen = Observer(config)
    try:
        seen.begin()
        process.kill()
        assert process.process.wait() != 0
        last_s = seen.t_s
        start_node(config, "sim")
        wait_until(lambda: seen.t_s > last_s, "readings of the new process")
        wait_until(lambda: seen.robot_mode == "ready", "the robot to be ready")
        seen.go(seen.moved(0.02))
    finally:
        seen.close()


def test_simulated_devices_have_no_nodes_of_their_own() -> None:
    config, context = test_cell(), Context()
    for module in (arm, gripper):
        with pytest.raises(ConfigError, match="runs in the node sim"):
            module.make_nodes(config, make_scene(config), context)
