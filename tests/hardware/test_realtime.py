"""A simulated cell that keeps up with a clock; here the clock is the tests' own, so that no load disturbs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_rl.controllers.arbiter_readings import RobotMode
from robot_rl.core.errors import DeviceError, SafetyFault
from robot_rl.core.imperfections import Imperfections
from robot_rl.core.protocols import Arm, Gripper
from robot_rl.envs.tasks import make_task
from robot_rl.hardware.cell.description import RobotConfig
from robot_rl.hardware.cell.scene import Scene
from robot_rl.hardware.drivers import ArmDriver, GripperDriver
from robot_rl.hardware.mujoco.realtime import GIVE_UP_S, RealtimePlant
from robot_rl.hardware.mujoco.realtime_devices import RealtimeArm, RealtimeGripper
from robot_rl.testing import ArmFaultContract, GripperContract

BEGAN_S = 1_700_000_000.0
TICK_S = 0.001


def make_scene() -> Scene:
    task = make_task("PickCube")
    start = task.sample_start(np.random.default_rng(0))
    return Scene(task.id, task.objects, task.impedance, start.pose_base_tcp, start.gripper_width_m, start.objects)


SCENE = make_scene()


class Wall:
    """A clock that only moves when told, in steps in which somebody asks the plant."""

    def __init__(self, imperfections: Imperfections | None = None) -> None:
        self.now_s = BEGAN_S
        self.plant = RealtimePlant(SCENE, imperfections or Imperfections(), wall_s=lambda: self.now_s)
        self.arm = RealtimeArm(self.plant, self.sleep)
        self.gripper = RealtimeGripper(self.plant)
        self.plant.advance()

    def sleep(self, seconds: float) -> None:
        end_s = self.now_s + seconds
        while self.now_s < end_s - 1e-6:
            self.now_s = min(self.now_s + 0.01, end_s)
            self.plant.advance()


class TestRealtimeArm(ArmFaultContract):
    def make(self) -> Arm:
        self.wall = Wall()
        return self.wall.arm

    def wait(self, seconds: float) -> None:
        self.wall.sleep(seconds)

    def latch_fault(self, device: Arm) -> None:
        self.wall.arm.emulate(RobotMode.REFLEX)

    def test_is_a_driver(self, device: Arm) -> None:
        assert isinstance(device, ArmDriver)


class TestRealtimeGripper(GripperContract):
    def make(self) -> Gripper:
        self.wall = Wall()
        return self.wall.gripper

    def wait(self, seconds: float) -> None:
        self.wall.sleep(seconds)

    def test_is_a_driver(self, device: Gripper) -> None:
        assert isinstance(device, GripperDriver)


def test_readings_are_stamped_with_the_clock() -> None:
    wall = Wall()
    for _ in range(20):
        wall.sleep(0.0137)
        assert wall.arm.state().t_s == pytest.approx(wall.now_s, abs=0.6 * TICK_S)
        assert wall.gripper.state().t_s == pytest.approx(wall.now_s, abs=0.6 * TICK_S)
    report = wall.plant.report()
    assert report.lost_s == 0.0
    assert report.factor == pytest.approx(1.0, abs=0.01)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(0.0, 0.3), min_size=1, max_size=8))
def test_time_beyond_what_can_be_caught_up_is_given_up(gaps_s: list[float]) -> None:
    wall = Wall()
    sim_s, last_s = wall.plant.sim.time_s, wall.arm.state().t_s
    for gap_s in gaps_s:
        wall.now_s += gap_s
        state = wall.arm.state()
        assert state.t_s >= last_s
        assert state.t_s == pytest.approx(wall.now_s, abs=0.6 * TICK_S)
        last_s = state.t_s
    ran_s = wall.plant.sim.time_s - sim_s
    assert ran_s + wall.plant.report().lost_s == pytest.approx(sum(gaps_s), abs=1.1 * TICK_S)
    assert ran_s <= len(gaps_s) * (GIVE_UP_S + TICK_S)


def test_a_clock_that_is_set_back_is_followed() -> None:
    wall = Wall()
    wall.now_s -= 3600.0
    wall.sleep(0.2)
    assert wall.arm.state().t_s == pytest.approx(wall.now_s, abs=GIVE_UP_S + TICK_S)


def test_a_reset_shows_exactly_its_start_with_a_later_stamp() -> None:
    wall = Wall()
    first = wall.arm.state()
    pose = SCENE.start_base_tcp.copy()
    pose[:3] += (0.05, -0.05, 0.03)
    wall.arm.set_target(SCENE.start_base_tcp)
    wall.plant.reset(pose, 0.04, SCENE.start_objects)
    state = wall.arm.state()
    assert state.t_s > first.t_s
    np.testing.assert_allclose(state.pose_base_tcp[:3], pose[:3], atol=2e-5)
    assert not state.dq_rad_s.any()
    assert wall.gripper.state().width_m == pytest.approx(0.04)
    wall.sleep(0.5)
    np.testing.assert_allclose(wall.arm.state().pose_base_tcp[:3], pose[:3], atol=1e-3)


@pytest.mark.parametrize("wrong", ["pose", "object", "nan"])
@pytest.mark.parametrize("imperfections", [Imperfections(), Imperfections(state_delay_s=0.02)])
def test_a_reset_that_cannot_be_changes_nothing(wrong: str, imperfections: Imperfections) -> None:
    wall = Wall(imperfections)
    before = wall.arm.state()
    pose, objects = SCENE.start_base_tcp.copy(), dict(SCENE.start_objects)
    if wrong == "object":
        objects["spoon"] = objects["cube"]
    else:
        pose[0] = {"pose": 3.0, "nan": np.nan}[wrong]
    with pytest.raises(DeviceError):
        wall.plant.reset(pose, 0.04, objects)
    wall.sleep(0.2)
    after = wall.arm.state()
    assert after.t_s > before.t_s
    np.testing.assert_allclose(after.pose_base_tcp, before.pose_base_tcp, atol=1e-3)


def test_a_joint_motion_takes_its_time_and_goes_home() -> None:
    wall = Wall()
    wall.arm.move_joints(np.array(RobotConfig().q_home_rad), 3.0)
    assert 2.99 <= wall.now_s - BEGAN_S < 3.1
    np.testing.assert_allclose(wall.arm.state().q_rad, RobotConfig().q_home_rad, atol=0.02)


def test_a_long_way_takes_longer_than_asked() -> None:
    wall = Wall()
    goal = wall.arm.state().q_rad + np.array([1.0, 0, 0, 0, 0, 0, 0])
    wall.arm.move_joints(goal, 0.1)
    assert wall.now_s - BEGAN_S > 1.8
    np.testing.assert_allclose(wall.arm.state().q_rad, goal, atol=0.02)


@pytest.mark.parametrize("by", ["asked", "target", "reset", "reflex"])
def test_a_joint_motion_can_be_broken_off(by: str) -> None:
    wall = Wall()
    goal = wall.arm.state().q_rad + np.array([0.4, 0, 0, 0, 0, 0, 0])

    def go_on() -> bool:
        if wall.now_s < BEGAN_S + 0.5:
            return True
        if by == "target":
            wall.arm.set_target(wall.arm.state().pose_base_tcp)
        elif by == "reset":
            wall.plant.reset(SCENE.start_base_tcp, 0.04, SCENE.start_objects)
        elif by == "reflex":
            wall.arm.emulate(RobotMode.REFLEX)
        return by != "asked"

    with pytest.raises(DeviceError, match="broken off"):
        wall.arm.move_joints(goal, 2.0, go_on)
    here = wall.arm.state()
    assert goal[0] - here.q_rad[0] > 0.2
    wall.sleep(0.5)
    np.testing.assert_allclose(wall.arm.state().pose_base_tcp[:3], here.pose_base_tcp[:3], atol=0.02)


def test_a_bad_joint_goal_is_refused() -> None:
    wall = Wall()
    for goal in (np.zeros(6), np.full(7, np.nan), np.full(7, 9.0)):
        with pytest.raises(DeviceError):
            wall.arm.move_joints(goal, 1.0)


@pytest.mark.parametrize("mode", [m for m in RobotMode if m is not RobotMode.READY])
def test_a_robot_in_trouble_says_so_and_holds(mode: RobotMode) -> None:
    wall = Wall()
    target = SCENE.start_base_tcp.copy()
    target[0] += 0.1
    wall.arm.set_target(target)
    wall.arm.emulate(mode)
    here = wall.arm.state()
    assert (wall.arm.robot_mode(), here.fault) == (mode, mode.value)
    with pytest.raises(SafetyFault):
        wall.arm.set_target(target)
    with pytest.raises(SafetyFault):
        wall.arm.move_joints(here.q_rad, 1.0)
    wall.sleep(0.5)
    np.testing.assert_allclose(wall.arm.state().pose_base_tcp[:3], here.pose_base_tcp[:3], atol=1e-3)
    if mode is RobotMode.REFLEX:
        wall.arm.recover()
    else:
        with pytest.raises(DeviceError):
            wall.arm.recover()
        wall.arm.emulate(RobotMode.READY)
    assert wall.arm.state().fault is None


def test_a_command_takes_as_long_as_its_connection() -> None:
    wall = Wall(Imperfections(command_delay_s=0.3))
    start = wall.arm.state().pose_base_tcp
    target = start.copy()
    target[0] += 0.05
    wall.arm.set_target(target)
    wall.sleep(0.29)
    np.testing.assert_allclose(wall.arm.state().pose_base_tcp[:3], start[:3], atol=1e-3)
    wall.sleep(1.5)
    np.testing.assert_allclose(wall.arm.state().pose_base_tcp[:3], target[:3], atol=5e-3)


def test_a_late_reading_keeps_the_time_at_which_it_was_taken() -> None:
    wall = Wall(Imperfections(state_delay_s=0.1))
    wall.arm.state()
    wall.sleep(0.5)
    assert wall.now_s - wall.arm.state().t_s == pytest.approx(0.1, abs=0.011)


def test_an_unstable_simulation_says_so_until_it_is_reset() -> None:
    wall = Wall()
    wall.plant.sim.data.qvel[0] = np.nan
    wall.now_s += 0.02
    for _ in range(2):
        with pytest.raises(DeviceError, match="unstable"):
            wall.arm.state()
    wall.plant.reset(SCENE.start_base_tcp, 0.04, SCENE.start_objects)
    wall.sleep(0.1)
    assert np.isfinite(wall.arm.state().pose_base_tcp).all()
