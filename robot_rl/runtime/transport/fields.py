"""The header of a message, read field by field: exact types, bounded sizes, nothing left over."""

from __future__ import annotations

import math
import re
from typing import Any

import msgpack

from robot_rl.core.errors import DataError
from robot_rl.core.lateness import LatenessHistogram

MAX_HEADER_BYTES = 2**18
MAX_TEXT = 200
MAX_REASON = 1000
MAX_COUNT = 2**53
MAX_ARRAYS = 4096
DTYPES = ("<f4", "<i4", "<u4", "|u1")

Place = tuple[int, int]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)


def is_name(text: str) -> bool:
    """Whether a text may name a run, an actor or a process: 1 to 64 letters, digits and ``_.-``, safe as a folder."""
    return _NAME.fullmatch(text) is not None


def pack_header(schema: int, kind: str, **fields: Any) -> bytes:
    """A header as bytes."""
    data: bytes = msgpack.packb({"schema": schema, "kind": kind, **fields}, use_bin_type=True)
    return data


class Fields:
    """Reads a header.

    Args:
        data: the header as bytes.

    Raises:
        DataError: it is too long, not msgpack or not a map.
    """

    def __init__(self, data: bytes) -> None:
        self._data = _unpack(data)
        self._taken: set[str] = set()

    def nested(self, name: str) -> Fields:
        """A map within the header, to be read and finished likewise."""
        inner = Fields.__new__(Fields)
        inner._data, inner._taken = self.take(name, dict), set()
        return inner

    def take(self, name: str, kind: type) -> Any:
        """A field of exactly this type."""
        self._taken.add(name)
        value = self._data.get(name)
        if type(value) is not kind:
            raise DataError(f"a message whose {name} is a {type(value).__name__}, expected {kind.__name__}")
        return value

    def text(self, name: str, limit: int = MAX_TEXT) -> str:
        """Printable text of bounded length."""
        value: str = self.take(name, str)
        if len(value) > limit or not value.isprintable():
            raise DataError(f"a message whose {name} is not printable text of at most {limit} characters")
        return value

    def name(self, name: str, *, empty: bool = False) -> str:
        """A name as `is_name` wants it, or nothing where that is allowed."""
        value: str = self.take(name, str)
        if not (is_name(value) or (empty and not value)):
            raise DataError(f"a message whose {name} is {value[:64]!r}, expected up to 64 letters, digits and _.-")
        return value

    def count(self, name: str) -> int:
        """A number of things, 0 to `MAX_COUNT`."""
        value: int = self.take(name, int)
        if not 0 <= value <= MAX_COUNT:
            raise DataError(f"a message whose {name} is {value}, expected 0 to 2**53")
        return value

    def seconds(self, name: str) -> float:
        """A finite time, at least 0."""
        value: float = self.take(name, float)
        if not (math.isfinite(value) and value >= 0.0):
            raise DataError(f"a message whose {name} is {value}, expected a time in seconds")
        return value

    def number(self, name: str) -> float:
        """A finite number."""
        value: float = self.take(name, float)
        if not math.isfinite(value):
            raise DataError(f"a message whose {name} is {value}, expected a finite number")
        return value

    def missing(self, name: str) -> bool:
        """Whether a field says that there is nothing."""
        if name in self._data and self._data[name] is None:
            self._taken.add(name)
            return True
        return False

    def place(self, name: str) -> Place | None:
        """A place in a stream, or nothing."""
        self._taken.add(name)
        value = self._data.get(name)
        if value is None and name in self._data:
            return None
        ok = isinstance(value, list) and len(value) == 2 and all(type(v) is int and 0 <= v <= MAX_COUNT for v in value)
        if not ok or value is None:
            raise DataError(f"a message whose {name} is {str(value)[:MAX_TEXT]}, expected [episode, step]")
        return (value[0], value[1])

    def lateness(self, name: str) -> LatenessHistogram:
        """A histogram of lateness with counts of up to `MAX_COUNT`."""
        found = LatenessHistogram.from_dict(self.take(name, dict))
        if max(*found.counts, found.missed) > MAX_COUNT:
            raise DataError(f"a message whose {name} counts more than 2**53 steps")
        return found

    def layout(self, name: str) -> list[tuple[str, str, list[int]]]:
        """Names, dtypes and shapes of arrays, no name twice."""
        entries = [_array_layout(entry) for entry in self.take(name, list)]
        if len({entry[0] for entry in entries}) != len(entries):
            raise DataError(f"a message whose {name} names an array twice")
        return entries

    def finish(self, kind: str) -> None:
        """Check that every field was read."""
        extra = sorted(set(self._data) - self._taken)
        if extra:
            raise DataError(f"a {kind} message with unknown fields {str(extra)[:MAX_TEXT]}")


def _unpack(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_HEADER_BYTES:
        raise DataError(f"a message header of {len(data)} bytes, at most {MAX_HEADER_BYTES} are allowed")
    try:
        header = msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=True,
            max_str_len=4 * MAX_REASON,
            max_bin_len=0,
            max_ext_len=0,
            max_array_len=MAX_ARRAYS,
            max_map_len=32,
        )
    except (ValueError, msgpack.UnpackException) as e:
        raise DataError(f"a message header that is not msgpack: {type(e).__name__}") from e
    if not isinstance(header, dict):
        raise DataError(f"a message header that is a {type(header).__name__}, expected a map")
    if not all(isinstance(key, str) for key in header):
        raise DataError("a message header with a key that is not text")
    return header


def _array_layout(entry: Any) -> tuple[str, str, list[int]]:
    if not (isinstance(entry, list) and len(entry) == 3):
        raise DataError("a parameters message whose layout is not [name, dtype, shape]")
    name, dtype, shape = entry
    if not isinstance(name, str) or len(name) > MAX_TEXT:
        raise DataError("a parameters message with an array whose name is not short text")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise DataError(f"a parameters message with an array of dtype {str(dtype)[:16]!r}, expected one of {DTYPES}")
    sizes = shape if isinstance(shape, list) and len(shape) <= 8 else [-1]
    # An axis of length 0 must not hide that the others could not be indexed.
    if not all(type(n) is int and 0 <= n < 2**31 for n in sizes) or math.prod(max(n, 1) for n in sizes) >= 2**31:
        raise DataError(f"a parameters message with an array of shape {str(shape)[:MAX_TEXT]}")
    return name, dtype, shape
