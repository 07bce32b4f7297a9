"""A step record as bytes: msgpack with arrays as raw little-endian bytes, dtype and shape. Bit-exact both ways.

This is how records travel; episode files hold them as `robot_rl.data.ros_messages`. Nothing in a message can run code,
and sizes are bounded before anything is allocated.
"""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any, TypeVar

import msgpack
import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DataError
from robot_rl.core.transition import Observation, Source, StepRecord

SCHEMA_VERSION = 1
MAX_MESSAGE_BYTES = 256 * 2**20
_DTYPES: dict[str, np.dtype[Any]] = {"<f4": np.dtype("<f4"), "|u1": np.dtype("u1")}
_MAX_ITEMS = 4096
_T = TypeVar("_T")

_FIELDS = {"version", *(f.name for f in fields(StepRecord))}
_SOURCES = sorted(s.name.lower() for s in Source)


def pack_record(record: StepRecord) -> bytes:
    """One record as bytes. The record is taken as it is: validate it where it enters the program."""
    message = {
        "version": SCHEMA_VERSION,
        "episode_id": record.episode_id,
        "step_index": int(record.step_index),
        "obs": _pack_observation(record.obs),
        "action_executed": _pack_array(record.action_executed),
        "action_policy": _pack_array(record.action_policy),
        "action_base": None if record.action_base is None else _pack_array(record.action_base),
        "rewards": {name: float(value) for name, value in record.rewards.items()},
        "terminated": bool(record.terminated),
        "truncated": bool(record.truncated),
        "stop_reason": record.stop_reason,
        "intervention": bool(record.intervention),
        "source": Source(record.source).name.lower(),
        "policy_version": int(record.policy_version),
        "reward_version": int(record.reward_version),
        "task": record.task,
        "t_wall_s": float(record.t_wall_s),
        "t_control_s": float(record.t_control_s),
        "latency_ms": float(record.latency_ms),
        "final_obs": None if record.final_obs is None else _pack_observation(record.final_obs),
    }
    packed: bytes = msgpack.packb(message, use_bin_type=True)
    return packed


def unpack_record(data: bytes) -> StepRecord:
    """Inverse of `pack_record`; the arrays of the result are read-only.

    Raises:
        DataError: the bytes are not a valid record of this schema version; nothing is decoded in part.
    """
    message = _unpack_map(data)
    if message.get("version") != SCHEMA_VERSION:
        raise DataError(f"step record of schema version {message.get('version')!r}, expected {SCHEMA_VERSION}")
    wrong = set(message) ^ _FIELDS
    if wrong:
        raise DataError(f"step record with missing or unknown fields {sorted(wrong)}")
    source = _take(message, "source", str)
    if source.upper() not in Source.__members__:
        raise DataError(f"step record from source {source!r}, expected one of {_SOURCES}")
    record = StepRecord(
        episode_id=_take(message, "episode_id", str),
        step_index=_take(message, "step_index", int),
        obs=_unpack_observation(message["obs"]),
        action_executed=_unpack_array(message["action_executed"]),
        action_policy=_unpack_array(message["action_policy"]),
        action_base=None if message["action_base"] is None else _unpack_array(message["action_base"]),
        rewards=_unpack_rewards(_take(message, "rewards", dict)),
        terminated=_take(message, "terminated", bool),
        truncated=_take(message, "truncated", bool),
        stop_reason=_take(message, "stop_reason", str),
        intervention=_take(message, "intervention", bool),
        source=Source[source.upper()],
        policy_version=_take(message, "policy_version", int),
        reward_version=_take(message, "reward_version", int),
        task=_take(message, "task", str),
        t_wall_s=_take(message, "t_wall_s", float),
        t_control_s=_take(message, "t_control_s", float),
        latency_ms=_take(message, "latency_ms", float),
        final_obs=None if message["final_obs"] is None else _unpack_observation(message["final_obs"]),
    )
    record.validate()
    return record


def _unpack_map(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_MESSAGE_BYTES:
        raise DataError(f"step record of {len(data)} bytes, at most {MAX_MESSAGE_BYTES} are allowed")
    try:
        message = msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=True,
            max_str_len=_MAX_ITEMS,
            max_bin_len=MAX_MESSAGE_BYTES,
            max_array_len=_MAX_ITEMS,
            max_map_len=_MAX_ITEMS,
            max_ext_len=0,
        )
    except (ValueError, msgpack.UnpackException) as e:
        raise DataError(f"not a step record: {type(e).__name__} {e}") from e
    if not isinstance(message, dict):
        raise DataError(f"not a step record: a {type(message).__name__} instead of a map")
    return message


def _pack_observation(obs: Observation) -> dict[str, Any]:
    return {
        "state": _pack_array(obs.state),
        "images": {name: _pack_array(image) for name, image in obs.images.items()},
    }


def _unpack_observation(value: Any) -> Observation:
    if not isinstance(value, dict) or set(value) != {"state", "images"}:
        raise DataError("step record whose observation is not a map of state and images")
    images = _take(value, "images", dict)
    return Observation(_unpack_array(value["state"]), {name: _unpack_array(image) for name, image in images.items()})


def _pack_array(array: npt.NDArray[Any]) -> dict[str, Any]:
    dtype = array.dtype.newbyteorder("<").str
    if dtype not in _DTYPES:
        raise DataError(f"arrays of {array.dtype} cannot be stored, expected float32 or uint8")
    return {"dtype": dtype, "shape": list(array.shape), "data": array.astype(_DTYPES[dtype], copy=False).tobytes()}


def _unpack_array(value: Any) -> npt.NDArray[Any]:
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data"}:
        raise DataError("step record with an array that is not a map of dtype, shape and data")
    dtype, shape, data = _take(value, "dtype", str), _take(value, "shape", list), _take(value, "data", bytes)
    if dtype not in _DTYPES:
        raise DataError(f"step record with an array of dtype {dtype!r}, expected one of {sorted(_DTYPES)}")
    # An axis of length 0 must not hide that the others could not be indexed.
    if len(shape) > 8 or not all(type(n) is int and n >= 0 for n in shape) or math.prod(n or 1 for n in shape) >= 2**31:
        raise DataError(f"step record with an array of shape {str(shape)[:100]}")
    if math.prod(shape) * _DTYPES[dtype].itemsize != len(data):
        raise DataError(f"step record with an array {dtype}{shape} in {len(data)} bytes")
    array: npt.NDArray[Any] = np.frombuffer(data, _DTYPES[dtype]).reshape(shape)
    return array


def _unpack_rewards(rewards: dict[Any, Any]) -> dict[str, float]:
    return {name: _take(rewards, name, float) for name in rewards}


def _take(message: dict[str, Any], key: str, kind: type[_T]) -> _T:
    # bool is an int to isinstance: only the exact type is what was written
    if type(message[key]) is not kind:
        raise DataError(f"step record whose {key} is a {type(message[key]).__name__}, expected {kind.__name__}")
    value: _T = message[key]
    return value
