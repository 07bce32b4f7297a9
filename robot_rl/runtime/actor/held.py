"""The newest step of an actor, kept beside its log while it is not final.

A step may still become the last one of its episode, if the observation after the next step is unusable, so it is logged
one step late. A process that is killed in between must not lose it.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

from robot_rl.core.errors import DataError, StorageError
from robot_rl.core.transition import StepRecord
from robot_rl.data.codec import pack_record, unpack_record

_HEAD = struct.Struct("<IQ")  # checksum and size of what follows


class HeldStep:
    """One record in one file that is overwritten in place.

    Args:
        path: of the file.

    Raises:
        StorageError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as e:
            raise StorageError(f"cannot open {path}: {e.strerror}") from e

    def put(self, record: StepRecord | None) -> None:
        """Hold this record instead of the one before; None for nothing.

        Raises:
            StorageError: the disk refuses.
        """
        data = b"" if record is None else pack_record(record)
        whole = _HEAD.pack(zlib.crc32(data), len(data)) + data
        try:
            written = os.pwrite(self._handle, whole, 0)
        except OSError as e:
            raise StorageError(f"cannot write {self._path}: {e.strerror}") from e
        if written < len(whole):
            raise StorageError(f"cannot write {self._path}: only {written} of {len(whole)} bytes fit")

    def get(self) -> StepRecord | None:
        """The record held, None if there is none or it was being written when its process died."""
        try:
            whole = self._path.read_bytes()
        except OSError as e:
            raise StorageError(f"cannot read {self._path}: {e.strerror}") from e
        if len(whole) < _HEAD.size:
            return None
        checksum, size = _HEAD.unpack_from(whole)
        data = whole[_HEAD.size : _HEAD.size + size]
        if not size or len(data) < size or zlib.crc32(data) != checksum:
            return None
        try:
            return unpack_record(data)
        except DataError:
            return None

    def close(self) -> None:
        """Close the file. May be called twice."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
