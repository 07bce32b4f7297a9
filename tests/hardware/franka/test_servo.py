"""The target filter in front of the robot's own law."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.controllers.se3 import quat_angle, quat_multiply, random_quat, rotvec_to_quat
from robot_rl.hardware.franka.servo import Servo

REST = np.array([0.5, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0])


def away(metres: float = 0.01, turn_rad: float = 0.0) -> np.ndarray:
    turned = quat_multiply(rotvec_to_quat(np.array([0.0, 0.0, turn_rad])), REST[3:])
    return np.concatenate([REST[:3] + np.array([metres, 0.0, 0.0]), turned])


def test_it_rests_until_there_is_a_target() -> None:
    assert Servo(0.05, REST, 0.0).advance(1.0) is None


def test_it_is_a_first_order_filter_that_arrives() -> None:
    servo = Servo(0.05, REST, 0.0)
    servo.target = away(0.01, 0.1)
    moved = servo.advance(0.05)
    assert moved is not None
    share = 1.0 - np.exp(-1.0)
    np.testing.assert_allclose(moved[0] - REST[0], share * 0.01)
    np.testing.assert_allclose(quat_angle(moved[3:], REST[3:]), share * 0.1)
    assert servo.advance(2.0) is servo.target
    assert servo.advance(2.1) is None


@given(st.lists(st.floats(1e-4, 0.05), min_size=2, max_size=20), st.integers(0, 99))
def test_late_steps_lead_to_the_same_place(steps_s: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    target = np.concatenate([REST[:3] + rng.uniform(-0.02, 0.02, 3), random_quat(rng)])
    small, large = Servo(0.05, REST, 0.0), Servo(0.05, REST, 0.0)
    small.target = large.target = target
    for t_s in np.cumsum(steps_s):
        last = small.advance(float(t_s))
    once = large.advance(float(np.sum(steps_s)))
    assert last is not None and once is not None
    np.testing.assert_allclose(last[:3], once[:3], atol=2e-6)
    assert quat_angle(last[3:], once[3:]) < 1e-5


def test_a_clock_that_is_set_back_moves_nothing() -> None:
    servo = Servo(0.05, REST, 10.0)
    servo.target = away()
    moved = servo.advance(5.0)
    assert moved is not None
    np.testing.assert_allclose(moved, REST, atol=1e-12)


def test_resting_forgets_the_target() -> None:
    servo = Servo(0.05, REST, 0.0)
    servo.target = away()
    servo.advance(0.01)
    servo.rest_at(REST, 0.02)
    assert servo.advance(1.0) is None


def test_without_a_time_constant_the_target_is_the_reference() -> None:
    servo = Servo(0.0, REST, 0.0)
    servo.target = away()
    assert servo.advance(0.001) is servo.target
