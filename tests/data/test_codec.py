"""Records survive as bytes to the bit; anything else is refused whole."""

import contextlib

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from robot_rl.core.errors import DataError
from robot_rl.core.transition import Observation, Source, StepRecord
from robot_rl.data.codec import pack_record, unpack_record
from tests.data.episodes import episode, same

FINITE = st.floats(allow_nan=False, allow_infinity=False)
ACTION = hnp.arrays(np.float32, 7, elements=st.floats(-1, 1, width=32))
STATE = hnp.arrays(np.float32, st.integers(0, 9), elements=st.floats(allow_nan=False, allow_infinity=False, width=32))
IMAGES = st.dictionaries(
    st.text(max_size=5), hnp.arrays(np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 3), st.just(3))), max_size=2
)
OBSERVATION = st.builds(Observation, STATE, IMAGES)


@st.composite
def records(draw: st.DrawFn) -> StepRecord:
    terminated, truncated = draw(st.booleans()), draw(st.booleans())
    return StepRecord(
        episode_id=draw(st.text(max_size=8)),
        step_index=draw(st.integers(0, 2**31)),
        obs=draw(OBSERVATION),
        action_executed=draw(ACTION),
        action_policy=draw(ACTION),
        rewards=draw(st.dictionaries(st.text(max_size=8), FINITE, max_size=3)),
        terminated=terminated,
        truncated=truncated,
        stop_reason=draw(st.text(max_size=8)),
        intervention=draw(st.booleans()),
        source=draw(st.sampled_from(Source)),
        policy_version=draw(st.integers(-1, 2**31)),
        task=draw(st.text(max_size=8)),
        t_wall_s=draw(FINITE),
        t_control_s=draw(FINITE),
        latency_ms=draw(FINITE),
        reward_version=draw(st.integers(0, 9)),
        final_obs=draw(OBSERVATION) if terminated or truncated else None,
        action_base=draw(st.none() | ACTION),
    )


@settings(max_examples=60, deadline=None)
@given(records())
def test_round_trip_is_bit_identical(record: StepRecord) -> None:
    again = unpack_record(pack_record(record))
    assert same(record, again)
    assert type(again.source) is Source


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60))
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(DataError):
        unpack_record(data)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_message_with_a_flipped_byte_is_refused_or_still_a_valid_record(data: st.DataObject) -> None:
    good = bytearray(pack_record(episode(0, 1)[0]))
    good[data.draw(st.integers(0, len(good) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(DataError):
        unpack_record(bytes(good)).validate()


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("version", 2, "version 2"),
        ("step_index", 1.0, "step_index"),
        ("terminated", 1, "terminated"),
        ("source", "ghost", "ghost"),
        ("action_executed", {"dtype": "<f8", "shape": [7], "data": b"\0" * 56}, "<f8"),
        ("action_executed", {"dtype": "<f4", "shape": [8], "data": b"\0" * 28}, "28 bytes"),
        ("action_executed", {"dtype": "<f4", "shape": [-7], "data": b"\0" * 28}, "shape"),
        ("action_executed", {"dtype": "<f4", "shape": [3], "data": b"\0" * 12}, "action_executed"),
        ("obs", [], "observation"),
        ("rewards", {"success": "yes"}, "success"),
    ],
)
def test_a_wrong_field_is_named(field: str, value: object, says: str) -> None:
    message = msgpack.unpackb(pack_record(episode(0, 2)[0]))
    message[field] = value
    with pytest.raises(DataError, match=says):
        unpack_record(msgpack.packb(message))


def test_missing_and_unknown_fields_are_named() -> None:
    message = msgpack.unpackb(pack_record(episode(0, 2)[0]))
    del message["task"]
    message["colour"] = "red"
    with pytest.raises(DataError, match=r"\['colour', 'task'\]"):
        unpack_record(msgpack.packb(message))


def test_nan_is_not_a_state() -> None:
    message = msgpack.unpackb(pack_record(episode(0, 2)[0]))
    message["obs"]["state"]["data"] = np.full(3, np.nan, np.float32).tobytes()
    with pytest.raises(DataError, match="finite"):
        unpack_record(msgpack.packb(message))


def test_every_field_is_in_the_message() -> None:
    assert set(msgpack.unpackb(pack_record(episode(0, 1)[0]))) == set(vars(episode(0, 1)[0])) | {"version"}
