"""What an actor sends next: from memory if it is there, else from disk, and never too much at once. No sockets."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Protocol

from robot_rl.runtime.transport.stream import MAX_MESSAGE_BYTES, Outbox, is_before
from robot_rl.runtime.transport.wire import MAX_RECORDS, Place

# Sent but not acknowledged at one time; more would only queue in the network.
WINDOW_BYTES = 2**23
Packed = tuple[Place, bytes]


class Backlog(Protocol):
    """Records on disk, as `robot_rl.runtime.actor.spool.Spool` keeps them."""

    def read_after(self, cursor: Place | None) -> Iterator[Packed]:
        """Every record after a place that is there now."""
        ...

    def acknowledge(self, cursor: Place | None) -> None:
        """The learner has everything up to a place."""
        ...


class Sender:
    """One actor's side of go-back-N.

    Args:
        outbox: the newest records; a record is in the backlog before it is here.
        backlog: all records that are not acknowledged.
        cursor: last place the learner has.
        window_bytes: what may be under way without an acknowledgement.

    Attributes:
        position: last place that has been sent, or that the learner is known to have.
        lost: records left out because the steps before them in their episode cannot be read any more.
    """

    def __init__(
        self, outbox: Outbox, backlog: Backlog, cursor: Place | None, *, window_bytes: int = WINDOW_BYTES
    ) -> None:
        self.position = cursor
        self.lost = 0
        self._outbox, self._backlog, self._window_bytes = outbox, backlog, window_bytes
        self._looked_at = cursor
        self._ready = list[Packed]()
        self._disk: Iterator[Packed] | None = None
        self._under_way: deque[tuple[Place, int]] = deque()
        self._under_way_bytes = 0

    def peek(self) -> list[Packed]:
        """The records that follow `position`, as many as fit into a message; empty if nothing may be sent now.

        Raises:
            StorageError: the disk does not give them away.
        """
        if self._under_way_bytes >= self._window_bytes:
            return []
        while not self._ready:
            found = self._gather()
            if not found:
                return []
            self._ready = self._without_orphans(found)
            self._looked_at = found[-1][0]
        return self._ready

    def sent(self) -> None:
        """What `peek` returned is under way."""
        for place, data in self._ready:
            self._under_way.append((place, len(data)))
            self._under_way_bytes += len(data)
        self.position = self._ready[-1][0]
        self._ready = []

    def acknowledge(self, cursor: Place | None) -> None:
        """The learner has everything up to a place.

        Raises:
            StorageError: the backlog cannot let go of it.
        """
        while self._under_way and not is_before(cursor, self._under_way[0][0]):
            self._under_way_bytes -= self._under_way.popleft()[1]
        if is_before(self.position, cursor):
            self.rewind(cursor)
        self._outbox.acknowledge(cursor)
        self._backlog.acknowledge(cursor)

    def rewind(self, cursor: Place | None) -> None:
        """Go on after a place, as if nothing later had been sent."""
        self.position = self._looked_at = cursor
        self._ready, self._disk = [], None
        self._under_way.clear()
        self._under_way_bytes = 0

    def _gather(self) -> list[Packed]:
        held = self._outbox.after(self._looked_at)
        if held is not None:
            self._disk = None
            return held
        while True:
            fresh = self._disk is None
            if self._disk is None:
                self._disk = self._backlog.read_after(self._looked_at)
            found = _message_full(self._disk)
            if found:
                return found
            self._disk = None
            if fresh:
                # What memory has dropped is not on disk either: go on with what there is.
                return self._outbox.after(self._looked_at, gaps=True) or []

    def _without_orphans(self, found: list[Packed]) -> list[Packed]:
        """Records whose episode is known from its beginning; the learner would refuse others for ever."""
        sound, previous = list[Packed](), self.position
        for place, data in found:
            episode, step = place
            if step == 0 or previous == (episode, step - 1):
                sound.append((place, data))
                previous = place
        self.lost += len(found) - len(sound)
        return sound


def _message_full(source: Iterator[Packed]) -> list[Packed]:
    found, size = list[Packed](), 0
    for place, data in source:
        found.append((place, data))
        size += len(data)
        if len(found) >= MAX_RECORDS or size >= MAX_MESSAGE_BYTES:
            break
    return found
