"""TensorBoard event files, written by whoever calls: no thread or queue that a full disk could stop for good."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tensorboardX.proto import event_pb2
from tensorboardX.record_writer import RecordWriter
from tensorboardX.summary import scalar

FLUSH_EVERY_S = 10.0


class Board:
    """Scalars for TensorBoard. What cannot be written is left out: the same figures are in the tables.

    Args:
        folder: of the event files; created.
    """

    def __init__(self, folder: Path) -> None:
        self._writer: RecordWriter | None = None
        self._flushed_s = time.monotonic()
        name = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}.{os.getpid()}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._writer = RecordWriter(str(folder / name))
            self._write(event_pb2.Event(wall_time=time.time(), file_version="brain.Event:2"))
        except OSError:
            self._give_up()

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Add values by name at a step."""
        try:
            for name, value in values.items():
                self._write(event_pb2.Event(wall_time=time.time(), step=step, summary=scalar(name, float(value))))
            if self._writer is not None and time.monotonic() - self._flushed_s > FLUSH_EVERY_S:
                self._flushed_s = time.monotonic()
                self._writer.flush()
        except OSError:
            self._give_up()

    def close(self) -> None:
        """Flush and close the file. May be called twice."""
        self._give_up()

    def _write(self, event: event_pb2.Event) -> None:
        if self._writer is not None:
            self._writer.write(event.SerializeToString())

    def _give_up(self) -> None:
        if self._writer is not None:
            with suppress(OSError):
                self._writer.close()
            self._writer = None
