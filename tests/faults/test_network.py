"""The tools that disturb the network do what their names say."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from tests.faults.proxy import Proxy
from tests.faults.tunnel import LEARNER_IP, Tunnel, Weather, tunnel_problem

ECHO = """
import socket
server = socket.create_server(("{host}", {port}))
print("up", flush=True)
one, _ = server.accept()
while data := one.recv(65536):
    one.sendall(data)
"""
ASK = """
import socket
one = socket.create_connection(("{host}", {port}), timeout=30)
sent, got = bytes(range(256)) * 2000, b""
one.sendall(sent[:256000]); one.settimeout(30)
while len(got) < 256000:
    got += one.recv(65536)
one.sendall(sent[256000:])
while len(got) < len(sent):
    got += one.recv(65536)
print(got == sent)
"""


@pytest.fixture
def echo() -> Iterator[str]:
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        try:
            while True:
                one, _ = server.accept()
                threading.Thread(target=answer, args=(one,), daemon=True).start()
        except OSError:
            return

    def answer(one: socket.socket) -> None:
        with one:
            try:
                while data := one.recv(65_536):
                    one.sendall(data)
            except OSError:
                return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


def dial(endpoint: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(endpoint.rpartition(":")[2])), timeout=10)


def answer_of(one: socket.socket) -> bytes:
    """What comes back for three letters; nothing if the connection does not live."""
    with suppress(ConnectionError):
        one.sendall(b"abc")
        return one.recv(10)
    return b""


def test_the_proxy_forwards_stalls_and_resets(echo: str) -> None:
    with closing(Proxy([echo])) as proxy, dial(proxy.endpoints[0]) as one:
        one.sendall(b"abc")
        assert one.recv(10) == b"abc"
        proxy.stalled = True
        one.sendall(b"def")
        one.settimeout(0.2)
        with pytest.raises(TimeoutError):
            one.recv(10)
        proxy.stalled = False
        one.settimeout(10)
        assert one.recv(10) == b"def"
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            one.recv(10)


def test_a_cut_proxy_refuses_and_comes_back(echo: str) -> None:
    with closing(Proxy([echo])) as proxy:
        proxy.cut = True
        # It may hang up before or after the connection is complete.
        with suppress(ConnectionResetError), dial(proxy.endpoints[0]) as one:
            assert answer_of(one) == b""
        proxy.cut = False
        with dial(proxy.endpoints[0]) as one:
            assert answer_of(one) == b"abc"


@pytest.mark.slow
@pytest.mark.faults
def test_the_tunnel_loses_and_reorders_and_tcp_survives_it() -> None:
    if why := tunnel_problem():
        pytest.skip(why)
    with closing(Tunnel()) as tunnel:
        tunnel.weather = Weather(delay_s=0.01, loss=0.05, reorder=0.2)
        names = {"host": LEARNER_IP, "port": 5555}
        server = subprocess.Popen([*tunnel.learner, sys.executable, "-c", ECHO.format(**names)], stdout=subprocess.PIPE)
        assert server.stdout is not None and server.stdout.readline()
        done = subprocess.run(
            [*tunnel.actor, sys.executable, "-c", ASK.format(**names)], capture_output=True, text=True, timeout=60
        )
        server.kill()
        server.wait()
        server.stdout.close()
        assert done.stdout == "True\n", done.stderr
        assert tunnel.lost > 0 and tunnel.overtaken > 0 and tunnel.carried > 100
