"""Exactly once, in order, over a line that loses, repeats and forgets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.core.errors import DataError
from robot_rl.runtime.stream import Inbox, Outbox, is_before, place_of
from robot_rl.runtime.wire import Records
from tests.runtime.fakes import record, stream


def outbox_over(log: list, limit: int = 2000) -> Outbox:
    return Outbox("run", "a0", lambda first: [r for r in log if place_of(r)[0] >= first], limit)


@given(
    lengths=st.lists(st.integers(1, 5), min_size=1, max_size=6),
    fates=st.lists(st.sampled_from(["deliver", "lose", "repeat", "restart learner", "restart actor"]), max_size=60),
    limit=st.integers(1, 30),
)
def test_whatever_happens_on_the_way_every_record_arrives_once_and_in_order(
    lengths: list[int], fates: list[str], limit: int
) -> None:
    records = stream(lengths)
    log: list = []
    outbox, inbox = outbox_over(log, limit), Inbox()
    arrived: list = []
    saved: tuple[dict, int] = ({}, 0)  # cursors and number of records in the last checkpoint

    def deliver(message: Records) -> None:
        new, rewind = inbox.accept(message)
        arrived.extend(new)
        cursor = inbox.cursors.get("a0")
        outbox.acknowledge(cursor)
        if rewind:
            for again in outbox.messages_after(cursor):
                more, still = inbox.accept(again)
                assert not still
                arrived.extend(more)
            outbox.acknowledge(inbox.cursors.get("a0"))

    for i, r in enumerate(records):
        fate = fates[i] if i < len(fates) else "deliver"
        log.append(r)
        message = outbox.push(r)
        if fate == "lose":
            continue
        deliver(message)
        if fate == "repeat":
            deliver(message)
        elif fate == "restart learner":
            inbox = Inbox(saved[0])
            del arrived[saved[1] :]
        elif fate == "restart actor":
            outbox = outbox_over(log, limit)
            outbox.last = place_of(r)
        if i % 3 == 0:
            saved = (dict(inbox.cursors), len(arrived))
    cursor = inbox.cursors.get("a0")
    if is_before(cursor, outbox.last):  # the actor asks at the end, and the learner tells it to rewind
        for message in outbox.messages_after(cursor):
            arrived.extend(inbox.accept(message)[0])
    assert [place_of(r) for r in arrived] == [place_of(r) for r in records]


def test_a_gap_is_not_taken() -> None:
    inbox = Inbox()
    outbox = outbox_over([])
    messages = [outbox.push(r) for r in stream([3])]
    assert inbox.accept(messages[0])[1] is False
    assert inbox.accept(messages[2]) == ([], True)
    assert inbox.cursors == {"a0": (0, 0)} and inbox.gaps == 1


def test_what_arrives_again_is_counted_and_dropped() -> None:
    inbox, outbox = Inbox(), outbox_over([])
    messages = [outbox.push(r) for r in stream([3])]
    for m in [*messages, *messages]:
        inbox.accept(m)
    assert inbox.duplicates == 3


def test_records_out_of_order_are_refused_and_move_nothing() -> None:
    a, b = (outbox_over([]).push(record(0, s)).packed[0] for s in (0, 1))
    inbox = Inbox()
    with pytest.raises(DataError, match="out of order"):
        inbox.accept(Records("run", "a0", None, (b, a)))
    assert inbox.cursors == {}


def test_memory_is_bounded_and_the_rest_comes_from_the_log() -> None:
    log = stream([50])
    outbox = outbox_over(log, limit=10)
    for r in log:
        outbox.push(r)
    assert len(outbox._unacked) == 10
    again = [r for m in outbox.messages_after((0, 4)) for r in m.unpack()]
    assert [r.step_index for r in again] == list(range(5, 50))


def test_a_learner_that_knows_more_than_the_log_moves_the_stream_on() -> None:
    outbox = outbox_over([])
    outbox.acknowledge((3, 7))
    assert outbox.push(record(4, 0)).previous == (3, 7)
    with pytest.raises(DataError, match="only grow"):
        outbox.push(record(2, 0))
