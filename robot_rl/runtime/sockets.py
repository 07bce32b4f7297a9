"""Sockets of this machine: nothing here can be reached from another one."""

from __future__ import annotations

from urllib.parse import urlsplit

import zmq

from robot_rl.core.errors import ConfigError

LOCALHOST = "127.0.0.1"
ANY_PORT = f"tcp://{LOCALHOST}:0"


def check_local(endpoint: str) -> str:
    """The endpoint, if it is a TCP port of this machine's loopback interface.

    Raises:
        ConfigError: it is anything else; a connection across a network needs keys.
    """
    try:
        parts = urlsplit(endpoint)
        ok = parts.scheme == "tcp" and parts.hostname == LOCALHOST and parts.port is not None and not parts.path
    except ValueError:
        ok = False
    if not ok:
        raise ConfigError(
            f"endpoint {endpoint!r} is refused, expected tcp://{LOCALHOST}:PORT: "
            "CURVE keys are needed for other addresses"
        )
    return endpoint


def _socket(kind: int, **options: int) -> zmq.Socket[bytes]:
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(kind)
    socket.setsockopt(zmq.LINGER, 0)
    for name, value in options.items():
        socket.setsockopt(getattr(zmq, name), value)
    return socket


def listen(kind: int, endpoint: str, **options: int) -> tuple[zmq.Socket[bytes], str]:
    """A socket bound to a local endpoint, and the endpoint with its real port."""
    check_local(endpoint)
    socket = _socket(kind, **options)
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as e:
        socket.close()
        raise ConfigError(f"cannot listen on {endpoint}: {e.strerror}") from e
    return socket, socket.getsockopt_string(zmq.LAST_ENDPOINT)


def connect(kind: int, endpoint: str, **options: int) -> zmq.Socket[bytes]:
    """A socket connected to a local endpoint, whether or not somebody listens there yet."""
    check_local(endpoint)
    socket = _socket(kind, **options)
    socket.connect(endpoint)
    return socket
