"""A view survives the way to whoever watches; anything else is refused."""

from __future__ import annotations

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from robot_rl.core.errors import DataError
from robot_rl.core.types import ArmState, CellReadings, GripperState
from robot_rl.runtime.attend.view import View, pack_view, read_view, view_of
from tests.runtime.fakes import record

finite = st.floats(-1e3, 1e3)


def vectors(size: int) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.float64, size, elements=finite)


names = st.sampled_from(["wrist", "cube", "success", "a"])
views = st.builds(
    View,
    episode_id=st.sampled_from(["", "r-a0-000003"]),
    step_index=st.integers(0, 10**6),
    q_rad=vectors(7),
    pose_base_tcp=vectors(7),
    pose_base_target=vectors(7),
    wrench_tcp=vectors(6),
    gripper_width_m=finite,
    action=vectors(7),
    objects=st.dictionaries(names, vectors(7)),
    rewards=st.dictionaries(names, finite),
    intervention=st.booleans(),
    policy_version=st.integers(-1, 10**6),
    images=st.dictionaries(names, arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))),
)


@given(views, st.booleans())
def test_a_view_survives(view: View, pictures: bool) -> None:
    seen = read_view(pack_view(view, pictures=pictures))
    wanted = view.images if pictures else {}
    assert seen.images.keys() == wanted.keys()
    assert all(np.array_equal(seen.images[name], wanted[name]) for name in wanted)
    assert all(np.array_equal(seen.objects[name], pose) for name, pose in view.objects.items())
    for name in ("q_rad", "pose_base_tcp", "pose_base_target", "wrench_tcp", "action"):
        np.testing.assert_array_equal(getattr(seen, name), getattr(view, name))
    for name in ("episode_id", "step_index", "gripper_width_m", "rewards", "intervention", "policy_version"):
        assert getattr(seen, name) == getattr(view, name)


@given(st.lists(st.binary(max_size=100), max_size=3))
def test_bytes_of_a_stranger_are_refused(frames: list[bytes]) -> None:
    with pytest.raises(DataError):
        read_view(frames)


PLAIN = View("e-1", 3, *(np.zeros(7),) * 3, np.zeros(6), 0.04, np.zeros(7), images={"w": np.zeros((2, 2, 3), np.uint8)})


@pytest.mark.parametrize(
    "wrong",
    [
        {"schema": 1}, {"kind": "operator_state"}, {"q_rad": [0.0] * 6}, {"q_rad": [float("nan")] * 7},
        {"objects": {"cube": [0.0]}}, {"rewards": {"success": "1"}}, {"layout": []},
        {"layout": [["w", "|u1", [3, 2, 3]]]}, {"layout": [["w", "|u1", [2, 6, 1]]]}, {"step_index": -1}, {"more": 1},
    ],
)  # fmt: skip
def test_wrong_fields_are_refused(wrong: dict[str, object]) -> None:
    header, *rest = pack_view(PLAIN, pictures=True)
    with pytest.raises(DataError):
        read_view([msgpack.packb({**msgpack.unpackb(header), **wrong}), *rest])


def test_a_view_shows_the_newest_step_and_the_readings_after_it() -> None:
    arm = ArmState(np.arange(7.0), np.zeros(7), np.ones(7), np.zeros(6), np.full(6, 2.0), 0.1)
    now = CellReadings(arm, GripperState(0.03, 0.0, 0.08, 0.1), {"cube": np.full(7, 3.0)}, np.full(7, 4.0))
    step = record(1, 5)
    view = view_of(now, step, None)
    assert (view.episode_id, view.step_index, view.policy_version) == (step.episode_id, 6, step.policy_version)
    np.testing.assert_array_equal(view.pose_base_target, np.full(7, 4.0))
    np.testing.assert_array_equal(view.objects["cube"], np.full(7, 3.0))
    assert view_of(now, None, None).step_index == 0
