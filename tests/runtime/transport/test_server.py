"""The learner's sockets: loopback or keys, one process for each actor, only well-formed messages."""

from __future__ import annotations

import socket as system
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgpack
import numpy as np
import pytest
import zmq

from robot_rl.core.errors import ConfigError
from robot_rl.runtime.transport import server as transport
from robot_rl.runtime.transport.keys import ActorKeys, load_actor_keys, load_learner_keys
from robot_rl.runtime.transport.parameters import ParameterPublisher, ParameterSubscriber
from robot_rl.runtime.transport.server import RecordServer
from robot_rl.runtime.transport.sockets import (
    Listener,
    Secured,
    check_local,
    connect,
    next_port,
    parse_endpoint,
    resolve,
)
from robot_rl.runtime.transport.wire import SCHEMA, Ack, Hello, Message, Records, Refuse, Welcome, decode, encode
from tests.runtime.transport.stub_learner import keys_for, until


def hello(actor: str = "a0", session: str = "s", run_id: str = "run") -> Hello:
    return Hello(run_id, actor, session, "host")


@contextmanager
def caller(endpoint: str, keys: ActorKeys | None = None) -> Iterator[zmq.Socket[bytes]]:
    with closing(connect(zmq.DEALER, endpoint, keys)) as socket:
        yield socket


def ask(server: RecordServer, socket: zmq.Socket[bytes], *messages: Message) -> list[Hello | Records]:
    """Send and return what the server makes of it; gives up after a second."""
    for message in messages:
        socket.send_multipart(encode(message))
    got: list[Hello | Records] = []
    end = time.monotonic() + 1.0
    while not got and time.monotonic() < end and not socket.poll(0):
        got += server.receive(0.05)
    return got


def answer(server: RecordServer, socket: zmq.Socket[bytes]) -> Message:
    until(lambda: list(server.receive(0.02)) or socket.poll(20))
    return decode(socket.recv_multipart())


@pytest.fixture
def server() -> Iterator[RecordServer]:
    with closing(RecordServer("run")) as s:
        yield s


@pytest.fixture
def secured(tmp_path: Path) -> Secured:
    """On an address of this machine other than 127.0.0.1, so that nothing leaves it."""
    return Secured("tcp://127.0.0.2:0", load_learner_keys(keys_for(tmp_path, "a1", "a2")))


@pytest.mark.parametrize(
    "endpoint", ["tcp://0.0.0.0:5000", "tcp://*:5000", "tcp://192.168.1.2:5000", "tcp://localhost:1"]
)
def test_other_addresses_need_keys(endpoint: str) -> None:
    for attempt in (check_local, lambda e: RecordServer("run", e), lambda e: ParameterPublisher("run", e)):
        with pytest.raises(ConfigError, match="refused without keys.*robot-rl keys create"):
            attempt(endpoint)
    with pytest.raises(ConfigError, match="robot-rl keys create"):
        connect(zmq.DEALER, endpoint)


@pytest.mark.parametrize(
    "endpoint",
    [
        "ipc:///tmp/x",
        "tcp://127.0.0.1",
        "127.0.0.1:5000",
        "tcp://127.0.0.1:99999",
        "tcp://127.0.0.1:5/x",
        "",
        "tcp://:5",
        "tcp://127.0.0.1:5@10.0.0.1:5",
        "tcp://[::1:5",
    ],
)
def test_what_is_no_endpoint_is_refused(endpoint: str, secured: Secured) -> None:
    for attempt in (check_local, next_port, lambda e: Listener(zmq.ROUTER, e, secured.keys)):
        with pytest.raises(ConfigError, match="expected tcp://HOST:PORT"):
            attempt(endpoint)


def test_parameters_are_one_port_higher() -> None:
    assert next_port("tcp://robot.lab:5555") == "tcp://robot.lab:5556"
    assert next_port("tcp://[::1]:5555") == "tcp://[::1]:5556"
    with pytest.raises(ConfigError, match="port after it"):
        next_port("tcp://robot.lab:65535")


def test_hosts_resolve_and_unknown_ones_are_named(secured: Secured, tmp_path: Path) -> None:
    assert resolve("127.0.0.1") == resolve("localhost") == "127.0.0.1"
    with pytest.raises(ConfigError, match=r"the host 'no-such-host.invalid' has no address"):
        connect(zmq.DEALER, "tcp://no-such-host.invalid:5", load_actor_keys(tmp_path / "actors" / "a1"))
    with pytest.raises(ConfigError, match=r"cannot listen on tcp://no-such-host.invalid:5: the host"):
        RecordServer("run", remote=Secured("tcp://no-such-host.invalid:5", secured.keys))


def test_a_port_in_use_is_an_error_with_the_port(server: RecordServer) -> None:
    with pytest.raises(ConfigError, match=f"cannot listen on {server.endpoint}"):
        RecordServer("run", server.endpoint)


def test_answers_reach_the_actor_they_are_for(server: RecordServer) -> None:
    with caller(server.endpoint) as first, caller(server.endpoint) as second:
        assert ask(server, first, hello("a0", "s0")) == [hello("a0", "s0")]
        assert ask(server, second, hello("a1", "s1")) == [hello("a1", "s1")]
        assert server.actors == ("a0", "a1")
        server.send("a1", Welcome("run", "learner", "x: 1", None, 0, 0))
        server.send("a0", Ack("learner", (1, 2), False, 3, 4))
        server.send("nobody", Ack("learner", None, False, 0, 0))
        assert answer(server, first) == Ack("learner", (1, 2), False, 3, 4)
        assert answer(server, second) == Welcome("run", "learner", "x: 1", None, 0, 0)


def test_malformed_messages_are_counted_and_dropped(server: RecordServer) -> None:
    with caller(server.endpoint) as socket:
        bad = [[b""], [b"\x80"], [b"x", b"y", b"z"], encode(Ack("l", None, False, 0, 0)), encode(Refuse("no"))]
        for frames in bad:
            socket.send_multipart(frames)
        assert ask(server, socket, hello()) == [hello()] and server.rejected == len(bad)


def test_an_oversized_message_ends_the_connection_and_nothing_else(server: RecordServer, monkeypatch) -> None:
    monkeypatch.setattr(transport, "MAX_FRAME_BYTES", 2**16)
    with closing(RecordServer("run")) as small, caller(small.endpoint) as big, caller(small.endpoint) as good:
        big.send_multipart([b"x" * 2**20])
        assert ask(small, good, hello()) == [hello()]
        assert small.rejected == 0, "it never got as far as a message"


def test_an_older_schema_is_refused_with_a_sentence(server: RecordServer) -> None:
    with caller(server.endpoint) as socket:
        socket.send_multipart(
            [msgpack.packb({"schema": 1, "kind": "hello", "run_id": "run", "actor": "a0", "last": None})]
        )
        got = answer(server, socket)
        assert isinstance(got, Refuse)
        assert f"schema version 1, expected {SCHEMA}: install the same version" in got.reason
    assert server.mismatched == server.rejected == 1 and server.actors == ()


def test_an_actor_of_another_run_is_refused_and_one_without_a_run_is_heard(server: RecordServer) -> None:
    with caller(server.endpoint) as socket:
        assert ask(server, socket, hello(run_id="other")) == []
        got = answer(server, socket)
        assert isinstance(got, Refuse) and "belongs to run 'other', this learner trains 'run'" in got.reason
        assert ask(server, socket, hello(run_id="")) == [hello(run_id="")]
        assert ask(server, socket, Records("other", "a0", "s", None, (b"x",))) == []
        assert isinstance(answer(server, socket), Refuse)


def test_two_actors_of_one_name(server: RecordServer, monkeypatch) -> None:
    with caller(server.endpoint) as first, caller(server.endpoint) as second:
        assert ask(server, first, hello(session="one"))
        assert ask(server, second, hello(session="two")) == [], "not heard, the first may be alive"
        assert not second.poll(100), "and not sent away, the first may be dead"
        monkeypatch.setattr(transport, "ALIVE_S", 0.0)
        assert ask(server, first, hello(session="one"))
        assert ask(server, second, hello(session="two")) == []
        got = answer(server, second)
        assert isinstance(got, Refuse) and "another actor called 'a0' is at work" in got.reason
        monkeypatch.setattr(transport, "TAKEOVER_S", 0.05)
        time.sleep(0.1)
        assert ask(server, second, hello(session="two")) == [hello(session="two")], "the first fell silent"
        server.send("a0", Ack("learner", None, False, 1, 2))
        assert isinstance(answer(server, second), Ack) and not first.poll(50)


def test_time_in_which_the_learner_did_not_listen_is_no_silence(server: RecordServer, monkeypatch) -> None:
    monkeypatch.setattr(transport, "TAKEOVER_S", 1.3)
    with caller(server.endpoint) as first, caller(server.endpoint) as second:
        assert ask(server, first, hello(session="one"))
        time.sleep(1.5)  # as in a long evaluation
        assert ask(server, second, hello(session="two")) == []


def test_a_refused_actor_is_forgotten(server: RecordServer) -> None:
    with caller(server.endpoint) as socket:
        assert ask(server, socket, hello())
        server.send("a0", Refuse("wrong layout"))
        assert answer(server, socket) == Refuse("wrong layout")
        assert server.actors == () and server.refused == 1


def test_the_number_of_actors_is_bounded(server: RecordServer, monkeypatch) -> None:
    monkeypatch.setattr(transport, "MAX_ACTORS", 2)
    with caller(server.endpoint) as socket:
        for i in range(2):
            assert ask(server, socket, hello(f"a{i}"))
        assert ask(server, socket, hello("a2")) == []
        got = answer(server, socket)
        assert isinstance(got, Refuse) and "has 2 actors already" in got.reason


def test_keys_open_another_address_to_those_who_have_them(secured: Secured, tmp_path: Path) -> None:
    with closing(RecordServer("run", remote=secured)) as server:
        assert parse_endpoint(server.remote_endpoint)[0] == "127.0.0.2"
        known = load_actor_keys(tmp_path / "actors" / "a1")
        with caller(server.remote_endpoint, known) as socket:
            assert ask(server, socket, hello("a1")) == [hello("a1")]
            server.send("a1", Ack("learner", None, False, 1, 2))
            assert answer(server, socket) == Ack("learner", None, False, 1, 2)
            assert ask(server, socket, hello("a2")) == []
            got = answer(server, socket)
            assert isinstance(got, Refuse) and got.reason == "the actor's key was made for 'a1', it calls itself 'a2'"
        with caller(server.endpoint) as socket:  # loopback stays open to this machine's own actors
            assert ask(server, socket, hello("a0")) == [hello("a0")]


def test_strangers_are_not_heard(secured: Secured, tmp_path: Path) -> None:
    keys_for(tmp_path / "elsewhere", "a1")
    stranger = load_actor_keys(tmp_path / "elsewhere" / "actors" / "a1")
    with closing(RecordServer("run", remote=secured)) as server:
        host, port = parse_endpoint(server.remote_endpoint)
        with (
            caller(server.remote_endpoint, stranger) as wrong_server_key,
            caller(
                server.remote_endpoint, ActorKeys("a1", stranger.public, stranger.secret, secured.keys.public)
            ) as wrong,
            closing(zmq.Context.instance().socket(zmq.DEALER)) as plain,
            system.create_connection((host, port)) as raw,
        ):
            plain.setsockopt(zmq.LINGER, 0)
            plain.connect(server.remote_endpoint)
            raw.sendall(b"GET / HTTP/1.0\r\n\r\n")
            for socket in (wrong_server_key, wrong, plain):
                socket.send_multipart(encode(hello("a1")))
            end = time.monotonic() + 0.7
            while time.monotonic() < end:
                assert list(server.receive(0.05)) == []
        assert server.actors == () and server.rejected == 0
        with caller(server.remote_endpoint, load_actor_keys(tmp_path / "actors" / "a1")) as good:
            assert ask(server, good, hello("a1")) == [hello("a1")]


def test_parameters_travel_encrypted_to_those_with_keys(secured: Secured, tmp_path: Path) -> None:
    known = load_actor_keys(tmp_path / "actors" / "a1")
    keys_for(tmp_path / "elsewhere", "a1")
    foreign = load_actor_keys(tmp_path / "elsewhere" / "actors" / "a1")
    stranger = ActorKeys("a1", foreign.public, foreign.secret, secured.keys.public)
    with closing(ParameterPublisher("run", remote=secured)) as publisher:
        publisher.publish(3, {"w": np.ones(2, np.float32)})
        with (
            closing(ParameterSubscriber("run", publisher.remote_endpoint, known)) as good,
            closing(ParameterSubscriber("run", publisher.remote_endpoint, stranger)) as bad,
        ):
            got = []

            def heard() -> bool:
                publisher.repeat()
                got.extend(filter(None, [good.latest(0.05)]))
                assert bad.latest() is None
                return bool(got)

            until(heard)
            assert got[0].version == 3 and got[0].arrays["w"].tolist() == [1.0, 1.0]


def test_only_the_newest_parameters_arrive_and_late_listeners_get_them_too() -> None:
    with closing(ParameterPublisher("run")) as publisher:
        for version in range(50):
            publisher.publish(version, {"w": np.full(3, version, np.float32)})
        with closing(ParameterSubscriber("run", publisher.endpoint)) as subscriber:
            got = []

            def heard() -> bool:
                publisher.repeat()
                got.extend(filter(None, [subscriber.latest(0.05)]))
                return bool(got)

            until(heard)
            assert [m.version for m in got] == [49] and got[0].arrays["w"].tolist() == [49.0] * 3
            before_s = subscriber.heard_s

            def confirmed() -> bool:
                publisher.repeat()
                assert subscriber.latest(0.05) is None, "the same version is not news"
                return subscriber.heard_s > before_s

            until(confirmed)
            for version in (60, 61, 62):
                publisher.publish(version, {"w": np.zeros(1, np.float32)})
            versions: list[int] = []

            def newest() -> bool:
                versions.extend(m.version for m in [subscriber.latest(0.05)] if m)
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
