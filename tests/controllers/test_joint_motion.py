"""Minimum-jerk time law and joint impedance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.controllers.compiled import source_stamp
from robot_rl.controllers.joint_impedance import JointImpedanceParams, joint_torque, pack_joint_law
from robot_rl.controllers.min_jerk import PEAK_ACCELERATION, PEAK_SPEED, min_jerk, min_jerk_duration
from robot_rl.core.errors import ConfigError


def test_motion_starts_and_ends_at_rest() -> None:
    assert min_jerk(-1.0, 2.0) == (0.0, 0.0)
    assert min_jerk(0.0, 2.0) == (0.0, 0.0)
    assert min_jerk(2.0, 2.0) == (1.0, 0.0)
    assert min_jerk(9.0, 2.0) == (1.0, 0.0)
    assert min_jerk(0.0, 0.0) == (1.0, 0.0)
    assert min_jerk(1.0, 2.0) == (0.5, PEAK_SPEED / 2.0)


@given(st.floats(0.01, 0.99), st.floats(0.1, 10))
def test_rate_is_the_derivative_of_the_share_and_never_negative(u: float, duration: float) -> None:
    step = 1e-5 * duration
    before, after = min_jerk(u * duration - step, duration)[0], min_jerk(u * duration + step, duration)[0]
    rate = min_jerk(u * duration, duration)[1]
    assert rate >= 0.0
    assert math.isclose(rate, (after - before) / (2 * step), rel_tol=1e-5, abs_tol=1e-7)


@given(st.lists(st.floats(-3, 3), min_size=7, max_size=7), st.floats(0.1, 3), st.floats(0.1, 20))
def test_duration_is_the_shortest_within_the_limits(way: list[float], speed: float, acceleration: float) -> None:
    duration = min_jerk_duration(way, speed, acceleration)
    furthest = max(abs(w) for w in way)
    if furthest < 1e-6:
        return
    fastest = furthest * PEAK_SPEED / duration
    hardest = furthest * PEAK_ACCELERATION / duration**2
    assert fastest <= speed * (1 + 1e-9) and hardest <= acceleration * (1 + 1e-9)
    assert math.isclose(fastest, speed) or math.isclose(hardest, acceleration)


def test_peak_constants_belong_to_the_time_law() -> None:
    times = np.linspace(0, 1, 20001)
    rates = np.array([min_jerk(t, 1.0)[1] for t in times])
    assert math.isclose(rates.max(), PEAK_SPEED, rel_tol=1e-9)
    assert math.isclose(np.gradient(rates, times).max(), PEAK_ACCELERATION, rel_tol=1e-4)


def test_limits_of_a_motion_must_be_positive() -> None:
    with pytest.raises(ConfigError, match="limits of a motion must be positive"):
        min_jerk_duration([1.0], 0.0)


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(-2, 2), st.floats(-2, 2))
def test_torque_is_a_clipped_spring_and_a_damper(q: float, goal: float, dq: float, dq_goal: float) -> None:
    law = pack_joint_law(JointImpedanceParams())
    torque = joint_torque(law, 4, q, dq, goal, dq_goal)
    assert math.isclose(torque, 250.0 * float(np.clip(goal - q, -0.1, 0.1)) + 30.0 * (dq_goal - dq), abs_tol=1e-9)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="stiffness_nm_rad must hold 7 numbers"):
        JointImpedanceParams(stiffness_nm_rad=(1.0, 2.0))
    with pytest.raises(ConfigError, match="clip_rad must hold 7 numbers that are not negative"):
        JointImpedanceParams(clip_rad=(-1.0,) * 7)


def test_source_stamp_follows_the_text(tmp_path) -> None:  # type: ignore[no-untyped-def]
    a, b = tmp_path / "a.py", tmp_path / "b.py"
    a.write_text("x = 1")
    b.write_text("y = 2")
    before = source_stamp(str(a), str(b))
    b.write_text("y = 3")
    assert source_stamp(str(a), str(b)) != before >= 0
