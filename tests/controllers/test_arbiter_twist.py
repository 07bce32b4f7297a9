"""An operator who steers by velocity."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.controllers import se3
from robot_rl.controllers.arbiter_twist import LOST_AFTER_S, ZERO_AFTER_S, Grip, Steer, TwistOperator
from tests.controllers.arbiter_rig import HOME, at

HZ = 128
FORWARD = [0.1, 0.0, 0.0, 0.0, 0.0, 0.0]


class Desk:
    """A device at 128 Hz, whose times are exact, and its ticks."""

    def __init__(self, button: int = 0) -> None:
        self.operator, self.k = TwistOperator(button), 0

    def step(self, held: int | None, twist: list[float] | None, in_tool: bool = False) -> Steer:
        self.k += 1
        t_s = self.k / HZ
        if held is not None:
            self.operator.joy(t_s, [0.0], [held])
        if twist is not None:
            self.operator.twist(t_s, twist, in_tool=in_tool)
        return self.operator.tick(t_s, 0.01, HOME)


def test_only_a_held_button_moves_and_letting_go_releases_once() -> None:
    desk = Desk()
    assert desk.step(None, None) == Steer()
    assert desk.step(0, FORWARD) == Steer()
    wish = desk.step(1, FORWARD).wish
    assert wish is not None
    np.testing.assert_allclose(wish, at(0.001))
    assert desk.step(0, FORWARD) == Steer(let_go=True)
    assert desk.step(0, FORWARD) == Steer()


def test_a_button_that_the_device_does_not_have_is_not_held() -> None:
    assert Desk(button=3).step(1, FORWARD) == Steer()


def test_without_a_button_a_stick_engages() -> None:
    operator = TwistOperator(-1)
    operator.twist(0.0, FORWARD, in_tool=False)
    operator.joy(0.0, [0.0, 0.04], [1])
    assert operator.tick(0.0, 0.01, HOME) == Steer()
    operator.joy(0.0, [0.0, -0.06], [])
    assert operator.tick(0.0, 0.01, HOME).wish is not None


def test_an_old_twist_is_none_and_an_older_one_a_lost_device() -> None:
    desk = Desk()
    desk.step(1, FORWARD)
    wishes = [desk.step(1, None).wish for _ in range(100)]
    moving = [wish is not None and not np.allclose(wish, HOME) for wish in wishes]
    assert moving.index(False) == math.ceil(ZERO_AFTER_S * HZ) - 1 and not any(moving[moving.index(False) :])
    assert [wish is None for wish in wishes].index(True) == math.ceil(LOST_AFTER_S * HZ) - 1
    assert wishes[-1] is None and desk.operator.grip is Grip.LOST


def test_a_device_that_comes_back_has_to_be_let_go_of() -> None:
    desk = Desk()
    desk.step(1, FORWARD)
    for _ in range(HZ):
        assert not desk.step(None, None).let_go
    assert desk.step(1, FORWARD) == Steer()
    assert desk.step(0, FORWARD) == Steer(let_go=True)
    assert desk.step(1, FORWARD).wish is not None


def test_after_a_wish_that_was_not_followed_it_has_to_be_let_go_of() -> None:
    desk = Desk()
    desk.step(1, FORWARD)
    desk.operator.block()
    assert desk.step(1, FORWARD) == Steer() == desk.step(0, FORWARD)
    assert desk.step(1, FORWARD).wish is not None


def test_what_is_not_finite_is_not_taken() -> None:
    desk = Desk()
    assert not desk.operator.twist(0.0, [math.nan, *FORWARD[1:]], in_tool=False)
    assert desk.step(1, None) == Steer()


@given(st.lists(st.floats(-2, 2), min_size=6, max_size=6), st.booleans(), st.floats(-1.0, 10.0), st.integers(0, 2**32))
def test_a_wish_is_a_short_way_from_the_target(twist: list[float], in_tool: bool, period_s: float, seed: int) -> None:
    start = np.concatenate([[0.4, 0.1, 0.3], se3.random_quat(np.random.default_rng(seed))])
    operator = TwistOperator(0)
    operator.joy(0.0, [], [1])
    operator.twist(0.0, twist, in_tool=in_tool)
    wish = operator.tick(0.0, period_s, start).wish
    assert wish is not None
    step_s = min(max(period_s, 0.0), 0.05)
    way, turn = np.linalg.norm(twist[:3]) * step_s, np.linalg.norm(twist[3:]) * step_s
    np.testing.assert_allclose(np.linalg.norm(wish[:3] - start[:3]), way, atol=1e-9)
    np.testing.assert_allclose(se3.quat_angle(wish[3:], start[3:]), turn, atol=1e-7)
    turned = se3.quat_rotate(start[3:], twist[:3]) if in_tool else np.array(twist[:3])
    np.testing.assert_allclose(wish[:3] - start[:3], turned * step_s, atol=1e-9)
