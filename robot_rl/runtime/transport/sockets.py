"""Sockets: plain ones on this machine's loopback interface only, encrypted and authenticated ones anywhere."""

from __future__ import annotations

import socket as system
from dataclasses import dataclass
from urllib.parse import urlsplit

import zmq
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils import z85

from robot_rl.core.errors import ConfigError
from robot_rl.runtime.transport.keys import CREATE, ActorKeys, LearnerKeys

LOCALHOST = "127.0.0.1"
ANY_PORT = f"tcp://{LOCALHOST}:0"
# A peer that went away without a word is noticed after this, and connected to again.
HEARTBEAT_MS = 1_000
HEARTBEAT_TIMEOUT_MS = 5_000
RECONNECT_MS = 100
RECONNECT_MAX_MS = 2_000
CONNECT_TIMEOUT_MS = 3_000
_ZAP_DOMAIN = b"robot_rl"


@dataclass(frozen=True)
class Secured:
    """Where a learner listens for actors of other machines.

    Attributes:
        endpoint: ``tcp://HOST:PORT``; ``*`` for every interface.
        keys: of the learner.
    """

    endpoint: str
    keys: LearnerKeys


def parse_endpoint(endpoint: str) -> tuple[str, int]:
    """Host and port of ``tcp://HOST:PORT``.

    Raises:
        ConfigError: it is written differently.
    """
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname or "", parts.port
        ok = parts.scheme == "tcp" and not (parts.path or parts.query or parts.username) and host and port is not None
    except ValueError:
        ok = False
    if not ok or port is None:
        raise ConfigError(f"endpoint {endpoint!r} is refused, expected tcp://HOST:PORT")
    return host, port


def next_port(endpoint: str) -> str:
    """The endpoint one port higher: parameters are published beside the port for records.

    Raises:
        ConfigError: there is no such endpoint.
    """
    host, port = parse_endpoint(endpoint)
    if port == 65535:
        raise ConfigError(f"endpoint {endpoint!r} is refused: the port after it is needed too")
    return f"tcp://{_bracketed(host)}:{port + 1}"


def check_local(endpoint: str) -> str:
    """The endpoint, if it is a TCP port of this machine's loopback interface.

    Raises:
        ConfigError: it is anything else; a connection across a network needs keys.
    """
    host, _ = parse_endpoint(endpoint)
    if host != LOCALHOST:
        raise ConfigError(
            f"endpoint {endpoint!r} is refused without keys, expected tcp://{LOCALHOST}:PORT: "
            f"for other addresses make CURVE keys with `{CREATE}` and pass them with --keys"
        )
    return endpoint


class Listener:
    """A bound socket.

    Args:
        kind: of the socket, such as ``zmq.ROUTER``.
        endpoint: where; port 0 picks a free one.
        keys: admit only actors these keys know, encrypted; without them only loopback will do.
        options: of the socket, by name.

    Raises:
        ConfigError: the endpoint needs keys, does not exist here or is taken.

    Attributes:
        socket: use it in one thread only.
        endpoint: with its real port.
        keys: as given.
    """

    def __init__(self, kind: int, endpoint: str, keys: LearnerKeys | None = None, **options: int) -> None:
        self.keys = keys
        host, port = parse_endpoint(check_local(endpoint) if keys is None else endpoint)
        # Authentication belongs to a context, so every socket with keys has its own.
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance() if keys is None else zmq.Context()
        self._guard = None if keys is None else _Guard(self._context, keys)
        self.socket = _socket(self._context, kind, **options)
        try:
            if keys is not None:
                self.socket.setsockopt(zmq.CURVE_SERVER, 1)
                self.socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
                self.socket.setsockopt(zmq.ZAP_DOMAIN, _ZAP_DOMAIN)
            address = resolve(host) if host != "*" else host
            self.socket.setsockopt(zmq.IPV6, int(":" in address))
            self.socket.bind(f"tcp://{_bracketed(address)}:{port}")
        except (zmq.ZMQError, ConfigError) as e:
            self.close()
            reason = e.strerror if isinstance(e, zmq.ZMQError) else e
            raise ConfigError(f"cannot listen on {endpoint}: {reason}") from e
        self.endpoint: str = self.socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def close(self) -> None:
        """Close the socket. May be called twice."""
        self.socket.close()
        if self._guard is not None:
            self._guard.stop()
            self._guard = None
            self._context.term()


def listen_all(kind: int, endpoint: str, remote: Secured | None, **options: int) -> list[Listener]:
    """A listener on this machine's endpoint and, where others may join, a second one with keys.

    Raises:
        ConfigError: one of them cannot listen; then neither does.
    """
    listeners = [Listener(kind, endpoint, None, **options)]
    if remote is not None:
        try:
            listeners.append(Listener(kind, remote.endpoint, remote.keys, **options))
        except BaseException:
            listeners[0].close()
            raise
    return listeners


def connect(kind: int, endpoint: str, keys: ActorKeys | None = None, **options: int) -> zmq.Socket[bytes]:
    """A socket connected to an endpoint, whether or not somebody listens there yet.

    Raises:
        ConfigError: the endpoint needs keys, or its host has no address.
    """
    host, _ = parse_endpoint(check_local(endpoint) if keys is None else endpoint)
    ipv6 = int(":" in resolve(host))
    socket = _socket(zmq.Context.instance(), kind, CONNECT_TIMEOUT=CONNECT_TIMEOUT_MS, IPV6=ipv6, **options)
    if keys is not None:
        socket.setsockopt(zmq.CURVE_SERVERKEY, keys.learner)
        socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public)
        socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
    socket.connect(endpoint)
    return socket


def resolve(host: str) -> str:
    """The first address of a host, IPv4 before IPv6.

    Raises:
        ConfigError: it has none.
    """
    try:
        found = system.getaddrinfo(host, None, type=system.SOCK_STREAM)
    except (OSError, UnicodeError) as e:
        raise ConfigError(f"the host {host!r} has no address: {getattr(e, 'strerror', None) or e}") from e
    return str(min(found, key=lambda entry: entry[0] != system.AF_INET)[4][0])


class _Guard(ThreadAuthenticator):
    """Admits the actors whose keys the learner's folder holds, and tells the sockets their names."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], keys: LearnerKeys) -> None:
        super().__init__(context)
        self._keys = keys
        self.configure_curve_callback(_ZAP_DOMAIN.decode(), self)
        self.start()

    def callback(self, domain: str, key: bytes) -> bool:
        """Whether an actor with this public key, Z85, may join."""
        return self._keys.name_of(key) is not None

    def curve_user_id(self, client_public_key: bytes) -> str:
        """The name of the actor with this public key, 32 bytes."""
        return self._keys.name_of(z85.encode(client_public_key)) or ""


def _socket(context: zmq.Context[zmq.Socket[bytes]], kind: int, **options: int) -> zmq.Socket[bytes]:
    socket: zmq.Socket[bytes] = context.socket(kind)
    common = {
        "LINGER": 0,
        "HEARTBEAT_IVL": HEARTBEAT_MS,
        "HEARTBEAT_TIMEOUT": HEARTBEAT_TIMEOUT_MS,
        "RECONNECT_IVL": RECONNECT_MS,
        "RECONNECT_IVL_MAX": RECONNECT_MAX_MS,
    }
    for name, value in {**common, **options}.items():
        socket.setsockopt(getattr(zmq, name), value)
    return socket


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
