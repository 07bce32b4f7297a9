"""Gripper labels and toggles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.data.gripper import CLOSE, KEEP, OPEN, grasp_penalty, gripper_label, toggles


def action(value: float) -> np.ndarray:
    return np.array([0.9, -0.9, 0.9, -0.9, 0.9, -0.9, value], np.float32)


@pytest.mark.parametrize(
    ("value", "label"), [(-1, CLOSE), (-0.51, CLOSE), (-0.5, KEEP), (0, KEEP), (0.5, KEEP), (0.51, OPEN), (1, OPEN)]
)
def test_labels_have_their_thresholds_at_half(value: float, label: int) -> None:
    assert gripper_label(action(value)) == label
    assert (gripper_label(np.tile(action(value), (2, 3, 1))) == np.full((2, 3), label)).all()


@given(st.lists(st.tuples(st.floats(-1, 1), st.booleans()), min_size=1, max_size=30))
def test_only_real_toggles_are_charged(steps: list[tuple[float, bool]]) -> None:
    actions = np.array([action(v) for v, _ in steps])
    closed = np.array([c for _, c in steps])
    values = actions[:, -1]
    expected = np.where(closed, values > 0.5, values < -0.5)
    assert (toggles(actions, closed) == expected).all()
    assert grasp_penalty(actions, closed, -0.05) == pytest.approx(np.where(expected, -0.05, 0.0))


def test_repeating_a_command_costs_once() -> None:
    closed, charged = False, []
    for value in (-1.0, -1.0, 0.0, 1.0, 1.0, -1.0):
        charged.append(bool(toggles(action(value), closed)))
        closed = {CLOSE: True, OPEN: False}.get(int(gripper_label(action(value))), closed)
    assert charged == [True, False, False, True, False, True]
