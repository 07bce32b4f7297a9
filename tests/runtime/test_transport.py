"""Sockets: only this machine, only well-formed messages, only the newest parameters."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing

import numpy as np
import pytest
import zmq

from robot_rl.core.errors import ConfigError
from robot_rl.runtime.broadcast import ParameterPublisher, ParameterSubscriber
from robot_rl.runtime.sockets import check_local
from robot_rl.runtime.stream import Inbox, Outbox
from robot_rl.runtime.transport import RecordClient, RecordServer
from robot_rl.runtime.wire import Ack, Hello, Records, encode
from tests.runtime.fakes import stream


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "nothing happened in 20 s"


@pytest.fixture
def server() -> Iterator[RecordServer]:
    with closing(RecordServer("run")) as s:
        yield s


@pytest.mark.parametrize(
    "endpoint",
    [
        "tcp://0.0.0.0:5000",
        "tcp://*:5000",
        "tcp://192.168.1.2:5000",
        "tcp://localhost:1",
        "ipc:///tmp/x",
        "tcp://127.0.0.1",
        "127.0.0.1:5000",
        "tcp://127.0.0.1:99999",
        "tcp://127.0.0.1:5/x",
        "tcp://127.0.0.1:5@10.0.0.1:5",
        "",
    ],
)
def test_other_addresses_are_refused(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="CURVE keys are needed for other addresses"):
        check_local(endpoint)
    with pytest.raises(ConfigError, match="CURVE"):
        RecordServer("run", endpoint)
    with pytest.raises(ConfigError, match="CURVE"):
        ParameterPublisher("run", endpoint)


def test_a_port_in_use_is_an_error_with_the_port(server: RecordServer) -> None:
    with pytest.raises(ConfigError, match=f"cannot listen on {server.endpoint}"):
        RecordServer("run", server.endpoint)


def test_records_arrive_and_are_acknowledged(server: RecordServer) -> None:
    records = stream([4, 3])
    outbox = Outbox("run", "a0", lambda first: records)
    inbox, arrived = Inbox(), []
    with closing(RecordClient("run", "a0", server.endpoint, outbox)) as client:
        for r in records:
            client.send(r)  # before the connection stands: these are lost and asked for again

        def exchange() -> bool:
            client.poll(0.01)
            for message in server.receive(0.01):
                rewind = isinstance(message, Hello)
                if isinstance(message, Records):
                    new, rewind = inbox.accept(message)
                    arrived.extend(new)
                server.send("a0", Ack(inbox.cursors.get("a0"), rewind, 123, len(arrived)))
            return client.settled

        until(exchange)
        assert (client.allowed, client.env_steps) == (123, 7)
    assert [r.episode_id for r in arrived] == [r.episode_id for r in records]


def test_an_actor_without_a_learner_never_waits() -> None:
    outbox = Outbox("run", "a0", lambda first: [])
    with closing(RecordClient("run", "a0", "tcp://127.0.0.1:9", outbox)) as client:
        for r in stream([200]):
            client.send(r)
            client.poll()
        assert not client.settled and not client.answered


def test_malformed_and_foreign_messages_are_counted_and_dropped(server: RecordServer) -> None:
    socket = zmq.Context.instance().socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(server.endpoint)
    try:
        bad = [[b""], [b"\x80"], [b"x", b"y", b"z"], encode(Hello("other", "a0")), encode(Ack(None, False, 0, 0))]
        for frames in bad:
            socket.send_multipart(frames)
        socket.send_multipart(encode(Hello("run", "a0")))
        got: list[Hello | Records] = []
        until(lambda: got.extend(server.receive(0.05)) or got)
        assert got == [Hello("run", "a0")] and server.rejected == len(bad)
    finally:
        socket.close()


def test_only_the_newest_parameters_arrive_and_late_listeners_get_them_too() -> None:
    with closing(ParameterPublisher("run")) as publisher:
        for version in range(50):
            publisher.publish(version, {"w": np.full(3, version, np.float32)})
        with closing(ParameterSubscriber("run", publisher.endpoint)) as subscriber:
            got = []

            def heard() -> bool:
                publisher.repeat()
                message = subscriber.latest(0.05)
                got.extend([message] if message else [])
                return bool(got)

            until(heard)
            assert [m.version for m in got] == [49] and got[0].arrays["w"].tolist() == [49.0] * 3
            publisher.repeat()
            assert subscriber.latest(0.05) is None, "the same version is not news"
            for version in (60, 61, 62):
                publisher.publish(version, {"w": np.zeros(1, np.float32)})
            versions: list[int] = []

            def newest() -> bool:
                message = subscriber.latest(0.05)
                versions.extend([message.version] if message else [])
                return bool(versions) and versions[-1] == 62

            until(newest)
            assert versions == sorted(versions)


def test_parameters_of_another_run_are_ignored() -> None:
    with closing(ParameterPublisher("other")) as publisher:
        publisher.publish(1, {})
        with closing(ParameterSubscriber("run", publisher.endpoint)) as subscriber:

            def rejected() -> bool:
                publisher.repeat()
                assert subscriber.latest(0.05) is None
                return subscriber.rejected > 0

            until(rejected)
