"""What operator and actor tell each other survives the way, and anything else is refused."""

from __future__ import annotations

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from robot_rl.core.errors import DataError
from robot_rl.core.marks import MARKS
from robot_rl.core.types import TeleopState
from robot_rl.runtime.attend.messages import (
    ActorStatus,
    Heard,
    pack_leave,
    pack_state,
    pack_status,
    pack_watch,
    read_heard,
    read_status,
)
from robot_rl.runtime.transport.health import LearnerHealth

states = st.builds(
    TeleopState,
    engaged=st.booleans(),
    twist_tcp=arrays(np.float64, 6, elements=st.floats(-1.0, 1.0)),
    gripper=st.floats(-1.0, 1.0),
    buttons=st.frozensets(st.sampled_from(MARKS)),
    age_s=st.floats(0.0, 100.0),
)
statuses = st.builds(
    ActorStatus,
    operator=st.sampled_from(["", "kim", "a.b-c_d"]),
    engaged=st.booleans(),
    paused=st.booleans(),
    episode=st.integers(0, 10**9),
    env_steps=st.integers(0, 10**12),
    last_end=st.sampled_from(["", "success", "force_limit"]),
    progress=st.sampled_from(["", "3 of 20 recorded"]),
    prompt=st.sampled_from(["", "Put the cube into the square."]),
    lost=st.booleans(),
    task=st.sampled_from(["", "PegInsert"]),
    task_options=st.dictionaries(
        st.sampled_from(["clearance_mm", "a", "b"]), st.booleans() | st.integers(0, 9) | st.floats(0, 1) | st.just("x")
    ),
    advice=st.sampled_from(["", "Hand back."]),
    human_s=st.floats(0.0, 1e6),
    budget_s=st.none() | st.floats(0.0, 1e6),
    share=st.floats(0.0, 1.0),
    policy_age_s=st.floats(0.0, 1e6),
    late_p99_ms=st.none() | st.floats(0.0, 1e6),
    missed=st.integers(0, 10**9),
    health=st.none()
    | st.builds(
        LearnerHealth,
        st.integers(0, 10**9),
        *(st.floats(0.0, 1e6) for _ in range(3)),
        st.none() | st.floats(-1e3, 1e3),
    ),
    lag_s=st.floats(0.0, 1e3),
)


@given(states)
def test_a_state_survives(state: TeleopState) -> None:
    heard = read_heard(pack_state("kim", state))
    assert heard.name == "kim" and heard.state is not None
    np.testing.assert_array_equal(heard.state.twist_tcp, state.twist_tcp)
    fields = ("engaged", "gripper", "buttons", "age_s")
    assert [getattr(heard.state, f) for f in fields] == [getattr(state, f) for f in fields]


def test_who_was_never_heard_is_very_old() -> None:
    state = read_heard(pack_state("kim", TeleopState(age_s=float("inf")))).state
    assert state is not None and state.age_s >= 1e9


def test_leaving_survives() -> None:
    heard = read_heard(pack_leave("kim"))
    assert (heard.name, heard.state) == ("kim", None)


@pytest.mark.parametrize("pictures", [True, False])
def test_watching_survives(pictures: bool) -> None:
    assert read_heard(pack_watch("kim", pictures=pictures)) == Heard("kim", None, True, pictures)


@given(statuses)
def test_a_status_survives(status: ActorStatus) -> None:
    assert read_status(pack_status(status)) == status


@given(st.binary(max_size=200))
def test_bytes_of_a_stranger_are_refused(data: bytes) -> None:
    for read in (read_heard, read_status):
        with pytest.raises(DataError):
            read(data)


@pytest.mark.parametrize(
    "wrong",
    [
        {"schema": 1}, {"kind": "stop"}, {"name": "../x"}, {"twist": [0.0] * 5}, {"twist": [float("nan")] + [0.0] * 5},
        {"twist": [2.0] + [0.0] * 5}, {"gripper": 7.0}, {"gripper": 0}, {"buttons": ["x" * 65]}, {"buttons": [1]},
        {"buttons": ["x"] * 33}, {"age_s": -1.0}, {"engaged": 1}, {"more": 1},
    ],
)  # fmt: skip
def test_wrong_fields_are_refused(wrong: dict[str, object]) -> None:
    fields = msgpack.unpackb(pack_state("kim", TeleopState()))
    with pytest.raises(DataError):
        read_heard(msgpack.packb({**fields, **wrong}))
