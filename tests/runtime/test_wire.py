"""Messages survive the wire bit for bit; anything else is refused with a reason and never crashes the reader."""

from __future__ import annotations

from contextlib import suppress

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from robot_rl.core.errors import DataError
from robot_rl.data.codec import pack_record
from robot_rl.runtime.wire import SCHEMA, Ack, Hello, Parameters, Records, decode, encode, join, split
from tests.runtime.fakes import record

names = st.text(st.characters(codec="utf-8"), max_size=20)
places = st.none() | st.tuples(st.integers(0, 2**40), st.integers(0, 2**40))
counts = st.integers(0, 2**50)
arrays = st.sampled_from([np.float32, np.int32, np.uint32, np.uint8]).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
)
messages = st.one_of(
    st.builds(Hello, names, names, places),
    st.builds(Ack, places, st.booleans(), counts, counts, st.booleans()),
    st.builds(Records, names, names, places, st.lists(st.binary(max_size=50), min_size=1, max_size=5).map(tuple)),
)
parameters = st.builds(Parameters, names, counts, st.floats(0, 1e12), st.dictionaries(names, arrays, max_size=5))


@given(messages)
def test_messages_come_back_as_they_were(message: Hello | Ack | Records) -> None:
    assert decode(encode(message)) == message


@given(parameters)
def test_parameters_come_back_bit_for_bit_in_one_frame(message: Parameters) -> None:
    back = decode(split(join(encode(message))))
    assert isinstance(back, Parameters)
    assert (back.run_id, back.version, back.t_wall_s) == (message.run_id, message.version, message.t_wall_s)
    assert list(back.arrays) == list(message.arrays)
    for name, value in message.arrays.items():
        got = back.arrays[name]
        assert (got.dtype, got.shape, got.tobytes()) == (value.dtype, value.shape, value.tobytes())


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_noise_is_refused(frames: list[bytes]) -> None:
    with pytest.raises(DataError):
        decode(frames)


@given(messages | parameters, st.data())
def test_a_damaged_message_is_refused_or_still_well_formed(message: Hello, data: st.DataObject) -> None:
    frames = encode(message)
    which = data.draw(st.integers(0, len(frames) - 1))
    frame = bytearray(frames[which])
    cut = data.draw(st.integers(0, len(frame)))
    flipped = bytes(frame[:cut]) + data.draw(st.binary(max_size=3)) + bytes(frame[cut + 1 :])
    with suppress(DataError):
        decode([*frames[:which], flipped, *frames[which + 1 :]])


@given(st.binary(max_size=40))
def test_a_damaged_single_frame_is_refused(data: bytes) -> None:
    with pytest.raises(DataError):
        decode(split(data))


def header(**fields: object) -> bytes:
    return msgpack.packb({"schema": SCHEMA, "kind": "hello", "run_id": "r", "actor": "a", "last": None, **fields})


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([], "0 frames"),
        ([header(schema=SCHEMA + 1)], "schema version 2, expected 1"),
        ([header(kind="helo")], "did you mean 'hello'"),
        ([header(extra=1)], "unknown fields"),
        ([header(last=[1])], r"expected \[episode, step\]"),
        ([header(last=[1, -1])], r"expected \[episode, step\]"),
        ([header(actor=5)], "actor is a int"),
        ([header(), b"x"], "1 payload frames"),
        ([header(run_id="x" * 300)], "not msgpack"),
        ([b"\xff" * 2**19], "at most"),
        ([header(kind="records", previous=None)], "without records"),
        ([msgpack.packb([1, 2])], "is a list"),
    ],
)
def test_each_fault_is_named(frames: list[bytes], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        decode(frames)


def test_array_sizes_are_checked_before_anything_is_allocated() -> None:
    layout = [["w", "<f4", [2**31 - 1, 2**31 - 1]]]
    head = msgpack.packb(
        {"schema": SCHEMA, "kind": "parameters", "run_id": "r", "version": 1, "t_wall_s": 0.0, "layout": layout}
    )
    with pytest.raises(DataError, match="too short"):
        decode([head, b"1234"])


def test_objects_cannot_travel() -> None:
    with pytest.raises(DataError, match="dtype"):
        decode(encode(Parameters("r", 1, 0.0, {"x": np.array([object()], object).astype("S3")})))


def test_records_are_validated_when_unpacked() -> None:
    good = pack_record(record(0, 0))
    assert Records("r", "a", None, (good,)).unpack()[0].step_index == 0
    with pytest.raises(DataError):
        Records("r", "a", None, (good[:-1],)).unpack()
