from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.core.errors import DeviceError
from robot_rl.hardware.franka.joint_motion import MAX_SHARE, check_joints, limit_share, rest_to_rest_s

VELOCITY = np.array([2.175, 2.175, 2.175, 2.175, 2.61, 2.61, 2.61])
ACCELERATION = np.array([15.0, 7.5, 10.0, 12.5, 15.0, 20.0, 20.0])
JERK = np.array([7500.0, 3750.0, 5000.0, 6250.0, 7500.0, 10000.0, 10000.0])
WAYS = st.lists(st.floats(-2.5, 2.5), min_size=7, max_size=7).filter(lambda way: max(map(abs, way)) > 1e-3)
positive = st.floats(1e-3, 1e3)


def simulated_s(way: float, velocity: float, acceleration: float, jerk: float) -> float:
    """The same time by bisection on the peak velocity, which has fewer cases."""

    def ramp_s(peak: float) -> float:
        return max(2.0 * math.sqrt(peak / jerk), peak / acceleration + acceleration / jerk if reaches(peak) else 0.0)

    def reaches(peak: float) -> bool:
        return peak * jerk >= acceleration**2

    low, high = 0.0, velocity
    if ramp_s(velocity) * velocity <= way:
        return ramp_s(velocity) + way / velocity
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if ramp_s(middle) * middle < way else (low, middle)
    return 2.0 * ramp_s(0.5 * (low + high))


@given(positive, positive, positive, positive)
def test_rest_to_rest_time(way: float, velocity: float, acceleration: float, jerk: float) -> None:
    expected = simulated_s(way, velocity, acceleration, jerk)
    assert rest_to_rest_s(way, velocity, acceleration, jerk) == pytest.approx(expected, rel=1e-6)


def test_no_way_takes_no_time() -> None:
    assert rest_to_rest_s(0.0, 1.0, 1.0, 1.0) == 0.0


@given(WAYS, st.floats(0.1, 60.0))
def test_a_motion_takes_its_time_or_what_the_limits_ask_for(way: list[float], duration_s: float) -> None:
    share = limit_share(np.array(way), duration_s, VELOCITY, ACCELERATION, JERK)
    assert 0.0 < share <= MAX_SHARE
    limits = zip(np.abs(way), share * VELOCITY, share * ACCELERATION, share * JERK, strict=True)
    taken_s = max(rest_to_rest_s(*map(float, joint)) for joint in limits)
    assert taken_s >= duration_s * (1.0 - 1e-9)
    if share < MAX_SHARE:
        assert taken_s == pytest.approx(duration_s, rel=1e-6)


@pytest.mark.parametrize("duration_s", [0.0, -1.0, math.nan, math.inf])
def test_a_duration_is_a_positive_time(duration_s: float) -> None:
    with pytest.raises(DeviceError, match="positive duration"):
        limit_share(np.ones(7), duration_s, VELOCITY, ACCELERATION, JERK)


@pytest.mark.parametrize("q_rad", [[0.0] * 6, [math.nan] * 7, [[0.0] * 7]])
def test_a_configuration_is_seven_numbers(q_rad: list[object]) -> None:
    with pytest.raises(DeviceError, match="seven finite angles"):
        check_joints(q_rad)  # type: ignore[arg-type]
