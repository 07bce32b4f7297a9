"""What the arm driver does beyond the contract: reflexes, stops, lost connections, joint motions, wrench, threads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from robot_rl.controllers.arbiter_readings import RobotMode
from robot_rl.core.errors import ConfigError, DeviceError, SafetyFault
from robot_rl.hardware.cell.description import RobotConfig
from robot_rl.hardware.fci.stage import EmulatorStage
from robot_rl.hardware.franka.arm import FrankyArm
from tests.hardware.franka.support import END_S, ROOT, emulated, free_address, wait_until

Q_HOME_RAD = np.array(RobotConfig().q_home_rad)

KILLED = """
import sys, time
from robot_rl.hardware.cell.description import RobotConfig
from robot_rl.hardware.franka.arm import FrankyArm
arm = FrankyArm(RobotConfig(provider="franky", address=sys.argv[1], emulated=True, realtime="ignore"))
if arm.state().fault:
    arm.recover()
target = arm.state().pose_base_tcp.copy()
print("moving", flush=True)
while True:
    target[2] += 0.0005
    arm.set_target(target)
    time.sleep(0.01)
"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    where = free_address()
    with emulated(where, "PegInsert"):
        yield where


@pytest.fixture
def config(address: str) -> RobotConfig:
    return RobotConfig(provider="franky", address=address, emulated=True, realtime="ignore")


@pytest.fixture
def stage(address: str) -> Iterator[EmulatorStage]:
    with_lines = EmulatorStage(address)
    with_lines.line("home")
    yield with_lines
    with_lines.close()


@pytest.fixture
def arm(config: RobotConfig, stage: EmulatorStage) -> Iterator[FrankyArm]:
    driver = FrankyArm(config)
    if driver.state().fault is not None:
        driver.recover()
    yield driver
    driver.close()


def robot_s(arm: FrankyArm) -> float:
    return float(arm.health()["robot clock"].split()[0])


def wait(arm: FrankyArm, seconds: float) -> None:
    end_s = robot_s(arm) + seconds
    wait_until(lambda: robot_s(arm) >= end_s)


def test_a_reflex_is_named_and_recovered(arm: FrankyArm, stage: EmulatorStage) -> None:
    wait_until(lambda: arm.robot_mode() is RobotMode.READY)
    stage.line("error joint_velocity_violation")
    wait_until(lambda: arm.state().fault is not None)
    wait_until(lambda: arm.robot_mode() is RobotMode.REFLEX)
    assert arm.state().fault == "reflex: joint_velocity_violation"
    with pytest.raises(DeviceError, match="joint_velocity_violation"):
        arm.move_joints(Q_HOME_RAD, 1.0)
    arm.recover()
    assert (arm.robot_mode(), arm.state().fault) == (RobotMode.READY, None)


def test_a_push_raises_a_reflex(arm: FrankyArm, stage: EmulatorStage) -> None:
    stage.line("push 0 0 -90 200")
    wait_until(lambda: arm.robot_mode() is RobotMode.REFLEX)
    wait(arm, 0.3)
    arm.recover()
    wait_until(lambda: arm.robot_mode() is RobotMode.READY)


def test_the_user_stop_needs_release_and_recovery(arm: FrankyArm, stage: EmulatorStage) -> None:
    stage.line("user-stop on")
    wait_until(lambda: arm.robot_mode() is RobotMode.USER_STOPPED and arm.state().fault is not None)
    with pytest.raises(DeviceError, match="release it"):
        arm.recover()
    stage.line("user-stop off")
    wait_until(lambda: arm.robot_mode() is not RobotMode.USER_STOPPED)
    wait(arm, 0.2)
    wait_until(lambda: arm.robot_mode() is RobotMode.REFLEX)
    with pytest.raises(SafetyFault, match="user stop"):
        arm.set_target(arm.state().pose_base_tcp)
    arm.recover()
    wait_until(lambda: arm.robot_mode() is RobotMode.READY)


def test_a_robot_in_a_reflex_is_connected_to_and_left_alone(
    arm: FrankyArm, stage: EmulatorStage, config: RobotConfig
) -> None:
    stage.line("error cartesian_reflex")
    wait_until(lambda: arm.state().fault is not None)
    arm.close()
    again = FrankyArm(config)
    wait_until(lambda: again.robot_mode() is RobotMode.REFLEX)
    assert again.state().fault == "reflex: cartesian_reflex"
    assert "motion=none" in stage.line("status")
    again.recover()
    wait_until(lambda: again.robot_mode() is RobotMode.READY)
    again.close()


def test_a_lost_connection_comes_back_with_its_fault(arm: FrankyArm, stage: EmulatorStage) -> None:
    stage.line("hang-up")
    wait_until(lambda: arm.state().fault is not None)
    assert str(arm.state().fault).startswith("unavailable")
    old_s = arm.state().t_s
    wait_until(lambda: arm.state().t_s > old_s)
    wait_until(lambda: arm.robot_mode() is RobotMode.REFLEX)
    arm.recover()
    assert (arm.robot_mode(), arm.state().fault) == (RobotMode.READY, None)


def test_a_silent_robot_is_seen_by_the_age_of_its_readings(arm: FrankyArm, stage: EmulatorStage) -> None:
    stage.line("freeze 1500")
    wait_until(lambda: arm.robot_mode() is RobotMode.UNAVAILABLE)
    kept_s = arm.state().t_s
    wait_until(lambda: time.time() - arm.state().t_s > 0.5)
    assert arm.state().t_s == kept_s
    wait_until(lambda: arm.state().fault is not None and arm.robot_mode() is RobotMode.REFLEX)
    arm.recover()
    wait_until(lambda: arm.robot_mode() is RobotMode.READY)


def test_a_joint_motion_takes_the_time_that_is_asked_for(arm: FrankyArm) -> None:
    goal = arm.state().q_rad + np.array([0.1, -0.05, 0.0, 0.1, 0.0, 0.05, -0.2])
    began_s = robot_s(arm)
    arm.move_joints(goal, 1.5)
    assert robot_s(arm) - began_s >= 1.5
    np.testing.assert_allclose(arm.state().q_rad, goal, atol=5e-3)


def test_a_joint_motion_can_be_broken_off(arm: FrankyArm) -> None:
    goal = arm.state().q_rad + np.array([0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    end_s = robot_s(arm) + 1.0
    refused: list[Exception] = []

    def go_on() -> bool:
        try:
            arm.set_target(arm.state().pose_base_tcp)
        except DeviceError as e:
            refused.append(e)
        return robot_s(arm) < end_s

    with pytest.raises(DeviceError, match="broken off"):
        arm.move_joints(goal, 4.0, go_on)
    assert refused and "moves its joints" in str(refused[0])
    assert (arm.robot_mode(), arm.state().fault) == (RobotMode.READY, None)
    here = arm.state().pose_base_tcp
    assert abs(arm.state().q_rad[0] - goal[0]) > 0.1
    wait(arm, 0.3)
    np.testing.assert_allclose(arm.state().pose_base_tcp, here, atol=2e-3)


@pytest.mark.parametrize("goal", [np.full(7, np.nan), np.zeros(6)])
def test_a_joint_motion_to_nowhere_is_refused(arm: FrankyArm, goal: np.ndarray) -> None:
    with pytest.raises(DeviceError, match="seven finite angles"):
        arm.move_joints(goal, 1.0)
    wait_until(lambda: arm.robot_mode() is RobotMode.READY)


def test_the_wrench_is_what_the_world_does_to_the_tool(arm: FrankyArm, stage: EmulatorStage) -> None:
    wait(arm, 0.05)
    np.testing.assert_allclose(arm.state().wrench_tcp, 0.0, atol=0.1)
    # The tool points down: what pushes it down comes along its own z axis.
    stage.line("push 0 0 -8")
    wait(arm, 1.0)
    np.testing.assert_allclose(arm.state().wrench_tcp[:3], [0.0, 0.0, 8.0], atol=0.3)
    arm.tare()
    wait(arm, 0.1)
    np.testing.assert_allclose(arm.state().wrench_tcp, 0.0, atol=0.1)
    stage.line("push 0 0 -18")
    wait(arm, 1.5)
    with pytest.raises(DeviceError, match="expected at most 10 N"):
        arm.tare()
    stage.line("push 0 0 0")
    wait(arm, 0.5)
    np.testing.assert_allclose(arm.state().wrench_tcp[:3], [0.0, 0.0, -8.0], atol=0.3)


def test_the_weight_of_a_load_is_told_to_the_robot(arm: FrankyArm, config: RobotConfig) -> None:
    untold_n = float(arm.health()["wrench tare"].split(",")[2])
    arm.close()
    loaded = FrankyArm(replace(config, load_kg=0.05, load_com_flange_m=(0.0, 0.0, 0.1184)))
    told_n = float(loaded.health()["wrench tare"].split(",")[2])
    loaded.close()
    # The peg weighs 0.05 kg; the emulator knows of its load until it ends.
    assert abs(told_n) < 0.02
    assert untold_n == pytest.approx(0.49, abs=0.02)


def test_the_twist_is_that_of_the_tool(arm: FrankyArm) -> None:
    target = arm.state().pose_base_tcp.copy()
    after = arm.state()
    for _ in range(60):
        target[1] += 0.0005
        arm.set_target(target)
        wait(arm, 0.01)
        after = arm.state()
    wait_until(lambda: arm.state().t_s > after.t_s)
    assert after.twist_base_tcp[1] == pytest.approx(0.05, abs=0.02)
    assert np.abs(after.twist_base_tcp[[0, 2]]).max() < 0.02


def test_only_the_control_thread_is_a_real_time_one(arm: FrankyArm) -> None:
    def policies() -> list[int]:
        return [os.sched_getscheduler(int(thread)) for thread in os.listdir("/proc/self/task")]

    assert os.sched_getscheduler(0) == os.SCHED_OTHER
    assert policies().count(os.SCHED_FIFO) == int(may_be_real_time())
    arm.move_joints(arm.state().q_rad + 0.01, 0.2)
    assert policies().count(os.SCHED_FIFO) == int(may_be_real_time())
    child = [sys.executable, "-c", "import os; print(os.sched_getscheduler(0))"]
    assert int(subprocess.check_output(child)) == os.SCHED_OTHER


def may_be_real_time() -> bool:
    """Asked in a thread that ends afterwards."""
    granted: list[bool] = []

    def ask() -> None:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(os.sched_get_priority_max(os.SCHED_FIFO)))
        except PermissionError:
            granted.append(False)
        else:
            granted.append(True)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return granted[0]


def test_a_killed_process_stops_the_robot(config: RobotConfig, stage: EmulatorStage) -> None:
    command = [sys.executable, "-c", KILLED, config.address]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and "moving" in process.stdout.readline()
        wait_until(lambda: "motion=none/external" in stage.line("status"))
        process.send_signal(signal.SIGKILL)
        process.wait(END_S)
    wait_until(lambda: "motion=none " in stage.line("status"))
    arm = FrankyArm(config)
    if arm.state().fault is not None:
        arm.recover()
    here = arm.state().pose_base_tcp
    wait(arm, 0.3)
    np.testing.assert_allclose(arm.state().pose_base_tcp, here, atol=2e-3)
    arm.close()


def test_a_robot_has_one_client(arm: FrankyArm, config: RobotConfig) -> None:
    with pytest.raises(DeviceError, match=f"cannot connect to a robot at {config.address}"):
        FrankyArm(config)
    wait_until(lambda: arm.robot_mode() is RobotMode.READY)


def test_no_robot_is_a_device_error(config: RobotConfig) -> None:
    with pytest.raises(DeviceError, match="cannot connect"):
        FrankyArm(replace(config, address=free_address()))


@pytest.mark.skipif(Path("/sys/kernel/realtime").exists(), reason="this kernel is a real-time one")
def test_an_ordinary_kernel_is_refused_where_a_real_time_one_is_demanded(config: RobotConfig) -> None:
    with pytest.raises(ConfigError, match=r"robot\.realtime is enforce"):
        FrankyArm(replace(config, realtime="enforce"))
