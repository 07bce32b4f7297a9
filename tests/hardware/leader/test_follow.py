"""The follower's way is the leader's, at the speed that a step allows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.controllers.se3 import apply_tool_delta, pose_compose, pose_inverse, random_quat, tool_delta
from robot_rl.core.errors import ConfigError
from robot_rl.core.types import Array
from robot_rl.hardware.leader.follow import FollowLimits, follow

STEP_M, STEP_RAD = 0.01, 0.05
UNIT = np.repeat([STEP_M, STEP_RAD], 3)
LIMITS = FollowLimits(STEP_M, STEP_RAD)
seeds = st.integers(0, 2**32 - 1)


def random_pose(rng: np.random.Generator) -> Array:
    return np.concatenate([rng.uniform(-0.5, 0.5, 3), random_quat(rng)])


def lag(told: Array, leader: Array, scale: float = 1.0) -> tuple[float, float]:
    left = tool_delta(told, leader)
    return scale * float(np.linalg.norm(left[:3])), float(np.linalg.norm(left[3:]))


@given(seeds, st.sampled_from([0.3, 1.0, 2.5]))
def test_a_slow_motion_is_reproduced(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    limits = FollowLimits(STEP_M, STEP_RAD, scale)
    leader = told = start = random_pose(rng)
    follower = begin = random_pose(rng)
    for _ in range(50):
        leader = apply_tool_delta(leader, rng.uniform(-0.99, 0.99, 6) * UNIT / [*[scale] * 3, 1, 1, 1])
        command, told = follow(told, leader, limits)
        follower = apply_tool_delta(follower, command * UNIT)
    moved = pose_compose(pose_inverse(start), leader)
    moved[:3] *= scale
    np.testing.assert_allclose(tool_delta(pose_compose(begin, moved), follower), np.zeros(6), atol=1e-6)


@given(seeds, st.floats(0.001, 3.0))
def test_no_jump_is_passed_on(seed: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    leader = told = random_pose(rng)
    for _ in range(20):
        leader = apply_tool_delta(leader, rng.normal(0.0, size, 6))
        before = told
        command, told = follow(told, leader, LIMITS)
        assert np.isfinite(command).all() and (np.abs(command) <= 1.0).all()
        away_m, away_rad = lag(told, leader)
        assert away_m <= LIMITS.carry_m + 1e-9
        assert away_rad <= LIMITS.carry_rad + 1e-9
        assert np.linalg.norm(told[3:]) == pytest.approx(1.0)
        if lag(before, leader)[0] > 1e-6:
            assert np.dot(command[:3], tool_delta(before, leader)[:3]) > 0.0, "always towards the leader"


@given(seeds)
def test_what_was_too_fast_is_followed_later(seed: int) -> None:
    rng = np.random.default_rng(seed)
    told = follower = start = random_pose(rng)
    leader = apply_tool_delta(start, np.concatenate([rng.uniform(-0.02, 0.02, 3), rng.uniform(-0.1, 0.1, 3)]))
    for _ in range(10):
        command, told = follow(told, leader, LIMITS)
        follower = apply_tool_delta(follower, command * UNIT)
    np.testing.assert_allclose(tool_delta(follower, leader), np.zeros(6), atol=1e-6)
    assert np.abs(command).max() < 1e-6


def test_a_long_way_stays_straight() -> None:
    start = np.array([0.4, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0])
    command, _ = follow(start, apply_tool_delta(start, [0.04, 0.02, 0, 0, 0.1, 0.2]), LIMITS)
    np.testing.assert_allclose(command, [1.0, 0.5, 0.0, 0.0, 0.5, 1.0], atol=1e-9)


@pytest.mark.parametrize("wrong", [{"step_m": 0.0}, {"step_rad": -1.0}, {"scale": float("nan")}])
def test_a_step_of_nothing(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        FollowLimits(**{"step_m": 0.01, "step_rad": 0.05, **wrong})
