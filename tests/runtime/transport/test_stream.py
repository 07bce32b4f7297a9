"""Exactly once, in order, over a line that loses, repeats and forgets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.core.errors import DataError
from robot_rl.data.codec import pack_record
from robot_rl.runtime.transport.sender import Sender
from robot_rl.runtime.transport.stream import Inbox, Outbox, is_before, place_of
from robot_rl.runtime.transport.wire import Place, Records
from tests.runtime.fakes import record, stream

SIZE = len(pack_record(record(0, 0)))


@dataclass
class Disk:
    """A backlog in memory that remembers what may be deleted."""

    records: list = field(default_factory=list)
    acknowledged: Place | None = None

    def read_after(self, cursor: Place | None) -> Iterator[tuple[Place, bytes]]:
        for r in list(self.records):
            if is_before(cursor, place_of(r)):
                yield place_of(r), pack_record(r)

    def acknowledge(self, cursor: Place | None) -> None:
        self.acknowledged = cursor


class Actor:
    """The actor's side without sockets."""

    def __init__(self, disk: Disk, memory: int, cursor: Place | None, window: int = 2**23) -> None:
        last = place_of(disk.records[-1]) if disk.records else None
        self.disk, self.outbox = disk, Outbox(memory, last)
        self.sender = Sender(self.outbox, disk, cursor, window_bytes=window)

    def make(self, r: object) -> None:
        self.disk.records.append(r)
        self.outbox.push(place_of(r), pack_record(r))

    def next(self) -> Records | None:
        found = self.sender.peek()
        if not found:
            return None
        message = Records("run", "a0", "s", self.sender.position, tuple(data for _, data in found))
        self.sender.sent()
        return message


@given(
    lengths=st.lists(st.integers(1, 5), min_size=1, max_size=6),
    fates=st.lists(
        st.sampled_from(["deliver", "lose", "repeat", "wait", "restart learner", "restart actor"]), max_size=60
    ),
    memory=st.integers(0, 30),
)
def test_whatever_happens_on_the_way_every_record_arrives_once_and_in_order(
    lengths: list[int], fates: list[str], memory: int
) -> None:
    records = stream(lengths)
    disk, inbox, arrived = Disk(), Inbox(), list[object]()
    actor = Actor(disk, memory * SIZE, None)
    saved: tuple[dict, int] = ({}, 0)  # what is left of the learner when it dies

    def deliver(message: Records) -> None:
        new, rewind = inbox.accept(message)
        arrived.extend(new)
        cursor = inbox.cursors.get("a0")
        if rewind:
            actor.sender.rewind(cursor)
        actor.sender.acknowledge(cursor)

    for i, r in enumerate(records):
        fate = fates[i] if i < len(fates) else "deliver"
        actor.make(r)
        if fate == "wait":
            continue
        if fate == "restart learner":
            inbox = Inbox(saved[0])
            del arrived[saved[1] :]
            actor.sender.rewind(inbox.cursors.get("a0"))  # it introduces itself and is told the cursor
        elif fate == "restart actor":
            actor = Actor(disk, memory * SIZE, inbox.cursors.get("a0"))
        message = actor.next()
        if message is not None and fate != "lose":
            deliver(message)
            if fate == "repeat":
                deliver(message)
        if i % 3 == 0:
            saved = (dict(inbox.cursors), len(arrived))
    actor.sender.rewind(inbox.cursors.get("a0"))
    while (message := actor.next()) is not None:
        deliver(message)
    assert [place_of(r) for r in arrived] == [place_of(r) for r in records]
    assert disk.acknowledged == place_of(records[-1]) and actor.outbox.size_bytes == 0


def test_a_gap_is_not_taken() -> None:
    inbox = Inbox()
    actor = Actor(Disk(), 2**20, None)
    messages = []
    for r in stream([3]):
        actor.make(r)
        messages.append(actor.next())
    assert inbox.accept(messages[0])[1] is False
    assert inbox.accept(messages[2]) == ([], True)
    assert inbox.cursors == {"a0": (0, 0)} and inbox.gaps == 1


def test_what_arrives_again_is_counted_and_dropped() -> None:
    inbox = Inbox()
    message = Records("run", "a0", "s", None, tuple(pack_record(r) for r in stream([3])))
    assert len(inbox.accept(message)[0]) == 3
    assert inbox.accept(message) == ([], False) and inbox.duplicates == 3


def test_records_out_of_order_are_refused_and_move_nothing() -> None:
    a, b = (pack_record(record(0, s)) for s in (0, 1))
    inbox = Inbox()
    with pytest.raises(DataError, match="out of order"):
        inbox.accept(Records("run", "a0", "s", None, (b, a)))
    assert inbox.cursors == {}


def test_memory_is_bounded_and_the_rest_comes_from_disk() -> None:
    records = stream([50])
    actor = Actor(Disk(), 10 * SIZE, None)
    for r in records:
        actor.make(r)
    assert actor.outbox.size_bytes <= 10 * SIZE and actor.outbox.after((0, 4)) is None
    actor.sender.rewind((0, 4))
    sent = []
    while (message := actor.next()) is not None:
        sent += message.unpack()
    assert [r.step_index for r in sent] == list(range(5, 50))


def test_no_more_is_under_way_than_the_window_allows() -> None:
    actor = Actor(Disk(), 2**20, None, window=3 * SIZE)
    sent = 0
    for r in stream([20]):
        actor.make(r)
        message = actor.next()
        sent += 0 if message is None else len(message.packed)
    assert sent == 3
    actor.sender.acknowledge((0, 2))
    assert actor.next() is not None


def test_a_learner_that_knows_more_than_the_disk_moves_the_stream_on() -> None:
    actor = Actor(Disk(), 2**20, (3, 7))
    actor.make(record(4, 0))
    message = actor.next()
    assert message is not None and message.previous == (3, 7)
    with pytest.raises(DataError, match="only grow"):
        actor.outbox.push((2, 0), b"")


def test_steps_without_their_beginning_stay_behind_and_the_next_episode_goes_on() -> None:
    """A damaged file has lost steps 2 to 4 of episode 0; memory holds its end and episode 1."""
    records = stream([8, 3])
    actor = Actor(Disk(), 6 * SIZE, None)
    for r in records:
        actor.make(r)
    actor.disk.records = records[:2]
    places = []
    while (message := actor.next()) is not None:
        places += [place_of(r) for r in message.unpack()]
    assert places == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)] and actor.sender.lost > 0
