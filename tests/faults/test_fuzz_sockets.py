"""Peers that send garbage do not keep a learner's end from serving a good actor."""

from __future__ import annotations

import random
import time
from contextlib import closing, suppress

import zmq

from robot_rl.core.errors import DataError
from robot_rl.data.codec import pack_record
from robot_rl.runtime.transport.link import Link
from robot_rl.runtime.transport.messages import Ack, Hello, Records, Welcome
from robot_rl.runtime.transport.server import RecordServer
from robot_rl.runtime.transport.stream import Inbox, place_of
from robot_rl.runtime.transport.wire import encode
from tests.faults.fuzz import good_messages, mutated
from tests.runtime.fakes import stream

INPUTS = 600


class Nothing:
    """A spool that holds nothing: the link has all records in memory."""

    def read_after(self, cursor: object) -> list[tuple[tuple[int, int], bytes]]:
        return []

    def acknowledge(self, cursor: object) -> None:
        pass


def serve(server: RecordServer, inbox: Inbox) -> None:
    """What a learner does with what it receives, without the learning."""
    answered = set()
    for message in server.receive(0.01):
        if isinstance(message, Hello):
            server.send(message.actor, Welcome("run", "l1", "", inbox.cursors.get(message.actor), 0, 0))
        elif isinstance(message, Records):
            with suppress(DataError):
                inbox.accept(message)
            answered.add(message.actor)
    for actor in answered:
        server.send(actor, Ack("l1", inbox.cursors.get(actor), False, 1000, 0))


def test_a_good_actor_is_served_among_garbage() -> None:
    rng = random.Random(3)
    messages = [encode(m) for m in (*good_messages("run", "bad", "s5"), *good_messages("foreign", "a6", "s6"))]
    source, records, inbox = mutated(rng, messages), stream([40, 40, 40]), Inbox()
    with zmq.Context() as context, closing(RecordServer("run")) as server:
        garbage = context.socket(zmq.DEALER)
        garbage.setsockopt(zmq.LINGER, 0)
        garbage.connect(server.endpoint)
        with closing(Link("good", server.endpoint, "tcp://127.0.0.1:1")) as link:
            attached = sent = 0
            end_s = time.monotonic() + 60
            while sent < INPUTS or not link.settled or inbox.cursors.get("good") != place_of(records[-1]):
                assert time.monotonic() < end_s, (sent, link.status, inbox.cursors)
                for _ in range(10 if sent < INPUTS else 0):
                    frames = next(source)
                    if sum(map(len, frames)) < 2**20:  # what is longer ends the connection, and another test
                        garbage.send_multipart(frames or [b""])
                        sent += 1
                if not attached and link.status.welcome is not None:
                    link.attach(Nothing(), "0123", None)
                    attached = 1
                if attached and records[attached - 1 :]:
                    record = records[attached - 1]
                    link.offer(place_of(record), pack_record(record))
                    attached += 1
                serve(server, inbox)
        garbage.close()
        assert server.rejected > INPUTS // 4
