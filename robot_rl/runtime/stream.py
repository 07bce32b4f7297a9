"""Bookkeeping of record streams without sockets: what has arrived, what must be sent again.

Delivery is go-back-N: the learner takes records of an actor strictly in order and acknowledges the last place it has;
on a gap it asks to rewind. The actor keeps what is not acknowledged in memory, and everything in its episode log, so
that a learner restarted from an old checkpoint gets the rest from disk. Together with the replay ignoring known steps,
every record counts exactly once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from robot_rl.core.errors import DataError
from robot_rl.core.transition import StepRecord
from robot_rl.data.codec import pack_record
from robot_rl.runtime.episode_files import episode_number
from robot_rl.runtime.wire import MAX_RECORDS, Place, Records

MAX_MESSAGE_BYTES = 2**22


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
        if any(not is_before(a, b) for a, b in zip([message.previous, *places], places, strict=False)):
            raise DataError(f"records out of order: {[message.previous, *places][:8]}")
        new = [r for r, p in zip(records, places, strict=True) if is_before(cursor, p)]
        self.duplicates += len(records) - len(new)
        self.cursors[message.actor] = max(places[-1], cursor or places[-1])
        return new, False


class Outbox:
    """The actor's side of its stream.

    Args:
        run_id: of the run.
        actor: name of the actor.
        reread: yields the records of episodes from a number on from the actor's log on disk.
        limit: unacknowledged records kept in memory; older ones are read from disk when needed.
    """

    def __init__(
        self, run_id: str, actor: str, reread: Callable[[int], Iterable[StepRecord]], limit: int = 2_000
    ) -> None:
        self._run_id = run_id
        self._actor = actor
        self._reread = reread
        self._limit = limit
        self._unacked: deque[tuple[Place | None, Place, bytes]] = deque()
        self.last: Place | None = None
        self.acknowledged: Place | None = None

    @property
    def settled(self) -> bool:
        """Whether everything sent has been acknowledged."""
        return not is_before(self.acknowledged, self.last)

    def push(self, record: StepRecord) -> Records:
        """Remember a new record and return the message to send."""
        place, data = place_of(record), pack_record(record)
        if not is_before(self.last, place):
            raise DataError(f"record {place} after {self.last}: places in a stream only grow")
        entry = (self.last, place, data)
        self._unacked.append(entry)
        if len(self._unacked) > self._limit:
            self._unacked.popleft()
        self.last = place
        return Records(self._run_id, self._actor, entry[0], (data,))

    def acknowledge(self, cursor: Place | None) -> None:
        """Forget what has arrived. A cursor beyond the own stream moves its end: the log had lost those records."""
        self.acknowledged = cursor
        if is_before(self.last, cursor):
            self.last = cursor
        while self._unacked and not is_before(cursor, self._unacked[0][1]):
            self._unacked.popleft()

    def messages_after(self, cursor: Place | None) -> Iterator[Records]:
        """Everything after `cursor` again, in messages of bounded size."""
        if self._unacked and not is_before(cursor, self._unacked[0][0]):
            waiting: Iterable[tuple[Place, bytes]] = [(place, data) for _, place, data in self._unacked]
        else:
            first = cursor[0] if cursor is not None else 0
            waiting = ((place_of(r), pack_record(r)) for r in self._reread(first))
        previous, group, size = cursor, list[bytes](), 0
        at = cursor
        for place, data in waiting:
            if not is_before(cursor, place):
                continue
            group.append(data)
            at, size = place, size + len(data)
            if len(group) >= MAX_RECORDS or size >= MAX_MESSAGE_BYTES:
                yield Records(self._run_id, self._actor, previous, tuple(group))
                previous, group, size = at, [], 0
        if group:
            yield Records(self._run_id, self._actor, previous, tuple(group))
        if is_before(self.last, at):
            self.last = at
