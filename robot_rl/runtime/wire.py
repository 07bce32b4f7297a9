"""Messages between actors and the learner, as bytes and back. Pure functions, no sockets, no pickle.

A message is a list of frames: a msgpack header with schema version and kind, then payload frames. Records travel as
`robot_rl.data.codec` packs them, parameters as raw arrays. Whatever does not fit the schema exactly raises `DataError`
before anything is used; sizes are bounded before anything is allocated.

A place in an actor's stream of records is ``(episode number, step index)``; places only grow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack
import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DataError, unknown_name
from robot_rl.core.transition import StepRecord
from robot_rl.data.codec import pack_record, unpack_record

SCHEMA = 1
MAX_HEADER_BYTES = 2**18
MAX_FRAME_BYTES = 2**28
MAX_RECORDS = 512
MAX_TEXT = 200
_DTYPES = ("<f4", "<i4", "<u4", "|u1")

Place = tuple[int, int]


@dataclass(frozen=True)
class Hello:
    """An actor asks where its stream stands; answered by `Ack`.

    Attributes:
        run_id: of the run it belongs to.
        actor: its name within the run.
        last: place of the last record it has sent, None before the first.
    """

    run_id: str
    actor: str
    last: Place | None = None


@dataclass(frozen=True)
class Records:
    """Consecutive records of an actor's stream.

    Attributes:
        run_id: of the run.
        actor: who sends.
        previous: place of the record before the first one, None at the beginning of the stream.
        packed: records as bytes.
    """

    run_id: str
    actor: str
    previous: Place | None
    packed: tuple[bytes, ...]

    def unpack(self) -> list[StepRecord]:
        """The records.

        Raises:
            DataError: one of them is not valid.
        """
        return [unpack_record(data) for data in self.packed]


@dataclass(frozen=True)
class Ack:
    """The learner has everything up to a place, and says how far the actor may go.

    Attributes:
        cursor: last place received, None before the first record.
        rewind: something after the cursor is missing; send again from there.
        allowed: environment steps the run may have taken now.
        env_steps: environment steps the learner has received.
        stop: end the episode, send the rest, exit.
    """

    cursor: Place | None
    rewind: bool
    allowed: int
    env_steps: int
    stop: bool = False


@dataclass(frozen=True)
class Parameters:
    """Parameters of the acting policy; only the newest count.

    Attributes:
        run_id: of the run.
        version: number of update calls behind them.
        t_wall_s: Unix time of publication.
        arrays: by name.
    """

    run_id: str
    version: int
    t_wall_s: float
    arrays: Mapping[str, npt.NDArray[Any]]


Message = Hello | Records | Ack | Parameters
_KINDS: dict[str, type[Message]] = {"hello": Hello, "records": Records, "ack": Ack, "parameters": Parameters}


def encode(message: Message) -> list[bytes]:
    """A message as frames."""
    if isinstance(message, Hello):
        return [_header("hello", run_id=message.run_id, actor=message.actor, last=message.last)]
    if isinstance(message, Records):
        head = _header("records", run_id=message.run_id, actor=message.actor, previous=message.previous)
        return [head, *message.packed]
    if isinstance(message, Ack):
        return [_header("ack", **vars(message))]
    arrays = {name: np.asarray(a, order="C") for name, a in message.arrays.items()}
    layout = [[name, a.dtype.newbyteorder("<").str, list(a.shape)] for name, a in arrays.items()]
    head = _header(
        "parameters", run_id=message.run_id, version=message.version, t_wall_s=message.t_wall_s, layout=layout
    )
    return [head, b"".join(a.astype(a.dtype.newbyteorder("<"), copy=False).tobytes() for a in arrays.values())]


def decode(frames: Sequence[bytes]) -> Message:
    """Inverse of `encode`.

    Raises:
        DataError: the frames are not a message of this schema version.
    """
    if not frames or len(frames) > MAX_RECORDS + 1:
        raise DataError(f"a message of {len(frames)} frames, expected 1 to {MAX_RECORDS + 1}")
    if any(len(f) > MAX_FRAME_BYTES for f in frames):
        raise DataError(f"a message with a frame of more than {MAX_FRAME_BYTES} bytes")
    header = _Fields(_unpack_header(frames[0]))
    if header.take("schema", int) != SCHEMA:
        raise DataError(f"a message of schema version {header.data['schema']}, expected {SCHEMA}")
    kind = header.take("kind", str)
    if kind not in _KINDS:
        raise DataError(unknown_name("message", kind[:MAX_TEXT], _KINDS))
    message: Message = _DECODERS[kind](header, frames[1:])
    header.finish(kind)
    return message


def join(frames: Sequence[bytes]) -> bytes:
    """Header and payload in one frame, for sockets that keep only the last frame of a message."""
    return len(frames[0]).to_bytes(4, "little") + b"".join(frames)


def split(data: bytes) -> list[bytes]:
    """Inverse of `join` for messages of one or two frames.

    Raises:
        DataError: the lengths do not fit.
    """
    size = int.from_bytes(data[:4], "little")
    if len(data) < 4 or size > min(MAX_HEADER_BYTES, len(data) - 4):
        raise DataError(f"a message of {len(data)} bytes with a header of {size}")
    return [data[4 : 4 + size], data[4 + size :]]


def pack_all(records: Sequence[StepRecord]) -> tuple[bytes, ...]:
    """Records as bytes."""
    return tuple(pack_record(r) for r in records)


def _header(kind: str, **fields: Any) -> bytes:
    data: bytes = msgpack.packb({"schema": SCHEMA, "kind": kind, **fields}, use_bin_type=True)
    return data


def _unpack_header(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_HEADER_BYTES:
        raise DataError(f"a message header of {len(data)} bytes, at most {MAX_HEADER_BYTES} are allowed")
    try:
        header = msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=True,
            max_str_len=MAX_TEXT,
            max_bin_len=0,
            max_ext_len=0,
            max_array_len=4096,
            max_map_len=32,
        )
    except (ValueError, msgpack.UnpackException) as e:
        raise DataError(f"a message header that is not msgpack: {type(e).__name__}") from e
    if not isinstance(header, dict):
        raise DataError(f"a message header that is a {type(header).__name__}, expected a map")
    return header


class _Fields:
    """Reads a header field by field, each of exactly the expected type, none left over."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self._taken: set[str] = set()

    def take(self, name: str, kind: type) -> Any:
        self._taken.add(name)
        value = self.data.get(name)
        if type(value) is not kind:
            raise DataError(f"a message whose {name} is a {type(value).__name__}, expected {kind.__name__}")
        return value

    def count(self, name: str) -> int:
        value = self.take(name, int)
        if value < 0:
            raise DataError(f"a message whose {name} is {value}, expected at least 0")
        return int(value)

    def place(self, name: str) -> Place | None:
        self._taken.add(name)
        value = self.data.get(name)
        if value is None and name in self.data:
            return None
        if not (isinstance(value, list) and len(value) == 2 and all(type(v) is int and v >= 0 for v in value)):
            raise DataError(f"a message whose {name} is {str(value)[:MAX_TEXT]}, expected [episode, step]")
        return (value[0], value[1])

    def finish(self, kind: str) -> None:
        extra = set(self.data) - self._taken
        if extra:
            raise DataError(f"a {kind} message with unknown fields {sorted(extra)}")


def _no_payload(kind: str, payload: Sequence[bytes]) -> None:
    if payload:
        raise DataError(f"a {kind} message with {len(payload)} payload frames, expected none")


def _decode_hello(header: _Fields, payload: Sequence[bytes]) -> Hello:
    _no_payload("hello", payload)
    return Hello(header.take("run_id", str), header.take("actor", str), header.place("last"))


def _decode_records(header: _Fields, payload: Sequence[bytes]) -> Records:
    if not payload:
        raise DataError("a records message without records")
    return Records(header.take("run_id", str), header.take("actor", str), header.place("previous"), tuple(payload))


def _decode_ack(header: _Fields, payload: Sequence[bytes]) -> Ack:
    _no_payload("ack", payload)
    return Ack(
        header.place("cursor"),
        header.take("rewind", bool),
        header.count("allowed"),
        header.count("env_steps"),
        header.take("stop", bool),
    )


def _decode_parameters(header: _Fields, payload: Sequence[bytes]) -> Parameters:
    if len(payload) != 1:
        raise DataError(f"a parameters message with {len(payload)} payload frames, expected 1")
    arrays, at, data = {}, 0, payload[0]
    for entry in header.take("layout", list):
        name, dtype, shape = _array_layout(entry)
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if at + size > len(data):
            raise DataError(f"a parameters message of {len(data)} bytes, too short for its arrays")
        arrays[name] = np.frombuffer(data, dtype, math.prod(shape), at).reshape(shape)
        at += size
    if at != len(data):
        raise DataError(f"a parameters message of {len(data)} bytes, its arrays take {at}")
    return Parameters(header.take("run_id", str), header.count("version"), header.take("t_wall_s", float), arrays)


def _array_layout(entry: Any) -> tuple[str, str, list[int]]:
    if not (isinstance(entry, list) and len(entry) == 3):
        raise DataError("a parameters message whose layout is not [name, dtype, shape]")
    name, dtype, shape = entry
    if not isinstance(name, str) or dtype not in _DTYPES:
        raise DataError(f"a parameters message with an array of dtype {dtype!r}, expected one of {_DTYPES}")
    if not (isinstance(shape, list) and len(shape) <= 8 and all(type(n) is int and 0 <= n < 2**31 for n in shape)):
        raise DataError(f"a parameters message with an array of shape {str(shape)[:MAX_TEXT]}")
    return name, dtype, shape


_DECODERS: dict[str, Callable[[_Fields, Sequence[bytes]], Message]] = {
    "hello": _decode_hello,
    "records": _decode_records,
    "ack": _decode_ack,
    "parameters": _decode_parameters,
}
