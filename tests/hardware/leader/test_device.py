"""A leader arm from its joint positions to what an operator asks for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.controllers.se3 import apply_tool_delta, pose_compose, pose_inverse, tool_delta
from robot_rl.core.config import from_dict
from robot_rl.core.errors import ConfigError
from robot_rl.core.protocols import Teleop
from robot_rl.core.types import Array
from robot_rl.hardware.joystick import BUTTONS, ENGAGED
from robot_rl.hardware.leader.config import LeaderConfig, Lever
from robot_rl.hardware.leader.device import LOST_S, LeaderTeleop
from robot_rl.hardware.leader.kinematics import panda_tcp
from robot_rl.testing import TeleopPressContract, TeleopUnplugContract

HOME = np.array([0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785])
STEP_M, STEP_RAD, PERIOD_S = 0.01, 0.05, 0.1
TRIGGER = LeaderConfig(clutch="lever", clutch_lever=Lever("trigger", 0.0, 1.0))
PULLED, LOOSE = {"trigger": 1.0}, {"trigger": 0.2}


class Person:
    """Moves a leader and reads it once a step, by a clock of its own."""

    def __init__(self, config: LeaderConfig = TRIGGER) -> None:
        self.t_s = 100.0
        self.leader = LeaderTeleop(config, STEP_M, STEP_RAD, now_s=lambda: self.t_s)

    def step(self, q_rad: Array, levers: dict[str, float]) -> Array:
        self.t_s += PERIOD_S
        assert self.leader.report(q_rad, levers)
        self.state = self.leader.read()
        return self.state.twist_tcp

    def engaged(self) -> bool:
        return self.state.engaged


class TestContract(TeleopPressContract, TeleopUnplugContract):
    """A leader that is pulled along, with a pedal beside it, by a clock of its own."""

    def make(self) -> LeaderTeleop:
        self.person, self.q_rad, self.plugged, self.speed = Person(LeaderConfig()), HOME.copy(), True, 0.0
        self.wait(0.1)
        return self.person.leader

    def wait(self, seconds: float) -> None:
        end_s = self.person.t_s + seconds
        while self.person.t_s < end_s:
            self.person.t_s += 0.01
            self.q_rad = self.q_rad + 0.01 * self.speed
            if self.plugged:
                self.person.leader.report(self.q_rad)
                if self.speed:
                    self.person.leader.read()

    def tap(self, device: Teleop) -> str:
        self.person.leader.report_buttons([0, 0, 1])
        self.person.leader.report_buttons([0, 0, 0])
        return "success"

    def engage(self, device: Teleop) -> None:
        self.speed = 0.2

    def unplug(self, device: Teleop) -> None:
        self.plugged = False


@given(st.integers(0, 2**32 - 1))
def test_the_follower_moves_as_the_leader(seed: int) -> None:
    rng = np.random.default_rng(seed)
    person, q_rad = Person(), HOME + rng.uniform(-0.3, 0.3, 7)
    assert not person.step(q_rad, PULLED).any()
    start, follower = panda_tcp(q_rad), np.array([0.5, 0.1, 0.2, 1.0, 0.0, 0.0, 0.0])
    begin = follower
    for _ in range(30):
        q_rad = q_rad + rng.uniform(-0.002, 0.002, 7)
        follower = apply_tool_delta(follower, person.step(q_rad, PULLED) * np.repeat([STEP_M, STEP_RAD], 3))
    wanted = pose_compose(begin, pose_compose(pose_inverse(start), panda_tcp(q_rad)))
    np.testing.assert_allclose(tool_delta(wanted, follower), np.zeros(6), atol=1e-6)


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.floats(0.0, 3.0), st.booleans()), max_size=20))
def test_whatever_the_leader_does_a_step_stays_a_step(way: list[tuple[int, float, bool]]) -> None:
    person, was_pulled = Person(), False
    for seed, size, pulled in way:
        q_rad = HOME + size * np.random.default_rng(seed).uniform(-1.0, 1.0, 7)
        twist = person.step(q_rad, PULLED if pulled else LOOSE)
        assert np.isfinite(twist).all() and (np.abs(twist) <= 1.0).all()
        assert person.engaged() == pulled
        assert (pulled and was_pulled) or not twist.any(), "nothing jumps when the clutch closes"
        was_pulled = pulled


@pytest.mark.parametrize("bad", [np.zeros(6), np.full(7, np.nan), np.zeros((7, 1)), ()])
def test_what_is_no_reading_is_refused_and_counted(bad: Array) -> None:
    person = Person()
    person.step(HOME, PULLED)
    assert not person.leader.report(bad, PULLED)
    assert not person.leader.report(HOME, {})
    assert not person.leader.report(HOME, {"trigger": float("nan")})
    assert not person.leader.read().twist_tcp.any()
    assert person.leader.health() == {"reports": "1", "refused": "3"}


def test_a_leader_that_fell_silent() -> None:
    person = Person()
    assert person.leader.read().age_s == float("inf")
    person.step(HOME, PULLED)
    person.step(HOME + 0.01, PULLED)
    person.t_s += LOST_S + 0.01
    state = person.leader.read()
    assert not state.engaged
    assert not state.twist_tcp.any()
    assert state.age_s == pytest.approx(LOST_S + 0.01)
    assert not person.step(HOME + 0.5, PULLED).any(), "where it is when it comes back does not matter"
    assert person.engaged()


def test_the_clutch_of_motion() -> None:
    person = Person(LeaderConfig(release_s=0.35))
    person.step(HOME, {})
    person.step(HOME, {})
    assert not person.engaged()
    q_rad = HOME.copy()
    for _ in range(3):
        q_rad[0] += 0.02
        person.step(q_rad, {})
    assert person.engaged()
    assert person.state.twist_tcp.any()
    held = []
    for _ in range(5):
        person.step(q_rad, {})
        held.append(person.engaged())
    assert held == [True, True, True, False, False]


def test_the_clutch_of_a_button_and_marks() -> None:
    person = Person(LeaderConfig(clutch="button", buttons_topic="pedal"))
    person.leader.report_buttons([int(name == ENGAGED) for name in BUTTONS])
    person.step(HOME, {})
    assert person.engaged()
    person.leader.report_buttons([int(name == "success") for name in BUTTONS])
    person.leader.report_buttons([0])
    person.step(HOME, {})
    assert not person.engaged()
    assert person.state.buttons == {"success"}, "a tap between two readings"
    assert not person.leader.read().buttons
    person.leader.report_buttons([int(name in (ENGAGED, "end")) for name in BUTTONS])
    assert person.leader.read().engaged
    for _ in range(6):
        person.step(HOME, {})
    assert not person.engaged(), "a pedal that fell silent is not held"
    assert not person.state.buttons


def test_the_gripper() -> None:
    person = Person(
        LeaderConfig(clutch="lever", clutch_lever=Lever("trigger", 0.0, 1.0), gripper_lever=Lever("fingers"))
    )
    for position, gripper in ((0.04, 1.0), (0.02, 0.0), (-0.01, -1.0)):
        person.step(HOME, {**PULLED, "fingers": position})
        assert person.state.gripper == pytest.approx(gripper)
    person.step(HOME, {**LOOSE, "fingers": 0.0})
    assert person.state.gripper == 0.0, "who is not engaged commands nothing"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"clutch": "lever"}, "clutch_lever.joint"),
        ({"clutch": "button"}, "buttons_topic"),
        ({"scale": 0.0}, "scale"),
        ({"gripper_lever": {"joint": "j", "rest": 1.0, "pressed": 1.0}}, "two positions"),
    ],
)
def test_what_does_not_fit(data: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        from_dict(LeaderConfig, data)
