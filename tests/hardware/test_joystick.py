"""Axes and buttons on a topic mean what the operator meant."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from robot_rl.core.marks import ABORT, MARKS, SUCCESS
from robot_rl.core.types import TeleopState
from robot_rl.hardware.joystick import BUTTONS, CLOSE, ENGAGED, OPEN, joy_of, teleop_of

readings = st.builds(
    TeleopState,
    engaged=st.just(True),
    twist_tcp=arrays(np.float64, 6, elements=st.floats(-1.0, 1.0)),
    gripper=st.sampled_from([-1.0, 0.0, 1.0]),
    buttons=st.frozensets(st.sampled_from(MARKS)),
    age_s=st.floats(0.0, 10.0),
)


@given(readings)
def test_round_trip(state: TeleopState) -> None:
    back = teleop_of(*joy_of(state), state.age_s)
    np.testing.assert_array_equal(back.twist_tcp, state.twist_tcp)
    assert (back.engaged, back.gripper, back.buttons, back.age_s) == (True, state.gripper, state.buttons, state.age_s)


def test_who_is_not_engaged_moves_nothing() -> None:
    axes, buttons = joy_of(TeleopState(engaged=False, twist_tcp=np.ones(6), buttons=frozenset({SUCCESS})))
    assert axes == [0.0] * 6
    assert buttons == [int(name == SUCCESS) for name in BUTTONS]
    assert not teleop_of(axes, buttons, 0.0).engaged


def test_forward_left_up_of_a_tool_that_points_down() -> None:
    np.testing.assert_array_equal(teleop_of([1.0, 1.0, 1.0], [], 0.0).twist_tcp, [1, -1, -1, 0, 0, 0])


@given(st.lists(st.floats(width=32), max_size=9), st.lists(st.integers(-1, 2), max_size=12))
def test_any_joystick_gives_a_bounded_reading(axes: list[float], buttons: list[int]) -> None:
    state = teleop_of(axes, buttons, -1.0)
    assert (np.abs(state.twist_tcp) <= 1.0).all()
    assert state.age_s == 0.0
    assert state.engaged == bool(state.twist_tcp.any() or any(b for b in buttons[:2]) or any(buttons[4:5]))


def test_every_mark_has_a_button_and_the_first_five_have_their_places() -> None:
    assert set(MARKS) < set(BUTTONS)
    assert BUTTONS[:5] == (CLOSE, OPEN, SUCCESS, ABORT, ENGAGED)
    for i, name in enumerate(BUTTONS):
        marked = teleop_of([], [0] * i + [1], 0.0).buttons
        assert marked == ({name} & set(MARKS))


def test_buttons_of_the_gripper() -> None:
    pressed = {name: [int(name == b) for b in BUTTONS] for name in BUTTONS}
    assert teleop_of([], pressed[CLOSE], 0.0).gripper == -1.0
    assert teleop_of([], pressed[OPEN], 0.0).gripper == 1.0
    assert teleop_of([], [1, 1], 0.0).gripper == 0.0
    assert teleop_of([], pressed[ENGAGED], 0.0).engaged
