"""A browser as an operator's device, without a browser."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.console.browser import LOST_S, TAP_S, BrowserTeleop
from robot_rl.console.steer import GAIN, twist_towards
from robot_rl.controllers.se3 import apply_tool_delta, normalize_pose, pose_compose
from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.marks import MARKS, SUCCESS
from robot_rl.core.protocols import Teleop
from robot_rl.core.types import Array
from robot_rl.envs import make_env
from robot_rl.envs.tasks import make_task
from robot_rl.hardware.joystick import CLOSE, OPEN, TOOL_PER_OPERATOR
from robot_rl.hardware.keyboard.device import FIRST_SPEED, SPEEDS
from robot_rl.hardware.keyboard.table import TABLE, USE_OF
from robot_rl.hardware.takeover import ENGAGE, LOST, TakeOver
from robot_rl.testing import TeleopPressContract, TeleopUnplugContract
from tests.console.clock import Clock

ANN, BOB = 3, 4
SPEED = SPEEDS[FIRST_SPEED]
BEAT_S = 0.05
DOWN = np.array([0.5, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0])
STEP = np.array([0.02, 0.02, 0.02, 0.1, 0.1, 0.1])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def browser(clock: Clock) -> BrowserTeleop:
    browser = BrowserTeleop(now_s=clock)
    browser.seat(ANN)
    return browser


class TestContract(TeleopPressContract, TeleopUnplugContract):
    """With a page that says what its hands do, as long as it is there."""

    def make(self) -> Teleop:
        self.clock = Clock()
        self.hands: Callable[[], None] = lambda: None
        browser = BrowserTeleop(now_s=self.clock)
        browser.seat(ANN)
        return browser

    def wait(self, seconds: float) -> None:
        end_s = self.clock.t_s + seconds
        while self.clock.t_s < end_s:
            self.clock.t_s = min(self.clock.t_s + BEAT_S, end_s)
            self.hands()

    def tap(self, device: Teleop) -> str:
        assert isinstance(device, BrowserTeleop)
        device.press(ANN, SUCCESS)
        return SUCCESS

    def engage(self, device: Teleop) -> None:
        assert isinstance(device, BrowserTeleop)
        self.hands = lambda: device.hear(ANN, ["w"])

    def unplug(self, device: Teleop) -> None:
        assert isinstance(device, BrowserTeleop)
        self.hands = lambda: None
        device.lose(ANN)


@pytest.mark.parametrize("use", [use for use in TABLE if use.axis >= 0], ids=lambda use: use.does)
def test_keys_move_as_in_a_terminal(browser: BrowserTeleop, use: object) -> None:
    for key in use.keys:  # type: ignore[attr-defined]
        browser.hear(ANN, [key])
        expected = np.zeros(6)
        expected[USE_OF[key].axis] = USE_OF[key].sign * SPEED
        state = browser.read()
        assert state.engaged
        np.testing.assert_array_equal(state.twist_tcp, expected * TOOL_PER_OPERATOR)
        browser.hear(ANN, [])


def test_a_key_that_goes_up_stops_at_once_unless_it_was_a_tap(browser: BrowserTeleop, clock: Clock) -> None:
    browser.hear(ANN, ["w"])
    clock.t_s += TAP_S
    assert browser.read().engaged
    browser.hear(ANN, [])
    assert not browser.read().engaged
    browser.hear(ANN, ["w"])
    browser.hear(ANN, [])
    assert browser.read().twist_tcp[0] == SPEED
    clock.t_s += TAP_S
    assert not browser.read().engaged


def test_of_opposite_keys_the_later_counts(browser: BrowserTeleop, clock: Clock) -> None:
    browser.hear(ANN, ["w"])
    browser.hear(ANN, ["w", "s"])
    assert browser.read().twist_tcp[0] == -SPEED
    clock.t_s += TAP_S
    browser.hear(ANN, ["w"])
    assert browser.read().twist_tcp[0] == SPEED
    browser.hear(ANN, ["s"])
    browser.hear(ANN, [])
    assert browser.read().twist_tcp[0] == -SPEED  # the tap of one ends that of the other


def test_two_motions_at_once(browser: BrowserTeleop) -> None:
    browser.hear(ANN, ["w", "a", "up"])
    np.testing.assert_array_equal(browser.read().twist_tcp, np.array([1, 1, 1, 0, 0, 0]) * SPEED * TOOL_PER_OPERATOR)


def test_speeds(browser: BrowserTeleop) -> None:
    for _ in range(9):
        browser.hear(ANN, ["+", "w"])
        browser.hear(ANN, ["w"])
    assert browser.read().twist_tcp[0] == 1.0
    browser.hear(ANN, ["w", "-"])
    browser.hear(ANN, ["w", "-"])  # said again, not pressed again
    assert browser.read().twist_tcp[0] == SPEEDS[-2]
    assert browser.health()["speed"] == f"{SPEEDS[-2]:g}"


def test_the_gripper(browser: BrowserTeleop, clock: Clock) -> None:
    browser.hear(ANN, ["o"])
    state = browser.read()
    assert (state.engaged, state.gripper, state.buttons) == (True, 1.0, frozenset())
    browser.hear(ANN, ["p"])
    clock.t_s += TAP_S
    assert browser.read().gripper == -1.0
    browser.hear(ANN, [])
    browser.grip(ANN, 1.0)
    assert browser.read().gripper == 1.0
    clock.t_s += TAP_S
    assert not browser.read().engaged
    browser.grip(ANN, 0.0)
    assert not browser.read().engaged


def test_the_space_bar_latches(browser: BrowserTeleop) -> None:
    browser.hear(ANN, ["space"])
    browser.hear(ANN, [])
    state = browser.read()
    assert state.engaged
    assert not state.twist_tcp.any()
    assert ENGAGE in state.buttons
    browser.hear(ANN, ["space"])
    assert not browser.read().engaged
    browser.press(ANN, ENGAGE)
    assert browser.read().engaged


def test_the_space_bar_leaves_latching_to_a_take_over(clock: Clock) -> None:
    browser = BrowserTeleop(latches=False, now_s=clock)
    browser.seat(ANN)
    take_over = TakeOver(browser, "latch", now_s=clock)
    browser.hear(ANN, ["space"])
    browser.hear(ANN, [])
    assert take_over.read().engaged
    assert not browser.read().engaged


@pytest.mark.parametrize("mark", MARKS)
def test_marks(browser: BrowserTeleop, mark: str) -> None:
    keys = [key for use in TABLE for key in use.keys if use.says == mark]
    for key in keys:
        browser.hear(ANN, [key])
        browser.hear(ANN, [])
        state = browser.read()
        assert state.buttons == {mark}
        assert not state.engaged
    browser.press(ANN, mark)
    assert browser.read().buttons == {mark}
    assert not browser.read().buttons


def test_an_unknown_mark(browser: BrowserTeleop) -> None:
    with pytest.raises(ConfigError, match="did you mean 'success'"):
        browser.press(ANN, "sucess")


def test_jogging(browser: BrowserTeleop, clock: Clock) -> None:
    browser.hear(ANN, [], pointer=True)
    for _ in range(3):
        browser.jog(ANN, 2, -1)
        np.testing.assert_array_equal(browser.read().twist_tcp, [0, 0, SPEED, 0, 0, 0])
        clock.t_s += TAP_S
    browser.jog_end(ANN)
    assert not browser.read().engaged
    with pytest.raises(ConfigError, match="axis 6 by 1"):
        browser.jog(ANN, 6, 1)


def test_a_finger_that_is_lifted_ends_jogging_and_dragging(browser: BrowserTeleop, clock: Clock) -> None:
    browser.see(DOWN, STEP)
    browser.hear(ANN, [], pointer=True)
    browser.jog(ANN, 0, 1)
    clock.t_s += TAP_S
    browser.hear(ANN, [], pointer=True)
    assert browser.read().engaged
    browser.hear(ANN, [])
    assert not browser.read().engaged
    browser.drag_begin(ANN, DOWN)
    browser.hear(ANN, [])
    assert not browser.read().engaged
    browser.drag_to(ANN, moved(DOWN, 0.1))
    assert not browser.read().engaged


def test_dragging(browser: BrowserTeleop) -> None:
    browser.drag_begin(ANN, DOWN)
    browser.drag_to(ANN, moved(DOWN, 0.1))
    state = browser.read()
    assert state.engaged
    assert not state.twist_tcp.any()  # it is not known where the tool is
    browser.see(DOWN, STEP)
    np.testing.assert_allclose(browser.read().twist_tcp, [1, 0, 0, 0, 0, 0], atol=1e-12)
    browser.hear(ANN, ["s"], pointer=True)
    assert browser.read().twist_tcp[0] == -SPEED  # keys come first
    browser.drag_end(ANN)
    browser.drag_to(ANN, moved(DOWN, 0.1))
    assert browser.read().twist_tcp[0] == -SPEED


def test_what_is_no_pose(browser: BrowserTeleop) -> None:
    with pytest.raises(DataError, match="no direction"):
        browser.drag_begin(ANN, np.zeros(7))


DELTAS = st.lists(st.floats(-0.3, 0.3), min_size=6, max_size=6).map(np.array)
ACTIVE = st.sets(st.integers(0, 5)).map(sorted)


@given(DELTAS, DELTAS, ACTIVE)
def test_a_twist_points_to_the_goal(start: Array, delta: Array, active: list[int]) -> None:
    pose = apply_tool_delta(DOWN, start)
    goal = apply_tool_delta(pose, delta)
    twist = twist_towards(pose, goal, STEP, active)
    assert (np.abs(twist) <= 1.0).all()
    wanted = np.zeros(6)
    wanted[active] = (delta / STEP)[active]
    length = np.linalg.norm(twist) * np.linalg.norm(wanted)
    assert twist @ wanted == pytest.approx(length, abs=1e-6)
    assert not np.delete(twist, active).any()


@given(DELTAS)
def test_a_drag_arrives(delta: Array) -> None:
    pose, goal = DOWN, apply_tool_delta(DOWN, delta)
    for _ in range(60):
        pose = apply_tool_delta(pose, STEP * twist_towards(pose, goal, STEP, range(6)))
    np.testing.assert_allclose(np.abs(pose), np.abs(normalize_pose(goal)), atol=1e-4)


@pytest.mark.parametrize("steps_late", [0, 1])
def test_a_dragged_arm_does_not_go_too_far(steps_late: int) -> None:
    """Also if the pose that the console knows is a step old."""
    task = make_task("PegInsert")
    env = make_env("PegInsert")
    env.reset(seed=0)
    pose = env.snapshot.arm.pose_base_tcp
    goal = pose + np.array([0.02, -0.03, 0.02, 0.0, 0.0, 0.0, 0.0])
    known, beyond_m = [pose] * (steps_late + 1), -1.0
    way = (goal - pose)[:3] / np.linalg.norm((goal - pose)[:3])
    for _ in range(25):
        twist = twist_towards(known[-1 - steps_late], goal, task.action_spec.step, task.action_spec.motion)
        env.step(np.append(twist, 0.0).astype(np.float32))
        known.append(env.snapshot.arm.pose_base_tcp)
        beyond_m = max(beyond_m, float((known[-1] - goal)[:3] @ way))
    env.close()
    assert beyond_m < 0.0005
    assert np.linalg.norm((known[-1] - goal)[:3]) < 0.001


def test_an_axis_without_a_step_does_not_move() -> None:
    step = np.array([0.02, 0.02, 0.02, 0.0, 0.0, 0.0])
    goal = apply_tool_delta(DOWN, np.array([0.0, 0.01, 0.0, 0.5, 0.0, 0.0]))
    np.testing.assert_allclose(twist_towards(DOWN, goal, step, range(6)), [0, 0.5 * GAIN, 0, 0, 0, 0], atol=1e-12)


def test_only_the_one_in_charge_is_heard(browser: BrowserTeleop) -> None:
    browser.see(DOWN, STEP)
    browser.hear(BOB, ["w", "1"])
    browser.press(BOB, SUCCESS)
    browser.grip(BOB, 1.0)
    browser.jog(BOB, 0, 1)
    browser.drag_begin(BOB, DOWN)
    state = browser.read()
    assert not state.engaged
    assert not state.buttons
    browser.lose(BOB)
    browser.hear(ANN, ["w"])
    browser.jog_end(BOB)
    browser.drag_end(BOB)
    assert browser.read().engaged


def test_a_successor_begins_with_empty_hands(browser: BrowserTeleop) -> None:
    browser.hear(ANN, ["w"])
    browser.seat(ANN)
    assert browser.read().engaged
    browser.seat(BOB)
    assert not browser.read().engaged
    browser.hear(ANN, ["w"])
    assert not browser.read().engaged
    browser.seat(None)
    assert browser.read().age_s == 0.0


def test_age(browser: BrowserTeleop, clock: Clock) -> None:
    clock.t_s += 100.0
    assert browser.read().age_s == 0.0
    assert not browser.holds
    browser.hear(ANN, ["w"])
    assert browser.holds
    clock.t_s += LOST_S - 0.01
    state = browser.read()
    assert (state.engaged, state.age_s) == (True, pytest.approx(LOST_S - 0.01))
    clock.t_s += 0.02
    state = browser.read()
    assert (state.engaged, state.age_s) == (False, pytest.approx(LOST_S + 0.01))
    browser.hear(ANN, ["w"])
    assert browser.read().engaged
    browser.lose(ANN)
    clock.t_s += 7.0
    assert browser.read().age_s == pytest.approx(7.0)
    browser.hear(ANN, ["w"])  # of a connection that is gone
    assert browser.read().age_s == pytest.approx(7.0)
    browser.seat(ANN)
    assert browser.read().age_s == 0.0


@pytest.mark.parametrize("comes_back", [ANN, BOB])
def test_the_arm_is_held_while_the_connection_is_lost_in_a_take_over(
    browser: BrowserTeleop, clock: Clock, comes_back: int
) -> None:
    take_over = TakeOver(browser, now_s=clock)
    browser.hear(ANN, ["w"])
    assert take_over.read().engaged
    browser.lose(ANN)
    for _ in range(100):
        clock.t_s += 0.1
        state = take_over.read()
        assert state.engaged
        assert not state.twist_tcp.any()
    assert LOST in state.buttons
    browser.seat(comes_back)
    assert LOST not in take_over.read().buttons
    clock.t_s += 1.0
    assert not take_over.read().engaged


def test_a_page_that_freezes_in_a_drag_holds_the_arm(browser: BrowserTeleop, clock: Clock) -> None:
    take_over = TakeOver(browser, now_s=clock)
    browser.see(DOWN, STEP)
    browser.drag_begin(ANN, moved(DOWN, 0.1))
    assert take_over.read().twist_tcp.any()
    clock.t_s += 0.6
    state = take_over.read()
    assert LOST in state.buttons
    assert not state.twist_tcp.any()
    browser.hear(ANN, [], pointer=True)
    assert take_over.read().twist_tcp.any()


def test_letting_go_before_the_connection_is_lost_hands_back(browser: BrowserTeleop, clock: Clock) -> None:
    take_over = TakeOver(browser, now_s=clock)
    browser.hear(ANN, ["w"])
    clock.t_s += 0.2
    take_over.read()
    browser.hear(ANN, [])
    assert take_over.read().engaged
    clock.t_s += 0.4
    assert not take_over.read().engaged


def test_keys_are_described(browser: BrowserTeleop) -> None:
    assert "success: the task is done" in browser.describe()
    assert browser.health()["connected"] == "True"
    browser.lose(ANN)
    assert browser.health()["connected"] == "False"
    assert {OPEN, CLOSE} <= {use.says for use in TABLE}


def moved(pose_base: Array, forward_m: float) -> Array:
    """Along the base's x, which is the tool's."""
    shift = np.array([forward_m, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    return pose_compose(shift, pose_base)
