"""The target filter: always inside every limit, idempotent, the identity inside."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.controllers import se3
from robot_rl.controllers.safety import TargetLimits, check_pose, limit_target
from robot_rl.core.errors import ConfigError, DeviceError
from robot_rl.core.types import Array

LIMITS = TargetLimits(
    (0.2, -0.4, 0.0), (0.7, 0.4, 0.6), max_tilt_rad=0.5, max_spin_rad=1.2, slew_m=0.04, slew_rad=0.3, reach_m=0.06,
    reach_rad=0.4,
)  # fmt: skip
SEEDS = st.integers(0, 2**32 - 1)
ROOM_RAD = 1e-8


def oriented(tilt: float, about: float, spin: float) -> Array:
    """Orientation with a tilt of the tool axis from straight down and a spin about it."""
    swing = se3.rotvec_to_quat([tilt * math.cos(about), tilt * math.sin(about), 0])
    return se3.quat_multiply([1, 0, 0, 0], se3.quat_multiply(swing, se3.rotvec_to_quat([0, 0, spin])))


def allowed_pose(rng: np.random.Generator) -> Array:
    quat = oriented(rng.uniform(0, 0.5), rng.uniform(-4, 4), rng.uniform(-1.2, 1.2))
    return np.concatenate([rng.uniform(LIMITS.box_min_m, LIMITS.box_max_m), quat])


def any_pose(rng: np.random.Generator) -> Array:
    return np.concatenate([rng.uniform(-1, 1, 3), se3.random_quat(rng)])


def nearby(pose: Array, rng: np.random.Generator, metres: float, radians: float) -> Array:
    """A pose within the workspace and a distance of an allowed one."""
    position = np.clip(pose[:3] + rng.uniform(-metres, metres, 3), LIMITS.box_min_m, LIMITS.box_max_m)
    other = allowed_pose(rng)[3:]
    angle = se3.quat_angle(pose[3:], other)
    moved = se3.slerp(pose[3:], other, min(1.0, radians * rng.uniform() / max(angle, 1e-9)))
    inside = limit_target(np.concatenate([pose[:3], moved]), pose, pose, replace(LIMITS, slew_m=9, slew_rad=9)).pose[3:]
    return np.concatenate([position, inside])


def tilt_and_spin(quat: Array) -> tuple[float, float]:
    axis = se3.quat_rotate(quat, [0, 0, 1])
    _, _, z, w = se3.quat_multiply([-1, 0, 0, 0], quat)
    return math.acos(min(1.0, -axis[2])), math.remainder(2 * math.atan2(z, w), 2 * math.pi)


def assert_in_workspace(pose: Array) -> None:
    assert (pose[:3] >= LIMITS.box_min_m).all() and (pose[:3] <= LIMITS.box_max_m).all()
    tilt, spin = tilt_and_spin(pose[3:])
    assert tilt <= LIMITS.max_tilt_rad + 1e-7 and abs(spin) <= LIMITS.max_spin_rad + ROOM_RAD
    assert math.isclose(np.linalg.norm(pose[3:]), 1.0, abs_tol=1e-12)


@given(SEEDS)
def test_result_is_inside_every_limit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    measured = allowed_pose(rng)
    previous, wish = nearby(measured, rng, 0.06, 0.4), any_pose(rng)
    pose = limit_target(wish, previous, measured, LIMITS).pose
    assert_in_workspace(pose)
    assert (np.abs(pose[:3] - previous[:3]) <= LIMITS.slew_m + 1e-12).all()
    assert (np.abs(pose[:3] - measured[:3]) <= LIMITS.reach_m + 1e-12).all()
    assert se3.quat_angle(pose[3:], previous[3:]) <= LIMITS.slew_rad + ROOM_RAD
    assert se3.quat_angle(pose[3:], measured[3:]) <= LIMITS.reach_rad + ROOM_RAD


@given(SEEDS)
def test_workspace_holds_whatever_the_arm_and_the_last_target_do(seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert_in_workspace(limit_target(any_pose(rng), any_pose(rng), any_pose(rng), LIMITS).pose)


@given(SEEDS)
def test_filter_is_idempotent(seed: int) -> None:
    rng = np.random.default_rng(seed)
    wish, previous, measured = any_pose(rng), any_pose(rng), any_pose(rng)
    once = limit_target(wish, previous, measured, LIMITS).pose
    np.testing.assert_allclose(limit_target(once, previous, measured, LIMITS).pose, once, rtol=0, atol=1e-12)


@given(SEEDS)
def test_wishes_inside_pass_unchanged_and_only_those(seed: int) -> None:
    rng = np.random.default_rng(seed)
    measured = allowed_pose(rng)
    previous = nearby(measured, rng, 0.03, 0.1)
    inside = nearby(previous, rng, 0.03, 0.1)
    result = limit_target(inside, previous, measured, LIMITS)
    assert result.active == frozenset()
    np.testing.assert_array_equal(result.pose, inside)
    wish = any_pose(rng)
    limited = limit_target(wish, previous, measured, LIMITS)
    assert bool(limited.active) == (not np.array_equal(limited.pose, wish))


def test_limits_are_named() -> None:
    here = np.array([0.45, 0, 0.3, 1, 0, 0, 0])

    def active(delta: list[float], **change: float) -> frozenset[str]:
        free = replace(LIMITS, slew_m=9, slew_rad=9, reach_m=9, reach_rad=9)
        return limit_target(se3.apply_tool_delta(here, delta), here, here, replace(free, **change)).active  # type: ignore[arg-type]

    assert active([0.5, 0, 0, 0, 0, 0]) == {"box"}
    assert active([0, 0, 0, 0, 0.6, 0]) == {"cone"}
    assert active([0, 0, 0, 0, 0, 1.3]) == {"cone"}
    assert active([0.05, 0, 0, 0, 0, 0], slew_m=0.04) == {"slew"}
    assert active([0, 0, 0, 0, 0, 0.5], slew_rad=0.3) == {"slew"}
    assert active([0, 0.1, 0, 0, 0, 0], reach_m=0.05) == {"reach"}
    assert active([0, 0, 0, 0, 0.2, 0], reach_rad=0.1) == {"reach"}


def test_a_target_beyond_a_wall_slides_along_it() -> None:
    here = np.array([0.69, 0, 0.3, 1, 0, 0, 0])
    wish = np.add(here, [0.03, 0.02, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(limit_target(wish, here, here, LIMITS).pose[:3], [0.7, 0.02, 0.3])


def test_a_blocked_arm_does_not_wind_up() -> None:
    measured = np.array([0.45, 0, 0.3, 1, 0, 0, 0])
    target = measured
    for _ in range(50):
        target = limit_target(np.add(target, [0.02, 0, 0, 0, 0, 0, 0]), target, measured, LIMITS).pose
    assert math.isclose(target[0], 0.45 + LIMITS.reach_m)


def test_an_arm_pushed_out_is_called_back_to_the_rim() -> None:
    outside = np.concatenate([[0.9, 0, 0.3], oriented(1.4, 0.3, 0.2)])
    result = limit_target(outside, outside, outside, LIMITS)
    np.testing.assert_allclose(result.pose[:3], [0.7, 0, 0.3])
    tilt, spin = tilt_and_spin(result.pose[3:])
    assert math.isclose(tilt, 0.5, abs_tol=1e-7) and math.isclose(spin, 0.2, abs_tol=1e-7)
    assert result.active >= {"box", "cone"}


@pytest.mark.parametrize(
    ("pose", "message"),
    [
        ([0.4, 0, 0.3, 1, 0, 0, math.nan], "seven finite numbers"),
        ([math.inf, 0, 0.3, 1, 0, 0, 0], "seven finite numbers"),
        ([0.4, 0, 0.3, 1, 0, 0], "seven finite numbers"),
        ([0.4, 0, 0.3, 1, 0.1, 0, 0], "unit quaternion.*length 1.00499"),
        ([0.4, 0, 0.3, 0, 0, 0, 0], "unit quaternion"),
        ("a pose", "seven numbers"),
        ([[1.0], [1.0, 2.0]], "seven numbers"),
    ],
)
def test_what_is_no_pose_is_refused(pose: object, message: str) -> None:
    good = [0.4, 0, 0.3, 1, 0, 0, 0]
    with pytest.raises(DeviceError, match=message):
        check_pose(pose)  # type: ignore[arg-type]
    for place in range(3):
        poses: list[Any] = [good, good, good]
        poses[place] = pose
        with pytest.raises(DeviceError, match=message):
            limit_target(poses[0], poses[1], poses[2], LIMITS)


def test_rounded_quaternions_are_accepted_and_made_exact() -> None:
    rounded = check_pose([0, 0, 0, 0.70711, 0.70711, 0, 0])
    assert math.isclose(np.linalg.norm(rounded[3:]), 1.0, abs_tol=1e-15)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"box_min_m": (1.0, 0, 0)}, "workspace box"),
        ({"quat_nominal_xyzw": (1.0, 1, 0, 0)}, "unit quaternion"),
        ({"slew_m": -0.1}, "slew_m must be 0 or more"),
        ({"reach_rad": math.nan}, "reach_rad"),
    ],
)
def test_impossible_limits_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(LIMITS, **change)  # type: ignore[arg-type]
