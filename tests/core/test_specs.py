"""State rows keep every value under its name; wrong input is refused with the name of what is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from robot_rl.core.errors import DataError, unknown_name
from robot_rl.core.specs import GRIPPER, ActionSpec, Part, StateSpec

NAMES = st.lists(st.text("abcdefgh_", min_size=1, max_size=6), min_size=1, max_size=5, unique=True)


@st.composite
def specs(draw: st.DrawFn) -> StateSpec:
    names = draw(NAMES)
    size, scale = st.integers(1, 4), st.floats(1e-3, 1e3)
    return StateSpec(tuple(Part(n, draw(size), "m", scale=draw(scale), center=draw(st.floats(-5, 5))) for n in names))


@given(specs(), st.data())
def test_pack_and_unpack_are_inverse(spec: StateSpec, data: st.DataObject) -> None:
    finite = st.floats(-1e6, 1e6, width=32)
    values = {p.name: data.draw(hnp.arrays(np.float32, p.size, elements=finite)) for p in spec.parts}
    row = spec.pack(values)
    assert row.dtype == np.float32 and row.shape == (spec.size,)
    for name, value in spec.unpack(row).items():
        np.testing.assert_array_equal(value, values[name])


@given(specs())
def test_plain_data_round_trip_keeps_the_checksum(spec: StateSpec) -> None:
    again = StateSpec.from_list(spec.to_list())
    assert again == spec
    assert again.checksum == spec.checksum


@given(specs())
def test_the_checksum_sees_every_field(spec: StateSpec) -> None:
    first = spec.parts[0]
    for change in ({"scale": first.scale * 2}, {"unit": "rad"}, {"name": first.name + "x"}, {"size": first.size + 1}):
        other = StateSpec((Part(**{**vars(first), **change}), *spec.parts[1:]))
        assert other.checksum != spec.checksum


def test_unpack_works_on_batches() -> None:
    spec = StateSpec((Part("a", 2, "m"), Part("b", 1, "N")))
    assert spec.unpack(np.zeros((5, 7, 3), np.float32))["a"].shape == (5, 7, 2)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"a": [1, 2]}, "do not match the expected"),
        ({"a": [1, 2], "b": [1], "c": [1]}, "do not match the expected"),
        ({"a": [1, 2, 3], "b": [1]}, "'a' has 3 values, expected 2"),
        ({"a": [1, float("nan")], "b": [1]}, "'a' is not finite"),
        ({"a": [1, 2], "b": [float("inf")]}, "'b' is not finite"),
    ],
)
def test_wrong_values_are_refused(values: dict[str, list[float]], message: str) -> None:
    spec = StateSpec((Part("a", 2, "m"), Part("b", 1, "N")))
    with pytest.raises(DataError, match=message):
        spec.pack(values)


def test_metadata_that_is_no_specification_is_refused() -> None:
    with pytest.raises(DataError, match="not a state specification"):
        StateSpec.from_list([{"nome": "a"}])


def test_action_dimensions() -> None:
    spec = ActionSpec(0.01, 0.1, active=(0, 1, 2, 6))
    assert spec.gripper_active and spec.motion == (0, 1, 2)
    assert not ActionSpec(0.01, 0.1, active=(0, 1)).gripper_active
    assert ActionSpec(0.01, 0.1).active[GRIPPER] == GRIPPER


def test_unknown_names_come_with_the_nearest_and_all_known() -> None:
    assert unknown_name("task", "PickCub", ["Reach", "PickCube"]) == (
        "unknown task 'PickCub': did you mean 'PickCube'? Available: PickCube, Reach"
    )
    assert unknown_name("task", "zzz", []) == "unknown task 'zzz': Available: none"
