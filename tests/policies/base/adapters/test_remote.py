"""Base policies over real sockets: a server process, its key, and everything that may go wrong on the way."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.core.base import BaseInfo, BasePolicy
from robot_rl.core.errors import ConfigError, DataError, DeviceError
from robot_rl.core.specs import StateSpec
from robot_rl.core.transition import Observation
from robot_rl.core.types import Float32
from robot_rl.policies.base.adapters.asked import Asked
from robot_rl.policies.base.adapters.remote import HttpBase
from robot_rl.policies.base.adapters.serving import BaseServer
from robot_rl.policies.base.adapters.wire import (
    KEY_VARIABLE,
    pack_info,
    pack_plans,
    pack_question,
    unpack_info,
    unpack_plans,
    unpack_question,
)
from robot_rl.policies.base.open import open_base
from robot_rl.testing import BasePolicyContract
from tests.policies.base.adapters.foreign import CARD, SPEC, noise_for, seeing_module, seen_by

KEY = "a key that nobody guesses"
INFO = BaseInfo("toy", "c0ffee", horizon=3, noise_shape=(2, 7), cameras={"wrist": (6, 8, 3)})
SEEN = [Observation(np.zeros(5, np.float32), {"wrist": np.zeros((6, 8, 3), np.uint8)})]
NOISE = np.zeros((2, 2, 7), np.float32)


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


class Toy:
    """Answers what it is told to."""

    def __init__(self, answer: Callable[[], Float32], info: BaseInfo = INFO) -> None:
        self.answer, self.info = answer, info

    def propose(self, seen: Sequence[Observation], noise: Float32) -> Float32:
        return self.answer()

    def close(self) -> None:
        pass


def zeros() -> Float32:
    return np.zeros((2, 3, 7), np.float32)


@contextmanager
def serving(base: BasePolicy, key: str = "", port: int = 0) -> Iterator[str]:
    server = BaseServer(base, port=port, key=key)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server.url
    finally:
        server.stop()
        thread.join()
        server.close()


@contextmanager
def talking(*answers: bytes) -> Iterator[str]:
    """A server that says these bytes, one connection after the other, whatever it is asked; then falls silent."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for answer in answers:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def http_answer(body: bytes, status: str = "200 OK", length: int | None = None) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Length: {len(body) if length is None else length}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Addresses of two processes that serve two modules."""
    folder = tmp_path_factory.mktemp("served")
    command = [sys.executable, "-m", "robot_rl.cli", "serve-base", "--port", "0"]
    modules = [f"torchscript:{seeing_module(folder / f'{i}.pt', i)}" for i in range(2)]
    processes = [subprocess.Popen([*command, where], stdout=subprocess.PIPE, text=True) for where in modules]
    first, second = (str(p.stdout.readline()).split()[-1] for p in processes if p.stdout)
    yield first, second
    for process in processes:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        if process.stdout:
            process.stdout.close()


class TestServedModule(BasePolicyContract):
    @pytest.fixture(autouse=True)
    def _served(self, served: tuple[str, str]) -> None:
        self.urls = served

    def make(self) -> tuple[BasePolicy, StateSpec]:
        return HttpBase(self.urls[0]), SPEC

    def make_other(self) -> BasePolicy:
        return open_base(self.urls[1])


def test_answers_are_those_of_the_base_itself(served: tuple[str, str], tmp_path: Path) -> None:
    """To the bit: nothing is lost on the way."""
    local, remote = open_base(f"torchscript:{seeing_module(tmp_path / '0.pt')}"), HttpBase(served[0])
    assert remote.info == local.info
    seen, noise = seen_by(CARD), noise_for(CARD, 5)
    np.testing.assert_array_equal(remote.propose(seen, noise), local.propose(seen, noise))
    remote.close()


def test_one_connection_is_kept_open(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    connect = http.client.HTTPConnection.connect
    monkeypatch.setattr(http.client.HTTPConnection, "connect", lambda c: (opened.append(c), connect(c))[1])
    with serving(Toy(zeros)) as url:
        base = HttpBase(url, retries=0)
        for _ in range(5):
            base.propose(SEEN, NOISE)
        base.close()
    assert len(opened) == 1


def test_a_server_that_came_back_is_asked_again() -> None:
    with serving(Toy(zeros)) as url:
        base = HttpBase(url)
        base.propose(SEEN, NOISE)
    base.close()
    with pytest.raises(DeviceError, match="cannot be asked"):
        base.propose(SEEN, NOISE)
    with serving(Toy(zeros), port=int(url.rpartition(":")[2])):
        base.propose(SEEN, NOISE)
    with serving(Toy(zeros, BaseInfo("other", "decaf", 3)), port=int(url.rpartition(":")[2])):
        with pytest.raises(DeviceError, match="another base"):
            base.propose(SEEN, NOISE)
        base.close()


def test_errors_of_the_base_come_through() -> None:
    def fails(error: Exception) -> Callable[[], Float32]:
        def answer() -> Float32:
            raise error

        return answer

    for error, kind, text in (
        (DataError("the state is not finite"), DataError, "the state is not finite"),
        (DeviceError("no GPU"), DeviceError, "HTTP 500: no GPU"),
        (RuntimeError("out of memory"), DeviceError, "RuntimeError out of memory"),
    ):
        with serving(Toy(fails(error))) as url:
            base = HttpBase(url)
            with pytest.raises(kind, match=text):
                base.propose(SEEN, NOISE)
            base.close()


@pytest.mark.parametrize("plans", [zeros()[:1], zeros() + 2, zeros() * np.nan, zeros().astype(np.float64)])
def test_what_cannot_be_executed_is_refused(plans: Float32) -> None:
    """By the server already, and by who asks if a server sends it all the same."""
    with serving(Toy(lambda: plans)) as url:
        base = HttpBase(url)
        with pytest.raises(DeviceError, match="the base toy answers with"):
            base.propose(SEEN, NOISE)
        base.close()
    if plans.dtype == np.float32:
        with talking(http_answer(pack_info(INFO)), http_answer(pack_plans(plans))) as url:
            base = HttpBase(url, retries=0)
            with pytest.raises(DeviceError, match="answers with"):
                base.propose(SEEN, NOISE)


def test_who_knows_the_key_comes_in() -> None:
    with serving(Toy(zeros), KEY) as url:
        base = HttpBase(url, key=KEY)
        base.propose(SEEN, NOISE)
        base.close()
        for key in ("", "another key of that length"):
            with pytest.raises(DeviceError, match=KEY_VARIABLE):
                HttpBase(url, key=key)


def test_answers_of_strangers_are_not_executed() -> None:
    """They may stand between, but they cannot sign."""
    with talking(http_answer(pack_info(INFO))) as url, pytest.raises(DeviceError, match="not signed"):
        HttpBase(url, key=KEY, retries=0)


def test_others_are_not_served_without_a_key() -> None:
    for host in ("0.0.0.0", "", "::", "192.0.2.1"):
        with pytest.raises(ConfigError, match=KEY_VARIABLE):
            BaseServer(Toy(zeros), host)
        with pytest.raises(ConfigError, match="16"):
            BaseServer(Toy(zeros), host, key="short")


def test_others_are_not_asked_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="another machine"):
        HttpBase("http://192.0.2.1:8765")
    monkeypatch.setenv(KEY_VARIABLE, "short")
    with pytest.raises(ConfigError, match="16"):
        HttpBase("http://127.0.0.1:8765")


@pytest.mark.parametrize("url", ["127.0.0.1:80", "ftp://h", "http://", "http://u:p@h", "http://h?q", "http://h:port"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="expected http"):
        HttpBase(url)


def test_silence_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time-out is for the whole answer, also when bytes keep dripping in."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(DeviceError, match="did not answer within 0.05 s"):
            HttpBase(url, timeout_s=0.05, retries=0)
    with serving(Toy(zeros)) as url:
        base = HttpBase(url, timeout_s=30)
        ticks = iter([0.0, 0.0, 0.0, 31.0, 0.0, 0.0, 0.0, 31.0])
        monkeypatch.setattr("robot_rl.policies.base.adapters.remote.time.monotonic", lambda: next(ticks))
        with pytest.raises(DeviceError, match="did not answer within 30 s"):
            base.propose(SEEN, NOISE)
        base.close()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (http_answer(b"<html>"), "serve-base"),
        (http_answer(b"{}"), "serve-base"),
        (http_answer(pack_info(INFO).replace(b'"schema": 1', b'"schema": 9')), "schema 9"),
        (http_answer(b"no", "404 Not Found"), "404"),
        (http_answer(b'{"error": "busy"}', "503 Busy"), "busy"),
        (http_answer(b"short", length=500), "cannot be asked"),
        (b"SSH-2.0\r\n\r\n", "cannot be asked"),
        (b"", "cannot be asked"),
    ],
)
def test_other_servers_are_told_apart(answer: bytes, message: str) -> None:
    with talking(answer, answer) as url, pytest.raises(DeviceError, match=message):
        HttpBase(url)


def test_a_hiccup_is_repeated() -> None:
    good = http_answer(pack_info(INFO))
    for bad in (b"", http_answer(b"", "503 Busy")):
        with talking(bad, good) as url:
            assert HttpBase(url, retries=1).info == INFO


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        ("GET", "/", {}, b"", 404),
        ("POST", "/info", {}, b"", 404),
        ("POST", "/propose", {}, b"", 409),
        ("POST", "/propose", {"X-Base-Checksum": "c0ffee"}, b"nonsense", 400),
        ("POST", "/propose", {"X-Base-Checksum": "c0ffee"}, pack_plans(zeros()), 400),
        ("POST", "/propose", {"X-Base-Checksum": "c0ffee", "Content-Length": "99999999999"}, b"", 400),
        ("POST", "/propose", {"X-Base-Checksum": "c0ffee", "Content-Length": "-1"}, b"", 400),
        ("POST", "/any/where/propose", {"X-Base-Checksum": "c0ffee"}, b"OK", 200),
    ],
)
def test_the_server_bears_what_comes(method: str, path: str, headers: dict[str, str], body: bytes, status: int) -> None:
    if body == b"OK":
        body = pack_question(Asked(SEEN[0].state[None], NOISE, {"wrist": SEEN[0].images["wrist"][None]}))
    with serving(Toy(zeros)) as url:
        connection = http.client.HTTPConnection(str(urlsplit(url).netloc))
        connection.request(method, path, body, headers)
        assert connection.getresponse().status == status
        connection.close()


shapes = st.tuples(st.integers(1, 3), st.integers(0, 4), st.integers(1, 5), st.integers(1, 5))


@given(shapes, st.binary(max_size=8))
def test_questions_and_answers_survive_the_wire(sizes: tuple[int, int, int, int], seed: bytes) -> None:
    steps, n, h, w = sizes
    rng = np.random.default_rng(list(seed))
    pictures = {"a": rng.integers(0, 256, (steps, h, w, 3), np.uint8)}
    asked = Asked(
        rng.standard_normal((steps, n)).astype(np.float32),
        rng.standard_normal((n + 1, n, n)).astype(np.float32),
        pictures,
    )
    found = unpack_question(pack_question(asked))
    np.testing.assert_array_equal(found.state, asked.state)
    np.testing.assert_array_equal(found.noise, asked.noise)
    np.testing.assert_array_equal(found.pictures["a"], pictures["a"])
    np.testing.assert_array_equal(unpack_plans(pack_plans(asked.noise)), asked.noise)
    assert unpack_info(pack_info(INFO)) == INFO


@given(st.binary(max_size=200))
def test_noise_on_the_wire_is_refused_in_one_sentence(data: bytes) -> None:
    for reading in (unpack_question, unpack_plans, unpack_info):
        with pytest.raises(DataError):
            reading(data)


def test_a_process_that_may_not_serve_says_why() -> None:
    command = [sys.executable, "-m", "robot_rl.cli", "serve-base", "torchscript:none.pt", "--host", "0.0.0.0"]
    environment = {k: v for k, v in os.environ.items() if k != KEY_VARIABLE}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert KEY_VARIABLE in done.stderr
