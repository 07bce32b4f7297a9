"""SE(3) helpers: round trips, agreement with scipy, and what a tool-frame delta means."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from robot_rl.controllers import se3
from robot_rl.core.errors import DataError
from robot_rl.core.types import Array

SEEDS = st.integers(0, 2**32 - 1)


def pose(rng: np.random.Generator) -> Array:
    return np.concatenate([rng.uniform(-2, 2, 3), se3.random_quat(rng)])


def same_rotation(a: Array, b: Array) -> bool:
    return se3.quat_angle(a, b) < 1e-7


@given(SEEDS)
def test_agrees_with_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b, v = se3.random_quat(rng), se3.random_quat(rng), rng.normal(size=3)
    ra, rb = Rotation.from_quat(a), Rotation.from_quat(b)
    np.testing.assert_allclose(se3.quat_to_matrix(se3.quat_multiply(a, b)), (ra * rb).as_matrix(), atol=1e-12)
    np.testing.assert_allclose(se3.quat_rotate(a, v), ra.apply(v), atol=1e-12)
    np.testing.assert_allclose(se3.quat_to_matrix(se3.quat_inverse(a)), ra.inv().as_matrix(), atol=1e-12)
    np.testing.assert_allclose(se3.quat_to_rotvec(a), ra.as_rotvec(), atol=1e-9)
    assert math.isclose(se3.quat_angle(a, b), (ra.inv() * rb).magnitude(), abs_tol=1e-9)


@given(
    st.floats(0, math.pi - 1e-6),
    SEEDS,
)
def test_rotation_vector_survives_a_round_trip(angle: float, seed: int) -> None:
    axis = np.random.default_rng(seed).normal(size=3)
    rotvec = angle * axis / np.linalg.norm(axis)
    np.testing.assert_allclose(se3.quat_to_rotvec(se3.rotvec_to_quat(rotvec)), rotvec, atol=1e-9)


@pytest.mark.parametrize("angle", [0.0, 1e-300, 1e-12, 1e-9, 1e-4, math.pi])
def test_rotation_vector_keeps_its_digits_at_both_ends(angle: float) -> None:
    quat = se3.rotvec_to_quat([angle, 0, 0])
    assert math.isclose(np.linalg.norm(quat), 1.0, abs_tol=1e-15)
    np.testing.assert_allclose(se3.quat_to_rotvec(quat), [angle, 0, 0], rtol=1e-12)
    np.testing.assert_allclose(se3.quat_to_rotvec(-quat), [angle, 0, 0], rtol=1e-12, atol=1e-12 if angle > 3 else 0)


@given(SEEDS, st.floats(0, 1))
def test_slerp_goes_the_short_way_at_constant_speed(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    start, end = se3.random_quat(rng), se3.random_quat(rng)
    middle = se3.slerp(start, end, share)
    whole = se3.quat_angle(start, end)
    assert math.isclose(se3.quat_angle(start, middle), share * whole, abs_tol=1e-9)
    assert math.isclose(se3.quat_angle(middle, end), (1 - share) * whole, abs_tol=1e-9)
    assert same_rotation(middle, se3.slerp(start, -end, share)), "the sign of a quaternion has no meaning"


@given(SEEDS)
def test_a_pose_and_its_inverse_cancel(seed: int) -> None:
    p = pose(np.random.default_rng(seed))
    for product in (se3.pose_compose(p, se3.pose_inverse(p)), se3.pose_compose(se3.pose_inverse(p), p)):
        np.testing.assert_allclose(product, [0, 0, 0, 0, 0, 0, 1], atol=1e-12)


@given(SEEDS)
def test_composition_is_that_of_homogeneous_matrices(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def matrix(p: Array) -> Array:
        out = np.eye(4)
        out[:3, :3], out[:3, 3] = Rotation.from_quat(p[3:]).as_matrix(), p[:3]
        return out

    a, b = pose(rng), pose(rng)
    np.testing.assert_allclose(matrix(se3.pose_compose(a, b)), matrix(a) @ matrix(b), atol=1e-12)


@given(SEEDS)
def test_tool_delta_is_the_inverse_of_applying_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    start, end = pose(rng), pose(rng)
    arrived = se3.apply_tool_delta(start, se3.tool_delta(start, end))
    np.testing.assert_allclose(arrived[:3], end[:3], atol=1e-12)
    assert same_rotation(arrived[3:], end[3:])
    delta = np.concatenate([rng.normal(size=3), rng.uniform(-1, 1, 3)])
    np.testing.assert_allclose(se3.tool_delta(start, se3.apply_tool_delta(start, delta)), delta, atol=1e-9)


@given(SEEDS)
def test_tool_delta_has_no_lever_arm(seed: int) -> None:
    rng = np.random.default_rng(seed)
    start = pose(rng)
    moved = se3.apply_tool_delta(start, [*rng.normal(size=3), 0, 0, 0])
    turned = se3.apply_tool_delta(start, [0, 0, 0, *rng.normal(size=3)])
    assert same_rotation(moved[3:], start[3:])
    np.testing.assert_array_equal(turned[:3], start[:3])


def test_tool_delta_is_expressed_in_the_tool_frame() -> None:
    pointing_down = np.array([0.5, 0, 0.3, 1.0, 0, 0, 0])
    out = se3.apply_tool_delta(pointing_down, [0, 0, 0.1, 0, 0, math.pi / 2])
    np.testing.assert_allclose(out[:3], [0.5, 0, 0.2], atol=1e-15)
    np.testing.assert_allclose(se3.quat_rotate(out[3:], [1, 0, 0]), [0, -1, 0], atol=1e-12)


def test_inputs_stay_as_they_were() -> None:
    a, b = np.array([0.1, 0.2, 0.3, 0, 0, 0, 1.0]), np.array([0, 0, 0, 0, 0, 0.1])
    a.flags.writeable = b.flags.writeable = False
    before = a.copy()
    se3.apply_tool_delta(a, b)
    np.testing.assert_array_equal(a, before)


def test_wrong_sizes_and_directionless_quaternions_are_refused() -> None:
    with pytest.raises(DataError, match=r"a quaternion has 4 values, got an array of shape \[3\]"):
        se3.quat_multiply([0, 0, 1], [0, 0, 0, 1])
    with pytest.raises(DataError, match="a pose has 7 values"):
        se3.pose_inverse(np.zeros(6))
    for quat in ([0, 0, 0, 0], [math.nan, 0, 0, 1], [math.inf, 0, 0, 1]):
        with pytest.raises(DataError, match="no direction"):
            se3.normalize_pose([0, 0, 0, *quat])
    np.testing.assert_allclose(se3.normalize_pose([1, 2, 3, 0, 0, 3, 4]), [1, 2, 3, 0, 0, 0.6, 0.8])
