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
from robot_rl.core.lateness import BINS, LatenessHistogram
from robot_rl.data.codec import pack_record
from robot_rl.runtime.episode_files import episode_number
from robot_rl.runtime.transport.health import LearnerHealth
from robot_rl.runtime.transport.wire import (
    MAX_CONFIG_BYTES,
    SCHEMA,
    Ack,
    Hello,
    Message,
    Parameters,
    Records,
    Refuse,
    SchemaMismatch,
    Welcome,
    decode,
    encode,
    join,
    split,
)
from tests.runtime.fakes import record

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", fullmatch=True)
texts = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), max_size=200)
places = st.none() | st.tuples(st.integers(0, 2**53), st.integers(0, 2**53))
counts = st.integers(0, 2**53)
seconds = st.floats(0, 1e12)
lateness = st.builds(LatenessHistogram, st.tuples(*[counts] * BINS), counts, seconds)
arrays = st.sampled_from([np.float32, np.int32, np.uint32, np.uint8]).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
)
packed = st.lists(st.binary(max_size=50), min_size=1, max_size=5).map(tuple)
healths = st.builds(LearnerHealth, counts, *(st.floats(-1e9, 1e9) for _ in range(3)), st.none() | st.floats(-1e9, 1e9))
messages = st.one_of(
    st.builds(Hello, names | st.just(""), names, names, texts, places, names | st.just(""), seconds, lateness, counts),
    st.builds(Welcome, names, names, st.text(st.characters(codec="utf-8"), max_size=300), places, counts, counts),
    st.builds(Refuse, texts),
    st.builds(Records, names, names, names, places, packed),
    st.builds(Ack, names, places, st.booleans(), counts, counts, st.booleans(), healths),
)
parameters = st.builds(Parameters, names, counts, seconds, st.dictionaries(st.text(max_size=20), arrays, max_size=5))


@given(messages)
def test_messages_come_back_as_they_were(message: Message) -> None:
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
def test_a_damaged_message_is_refused_or_still_well_formed(message: Message, data: st.DataObject) -> None:
    frames = encode(message)
    which = data.draw(st.integers(0, len(frames) - 1))
    frame = bytearray(frames[which])
    cut = data.draw(st.integers(0, len(frame)))
    flipped = bytes(frame[:cut]) + data.draw(st.binary(max_size=3)) + bytes(frame[cut + 1 :])
    with suppress(DataError):
        decode([*frames[:which], flipped, *frames[which + 1 :]])


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(messages | parameters, st.data())
def test_a_field_of_any_other_value_is_refused_or_still_well_formed(message: Message, data: st.DataObject) -> None:
    head, *rest = encode(message)
    fields = msgpack.unpackb(head)
    fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(anything)
    with suppress(DataError):
        again = decode([msgpack.packb(fields), *rest])
        assert isinstance(again, Refuse) or decode(encode(again)) is not None


@given(st.binary(max_size=40))
def test_a_damaged_single_frame_is_refused(data: bytes) -> None:
    with pytest.raises(DataError):
        decode(split(data))


def header(**fields: object) -> bytes:
    hello = {
        "run_id": "r",
        "actor": "a",
        "session": "s",
        "host": "h",
        "last": None,
        "state_checksum": "",
        "waited_s": 0.0,
        "lateness": LatenessHistogram().to_dict(),
        "put_back": 0,
    }
    return msgpack.packb({"schema": SCHEMA, "kind": "hello", **hello, **fields})


def layout(*entries: object) -> list[bytes]:
    fields = {"run_id": "r", "version": 1, "t_wall_s": 0.0, "layout": list(entries)}
    return [msgpack.packb({"schema": SCHEMA, "kind": "parameters", **fields}), b"1234"]


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([], "0 frames"),
        ([header(kind="helo")], "did you mean 'hello'"),
        ([header(extra=1)], "unknown fields"),
        ([header(last=[1])], r"expected \[episode, step\]"),
        ([header(last=[1, -1])], r"expected \[episode, step\]"),
        ([header(last=[1, 2**60])], r"expected \[episode, step\]"),
        ([header(last=False)], r"expected \[episode, step\]"),
        ([header(actor=5)], "actor is a int"),
        ([header(actor="../../etc")], "letters, digits"),
        ([header(actor="")], "letters, digits"),
        ([header(run_id="a/b")], "letters, digits"),
        ([header(session="x" * 65)], "letters, digits"),
        ([header(host="a\nb")], "printable"),
        ([header(waited_s=float("nan"))], "time in seconds"),
        ([header(waited_s=-1.0)], "time in seconds"),
        ([header(lateness=[0] * BINS)], "lateness is a list"),
        ([header(lateness={"counts": [0] * BINS, "missed": 0})], "got something else"),
        ([header(lateness={"counts": [0] * BINS, "missed": 0, "worst_s": 0.0, "more": 1})], "got something else"),
        ([header(lateness={"counts": [0] * 4000, "missed": 0, "worst_s": 0.0})], "got 4000 counts"),
        ([header(lateness={"counts": [0] * BINS, "missed": 0, "worst_s": float("inf")})], "and inf"),
        ([header(lateness={"counts": [2**60] * BINS, "missed": 0, "worst_s": 0.0})], r"more than 2\*\*53"),
        ([header(), b"x"], "1 payload frames"),
        ([header(host="x" * 201)], "at most 200 characters"),
        ([header(host="x" * 5000)], "not msgpack"),
        ([b"\xff" * 2**19], "at most"),
        ([header(kind="records", previous=None)], "without records"),
        ([msgpack.packb([1, 2])], "is a list"),
        (layout(["w", "<f4", [2**31 - 1, 2**31 - 1]]), "array of shape"),
        (layout(["w", "<f4", [2**30]]), "too short"),
        (layout(["w", "<f4", [0, 2**31 - 1, 2**31 - 1]]), "array of shape"),
        (layout(["w", "<f4", []], ["w", "<f4", [0]]), "twice"),
        (layout(["w", "O", [1]]), "dtype"),
        (layout(["w", [], [1]]), "dtype"),
    ],
)
def test_each_fault_is_named(frames: list[bytes], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        decode(frames)


def test_another_schema_is_told_apart_and_a_refusal_is_understood_by_all() -> None:
    with pytest.raises(SchemaMismatch, match=f"schema version 1, expected {SCHEMA}"):
        decode([header(schema=1)])
    future = msgpack.packb({"schema": 99, "kind": "refuse", "reason": "no room", "code": 7})
    assert decode([future, b"more"]) == Refuse("no room")


def test_a_reason_is_cut_to_what_may_be_sent() -> None:
    back = decode(encode(Refuse("two\nlines " + "x" * 5000)))
    assert isinstance(back, Refuse) and back.reason.startswith("two lines xxx") and len(back.reason) == 1000


def test_a_configuration_of_unlimited_size_is_not_sent_or_taken() -> None:
    with pytest.raises(DataError, match="at most"):
        encode(Welcome("r", "l", "x" * (MAX_CONFIG_BYTES + 1), None, 0, 0))
    head, config = encode(Welcome("r", "l", "x", None, 0, 0))
    with pytest.raises(DataError, match="configuration of"):
        decode([head, config * (MAX_CONFIG_BYTES + 1)])
    with pytest.raises(DataError, match="not text"):
        decode([head, b"\xff"])


def test_objects_cannot_travel() -> None:
    with pytest.raises(DataError, match="dtype"):
        decode(encode(Parameters("r", 1, 0.0, {"x": np.array([object()], object).astype("S3")})))


def test_records_are_validated_when_unpacked() -> None:
    good = pack_record(record(0, 0))
    assert Records("r", "a", "s", None, (good,)).unpack()[0].step_index == 0
    with pytest.raises(DataError):
        Records("r", "a", "s", None, (good[:-1],)).unpack()


@pytest.mark.parametrize("shape", [[0, 2**62, 2**62], [0, 2**63], [2**31], [-1, 0]])
def test_a_record_with_an_array_that_cannot_be_is_refused(shape: list[int]) -> None:
    fields = msgpack.unpackb(pack_record(record(0, 0)))
    fields["obs"]["images"] = {"camera": {"dtype": "|u1", "shape": shape, "data": b""}}
    with pytest.raises(DataError, match="array"):
        Records("r", "a", "s", None, (msgpack.packb(fields),)).unpack()


@pytest.mark.parametrize("name", ["run-a0-", "run-a0-\u00b2", "run-a0-" + "9" * 13, "7x"])
def test_an_episode_whose_name_has_no_sound_number_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="does not end in a number"):
        episode_number(name)
