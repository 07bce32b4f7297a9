"""Actions mean the same at every depth of simulation: in process, over ROS 2, and with the production driver."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from tests.hardware.ros.golden import TASKS, Apart, Result, actions, apart, compare, make_task, markdown

HAS_FRANKY = find_spec("franky") is not None

needs_franky = pytest.mark.skipif(not HAS_FRANKY, reason="the production driver needs the extra franka")


def test_the_sequence_stays_within_the_action_range_and_moves_everything_that_is_active() -> None:
    for name in TASKS:
        sequence = actions(make_task(name))
        assert (np.abs(sequence) <= 1.0).all()
        assert sequence[:, list(make_task(name).action_spec.active)].any(axis=0).all()


def test_courses_that_differ_are_apart() -> None:
    here = np.array([0.5, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0])
    there = here.copy()
    there[0] += 0.01
    off = apart([here, here], [there, here])
    assert off == Apart(pytest.approx(0.01), 0.0, 0.0)


@pytest.mark.parametrize("task", TASKS)
def test_in_process_the_comparison_finds_no_difference(task: str) -> None:
    result = compare(task, "L0")
    check(result, Apart(0.0, 0.0, 1e-9))
    assert result.stepping.most_m == 0.0
    assert task in markdown([result])


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("depth", "tolerance"),
    [
        ("L1", Apart(0.003, 0.003, 0.03)),
        # Another control law, and a robot that is slower than time where it is emulated on two cores.
        pytest.param("L2", Apart(0.015, 0.008, 0.05), marks=needs_franky),
    ],
)
def test_actions_mean_the_same_at_every_depth(task: str, depth: str, tolerance: Apart) -> None:
    check(compare(task, depth), tolerance)


def check(result: Result, tolerance: Apart) -> None:
    """Actions and targets are equal, and an arm that is sent to equal targets goes equal ways."""
    assert result.executed_equal == result.steps
    assert result.meaning <= 1e-9
    assert result.bits == result.steps
    assert result.replaying.most_m <= tolerance.most_m
    assert result.replaying.end_m <= tolerance.end_m
    assert result.replaying.most_rad <= tolerance.most_rad
