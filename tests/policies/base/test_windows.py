"""Windows against the plainest definition of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.core.errors import DataError
from robot_rl.policies.base.windows import Demonstration, make_windows


def episode(number: int, steps: int, more: bool = False) -> Demonstration:
    """States ``[episode, step]`` and actions that name the step too."""
    states = np.array([[number, t] for t in range(steps + more)], np.float32)
    actions = np.zeros((steps, 7), np.float32)
    actions[:, 0], actions[:, 1] = number / 100, np.arange(steps) / 100
    images = {"eye": np.stack([np.full((2, 3, 3), 10 * number + t, np.uint8) for t in range(steps)])}
    return Demonstration(states, actions, images)


LENGTHS = st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=1, max_size=5)


@given(LENGTHS, st.integers(1, 4), st.integers(1, 8), st.one_of(st.none(), st.integers(0, 9)))
def test_windows_are_what_a_plain_loop_gives(
    lengths: list[tuple[int, bool]], observations: int, horizon: int, pad: int | None
) -> None:
    demos = [episode(k, steps, more) for k, (steps, more) in enumerate(lengths)]
    seen, planned, valid, last = [], [], [], []
    for k, demo in enumerate(demos):
        for t in range(demo.steps):
            if pad is not None and t + horizon - 1 - pad > demo.steps - 1:
                continue
            seen.append([[k, max(0, t - observations + 1 + i)] for i in range(observations)])
            planned.append([[k, min(t + j, demo.steps - 1)] for j in range(horizon)])
            valid.append([t + j < demo.steps for j in range(horizon)])
            last.append([k, len(demo.states) - 1])
    if not seen:
        with pytest.raises(DataError, match="long enough"):
            make_windows(demos, observations, horizon, pad_after=pad)
        return
    windows = make_windows(demos, observations, horizon, pad_after=pad)
    assert len(windows) == len(seen)
    np.testing.assert_array_equal(windows.states[windows.seen], seen)
    np.testing.assert_allclose(windows.actions[windows.planned][..., :2] * 100, planned, atol=1e-4)
    np.testing.assert_array_equal(windows.valid, valid)
    np.testing.assert_array_equal(windows.states[windows.last], last)


@given(LENGTHS, st.integers(1, 3))
def test_pictures_belong_to_their_states(lengths: list[tuple[int, bool]], observations: int) -> None:
    demos = [episode(k, steps, more) for k, (steps, more) in enumerate(lengths)]
    windows = make_windows(demos, observations, 2, cameras=["eye"])
    seen = windows.states[windows.seen]
    np.testing.assert_array_equal(windows.images["eye"][windows.seen][..., 0, 0, 0], 10 * seen[..., 0] + seen[..., 1])


def test_every_step_begins_a_window() -> None:
    assert len(make_windows([episode(0, 5), episode(1, 1)], 2, 16)) == 6


def test_no_demonstrations() -> None:
    with pytest.raises(DataError, match="no demonstrations"):
        make_windows([], 1, 1)


@pytest.mark.parametrize("name", ["states", "actions"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_refuses_numbers_that_are_not_finite(name: str, value: float) -> None:
    demo = episode(1, 5)
    array = getattr(demo, name).copy()
    array[3, 1] = value
    with pytest.raises(DataError, match=f"demonstration 1 has {name} that are not finite, first at step 3"):
        make_windows([episode(0, 5), replace(demo, **{name: array})], 1, 4)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"actions": np.zeros((5, 6), np.float32)}, "expected \\[T, 7\\]"),
        ({"actions": np.zeros((0, 7), np.float32)}, "with a step"),
        ({"actions": np.full((5, 7), 1.5, np.float32)}, "outside"),
        ({"actions": np.zeros((5, 7))}, "expected float32"),
        ({"states": np.zeros((7, 2), np.float32)}, "one for each of 5 actions"),
        ({"states": np.zeros((5, 3), np.float32)}, "others of 2"),
        ({"images": {}}, "no pictures of camera 'eye'"),
        ({"images": {"eye": np.zeros((5, 4, 4, 3), np.uint8)}}, "expected equal RGB"),
        ({"images": {"eye": np.zeros((3, 2, 3, 3), np.uint8)}}, "3 pictures"),
    ],
)
def test_refuses_what_does_not_fit(changed: dict[str, object], match: str) -> None:
    with pytest.raises(DataError, match=match):
        make_windows([episode(0, 5), replace(episode(1, 5), **changed)], 1, 4, cameras=["eye"])  # type: ignore[arg-type]
