"""The way of a tool to the start of an episode."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.controllers.se3 import quat_angle, rotvec_to_quat
from robot_rl.core.types import Array
from robot_rl.hardware.ros.client.travel import RATE_HZ, TURN_RAD_S, near, route, timed

CEILING_M = 0.5


@st.composite
def poses(draw: st.DrawFn) -> Array:
    position = [draw(st.floats(0.3, 0.7)), draw(st.floats(-0.3, 0.3)), draw(st.floats(0.02, 0.6))]
    turn = [draw(st.floats(-0.5, 0.5)) for _ in range(3)]
    return np.concatenate([position, rotvec_to_quat(np.array([math.pi, 0.0, 0.0]) + turn)])


@given(poses(), poses(), st.floats(0.0, 0.3))
def test_ends_at_the_start_and_moves_sideways_only_high_up(here: Array, start: Array, clearance_m: float) -> None:
    corners = route(here, start, clearance_m, CEILING_M)
    np.testing.assert_array_equal(corners[-1], start)
    last = here
    for corner in corners:
        if np.linalg.norm(corner[:2] - last[:2]) > 1e-3:
            low = min(corner[2], last[2])
            assert low >= max(min(max(here[2] + clearance_m, start[2]), CEILING_M), start[2]) - 1e-3
        last = corner


@given(poses(), poses(), st.floats(0.0, 0.3))
def test_stays_below_the_ceiling_unless_an_end_is_above_it(here: Array, start: Array, clearance_m: float) -> None:
    highest = max(corner[2] for corner in route(here, start, clearance_m, CEILING_M))
    assert highest <= max(CEILING_M, here[2], start[2])


@given(poses())
def test_a_way_of_no_length_has_one_corner(here: Array) -> None:
    assert len(route(here, here, 0.0, CEILING_M)) == 1


@given(poses(), poses(), st.floats(0.02, 0.5))
def test_targets_keep_speed_and_turn_within_their_limits(a: Array, b: Array, speed_m_s: float) -> None:
    way = [a, *timed(a, b, speed_m_s)]
    np.testing.assert_array_equal(way[-1], b)
    for last, pose in pairwise(way):
        assert np.linalg.norm(pose[:3] - last[:3]) <= speed_m_s / RATE_HZ + 1e-9
        assert quat_angle(last[3:], pose[3:]) <= TURN_RAD_S / RATE_HZ + 1e-6
        assert abs(np.linalg.norm(pose[3:]) - 1.0) < 1e-9


def test_no_motion_is_one_target() -> None:
    here = np.array([0.5, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0])
    assert [near(pose, here, 0.0, 1e-9) for pose in timed(here, here, 0.1)] == [True]
