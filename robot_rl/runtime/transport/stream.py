"""Bookkeeping of record streams without sockets: what has arrived, what must be sent again.

Delivery is go-back-N: the learner takes records of an actor strictly in order and acknowledges the last place it has;
on a gap it asks to rewind. The actor keeps the newest records in memory and everything that is not acknowledged in its
spool on disk. Together with the learner ignoring places it knows, every record counts exactly once.
"""

from __future__ import annotations

import threading
from collections import deque

from robot_rl.core.errors import DataError
from robot_rl.core.transition import StepRecord
from robot_rl.runtime.episode_files import episode_number
from robot_rl.runtime.transport.fields import MAX_COUNT
from robot_rl.runtime.transport.wire import MAX_RECORDS, Place, Records

MAX_MESSAGE_BYTES = 2**22
MEMORY_BYTES = 2**26


def place_of(record: StepRecord) -> Place:
    """Where a record stands in its actor's stream."""
    return episode_number(record.episode_id), record.step_index


def is_before(a: Place | None, b: Place | None) -> bool:
    """Whether `a` comes earlier; None is before everything."""
    return b is not None and (a is None or a < b)


class Inbox:
    """The learner's side of all streams.

    Args:
        cursors: last place received by actor, from a checkpoint.
    """

    def __init__(self, cursors: dict[str, Place] | None = None) -> None:
        self.cursors = dict(cursors or {})
        self.duplicates = 0
        self.gaps = 0

    def accept(self, message: Records) -> tuple[list[StepRecord], bool]:
        """Take a message.

        Returns:
            The new records in order, and whether the actor must rewind because something before them is missing.

        Raises:
            DataError: the records are invalid or out of order; the stream stays where it was.
        """
        cursor = self.cursors.get(message.actor)
        if is_before(cursor, message.previous):
            self.gaps += 1
            return [], True
        records = message.unpack()
        places = [place_of(r) for r in records]
        steps = zip([message.previous, *places], places, strict=False)
        if any(not (is_before(a, b) and 0 <= b[1] <= MAX_COUNT) for a, b in steps):
            raise DataError(f"records out of order: {[message.previous, *places][:8]}")
        new = [r for r, p in zip(records, places, strict=True) if is_before(cursor, p)]
        self.duplicates += len(records) - len(new)
        self.cursors[message.actor] = max(places[-1], cursor or places[-1])
        return new, False


class Outbox:
    """The newest records an actor has made, as far as they fit into memory; older ones are on its disk.

    One thread may push while another one reads and acknowledges.

    Args:
        limit_bytes: what is kept; the oldest records leave first.
        last: place of the newest record made before.

    Attributes:
        last: place of the newest record, or None.
    """

    def __init__(self, limit_bytes: int = MEMORY_BYTES, last: Place | None = None) -> None:
        self.last = last
        self._limit = limit_bytes
        self._size = 0
        self._entries: deque[tuple[Place | None, Place, bytes]] = deque()
        self._lock = threading.Lock()

    @property
    def size_bytes(self) -> int:
        """Bytes held."""
        return self._size

    def push(self, place: Place, data: bytes) -> None:
        """Add a new record.

        Raises:
            DataError: it does not come after the newest one.
        """
        with self._lock:
            if not is_before(self.last, place):
                raise DataError(f"record {place} after {self.last}: places in a stream only grow")
            self._entries.append((self.last, place, data))
            self._size += len(data)
            self.last = place
            while self._size > self._limit:
                self._drop()

    def acknowledge(self, cursor: Place | None) -> None:
        """Forget everything up to a place."""
        with self._lock:
            while self._entries and not is_before(cursor, self._entries[0][1]):
                self._drop()

    def after(self, place: Place | None, *, gaps: bool = False) -> list[tuple[Place, bytes]] | None:
        """The records that follow a place, as many as fit into a message; None if some of them are not held.

        Args:
            place: in the stream.
            gaps: return what is held all the same.
        """
        with self._lock:
            before = self._entries[0][0] if self._entries else self.last
            if is_before(place, before) and not gaps:
                return None
            found, size = list[tuple[Place, bytes]](), 0
            for _, at, data in self._entries:
                if is_before(place, at):
                    found.append((at, data))
                    size += len(data)
                    if len(found) >= MAX_RECORDS or size >= MAX_MESSAGE_BYTES:
                        break
            return found

    def _drop(self) -> None:
        self._size -= len(self._entries.popleft()[2])
