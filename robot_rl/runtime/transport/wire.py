"""Messages between actors and the learner, as bytes and back. Pure functions, no sockets, no pickle.

A message is a list of frames: a msgpack header with schema version and kind, then payload frames. Records travel as
`robot_rl.data.codec` packs them, parameters as raw arrays. Whatever does not fit the schema exactly raises `DataError`
before anything is used; sizes are bounded before anything is allocated.

A place in an actor's stream of records is ``(episode number, step index)``; places only grow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from robot_rl.core.errors import DataError, unknown_name
from robot_rl.core.transition import StepRecord
from robot_rl.data.codec import pack_record
from robot_rl.runtime.transport.fields import MAX_HEADER_BYTES, MAX_REASON, MAX_TEXT, Fields, Place, pack_header
from robot_rl.runtime.transport.health import LearnerHealth, read_health
from robot_rl.runtime.transport.messages import Ack, Hello, Message, Parameters, Records, Refuse, Welcome

__all__ = [
    "Ack",
    "Hello",
    "Message",
    "Parameters",
    "Place",
    "Records",
    "Refuse",
    "SchemaMismatch",
    "Welcome",
    "decode",
    "encode",
    "join",
    "pack_all",
    "split",
]

SCHEMA = 5
MAX_FRAME_BYTES = 2**26
MAX_MESSAGE_BYTES = 2**27
MAX_CONFIG_BYTES = 2**18
MAX_RECORDS = 512


class SchemaMismatch(DataError):
    """A message of another schema version: its sender runs another version of the program."""


def encode(message: Message) -> list[bytes]:
    """A message as frames.

    Raises:
        DataError: a configuration is longer than `MAX_CONFIG_BYTES`.
    """
    kind, fields = type(message).__name__.lower(), dict(vars(message))
    if isinstance(message, Hello):
        return [pack_header(SCHEMA, kind, **{**fields, "lateness": message.lateness.to_dict()})]
    if isinstance(message, Refuse):
        return [pack_header(SCHEMA, kind, reason=" ".join(message.reason.split())[:MAX_REASON])]
    if isinstance(message, Records):
        del fields["packed"]
        return [pack_header(SCHEMA, kind, **fields), *message.packed]
    if isinstance(message, Welcome):
        config = fields.pop("config").encode()
        if len(config) > MAX_CONFIG_BYTES:
            raise DataError(f"a configuration of {len(config)} bytes, at most {MAX_CONFIG_BYTES} can be sent")
        return [pack_header(SCHEMA, kind, **fields), config]
    if isinstance(message, Parameters):
        arrays = {name: np.asarray(a, order="C") for name, a in fields.pop("arrays").items()}
        layout = [[name, a.dtype.newbyteorder("<").str, list(a.shape)] for name, a in arrays.items()]
        data = b"".join(a.astype(a.dtype.newbyteorder("<"), copy=False).tobytes() for a in arrays.values())
        return [pack_header(SCHEMA, kind, layout=layout, **fields), data]
    return [pack_header(SCHEMA, kind, **{**fields, "health": vars(message.health)})]


def decode(frames: Sequence[bytes]) -> Message:
    """Inverse of `encode`.

    Raises:
        SchemaMismatch: the message is of another schema version; a `Refuse` never is.
        DataError: the frames are not a message.
    """
    if not frames or len(frames) > MAX_RECORDS + 1:
        raise DataError(f"a message of {len(frames)} frames, expected 1 to {MAX_RECORDS + 1}")
    if max(map(len, frames)) > MAX_FRAME_BYTES or sum(map(len, frames)) > MAX_MESSAGE_BYTES:
        raise DataError(f"a message of {sum(map(len, frames))} bytes, more than may be sent at once")
    header = Fields(frames[0])
    kind = header.text("kind")
    schema = header.take("schema", int)
    if kind == "refuse":
        return Refuse(header.text("reason", MAX_REASON))
    if schema != SCHEMA:
        raise SchemaMismatch(f"a message of schema version {str(schema)[:MAX_TEXT]}, expected {SCHEMA}")
    if kind not in _DECODERS:
        raise DataError(unknown_name("message", kind, _DECODERS))
    message = _DECODERS[kind](header, frames[1:])
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


def _payload(kind: str, payload: Sequence[bytes], expected: int) -> None:
    if len(payload) != expected:
        raise DataError(f"a {kind} message with {len(payload)} payload frames, expected {expected or 'none'}")


def _decode_hello(header: Fields, payload: Sequence[bytes]) -> Hello:
    _payload("hello", payload, 0)
    return Hello(
        run_id=header.name("run_id", empty=True),
        actor=header.name("actor"),
        session=header.name("session"),
        host=header.text("host"),
        last=header.place("last"),
        state_checksum=header.name("state_checksum", empty=True),
        waited_s=header.seconds("waited_s"),
        lateness=header.lateness("lateness"),
        put_back=header.count("put_back"),
    )


def _decode_welcome(header: Fields, payload: Sequence[bytes]) -> Welcome:
    _payload("welcome", payload, 1)
    if len(payload[0]) > MAX_CONFIG_BYTES:
        raise DataError(f"a welcome message with a configuration of {len(payload[0])} bytes")
    try:
        config = payload[0].decode()
    except UnicodeDecodeError as e:
        raise DataError("a welcome message whose configuration is not text") from e
    names = header.name("run_id"), header.name("learner")
    return Welcome(*names, config, header.place("cursor"), header.count("actor_steps"), header.count("env_steps"))


def _decode_records(header: Fields, payload: Sequence[bytes]) -> Records:
    if not payload:
        raise DataError("a records message without records")
    names = header.name("run_id"), header.name("actor"), header.name("session")
    return Records(*names, header.place("previous"), tuple(payload))


def _decode_ack(header: Fields, payload: Sequence[bytes]) -> Ack:
    _payload("ack", payload, 0)
    return Ack(
        learner=header.name("learner"),
        cursor=header.place("cursor"),
        rewind=header.take("rewind", bool),
        allowed=header.count("allowed"),
        env_steps=header.count("env_steps"),
        stop=header.take("stop", bool),
        health=read_health(header, "health") or LearnerHealth(),
    )


def _decode_parameters(header: Fields, payload: Sequence[bytes]) -> Parameters:
    _payload("parameters", payload, 1)
    arrays, at, data = {}, 0, payload[0]
    for name, dtype, shape in header.layout("layout"):
        count = math.prod(shape)
        size = count * np.dtype(dtype).itemsize
        if at + size > len(data):
            raise DataError(f"a parameters message of {len(data)} bytes, too short for its arrays")
        arrays[name] = np.frombuffer(data, dtype, count, at).reshape(shape)
        at += size
    if at != len(data):
        raise DataError(f"a parameters message of {len(data)} bytes, its arrays take {at}")
    return Parameters(header.name("run_id"), header.count("version"), header.seconds("t_wall_s"), arrays)


_DECODERS: dict[str, Callable[[Fields, Sequence[bytes]], Message]] = {
    "hello": _decode_hello,
    "welcome": _decode_welcome,
    "records": _decode_records,
    "ack": _decode_ack,
    "parameters": _decode_parameters,
}
