"""Serves a base policy over HTTP, as `robot_rl.policies.base.adapters.wire` says: one question at a time."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from robot_rl.core.base import BasePolicy
from robot_rl.core.errors import ConfigError, DataError, DeviceError, RobotRlError
from robot_rl.core.transition import Observation
from robot_rl.policies.base.adapters.asked import check_plans, check_question
from robot_rl.policies.base.adapters.wire import (
    KEY_VARIABLE,
    MAX_BODY_BYTES,
    MIN_KEY,
    is_loopback,
    pack_info,
    pack_plans,
    sign,
    unpack_question,
)

IDLE_S = 600.0


class BaseServer:
    """A listening socket and the base behind it.

    Args:
        base: asked in one thread at a time; not closed with the server.
        host: where to listen.
        port: where to listen; 0 for a free one.
        key: that who asks must share; needed unless only this machine reaches `host`.

    Raises:
        ConfigError: others could ask without a key, or the address cannot be listened on.
    """

    def __init__(self, base: BasePolicy, host: str = "127.0.0.1", port: int = 0, key: str = "") -> None:
        check_key(host, key)
        try:
            self._server = _Server((host, port), base, key)
        except (OSError, OverflowError) as e:
            raise ConfigError(f"cannot listen on {host}:{port}: {getattr(e, 'strerror', None) or e}") from e

    @property
    def url(self) -> str:
        """Where it is asked."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def serve(self) -> None:
        """Answer until `stop` is called from another thread."""
        self._server.serve_forever(poll_interval=0.1)

    def stop(self) -> None:
        """End `serve`, which must be running."""
        self._server.shutdown()

    def close(self) -> None:
        """Close the socket and all connections. May be called twice."""
        self._server.server_close()
        self._server.hang_up()


def check_key(host: str, key: str) -> None:
    """Refuse to serve others without a key.

    Raises:
        ConfigError: others could ask, and there is no key or a short one.
    """
    if not is_loopback(host) and len(key) < MIN_KEY:
        raise ConfigError(
            f"the base would be served on {host or 'all addresses'} to everybody there: set {KEY_VARIABLE} to at least "
            f"{MIN_KEY} characters on both sides, or listen on 127.0.0.1"
        )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], base: BasePolicy, key: str) -> None:
        self.base, self.key = base, key
        self.answering = threading.Lock()
        self.connected: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, which stays open between questions."""
        self.connected.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget it."""
        self.connected.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End all connections, so that who asks does not go on with a base that is no longer served."""
        for connection in tuple(self.connected):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who asked is gone; anything else is printed."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """One connection; the protocol's names are those of the standard library."""

    protocol_version = "HTTP/1.1"
    server_version = "robot_rl"
    disable_nagle_algorithm = True
    timeout = IDLE_S
    server: _Server

    def do_GET(self) -> None:
        """``/info``."""
        signature = self._admitted("GET", b"")
        if signature is None:
            return
        if self._path() == "/info":
            self._answer(200, pack_info(self.server.base.info), signature)
        else:
            self._refuse(404, f"no such address as {self.path[:100]}", signature)

    def do_POST(self) -> None:
        """``/propose``."""
        body = self._body()
        signature = None if body is None else self._admitted("POST", body)
        if body is None or signature is None:
            return
        info = self.server.base.info
        meant = self.headers.get("X-Base-Checksum", "")
        if self._path() != "/propose":
            self._refuse(404, f"no such address as {self.path[:100]}", signature)
        elif meant != info.checksum:
            self._refuse(409, f"this is {info.name} {info.checksum}, not {meant[:64]}", signature)
        else:
            try:
                answer = self._propose(body)
            except DataError as e:
                self._refuse(400, str(e), signature)
            except RobotRlError as e:
                self._refuse(500, str(e), signature)
            else:
                self._answer(200, answer, signature)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of each question."""

    def _propose(self, body: bytes) -> bytes:
        asked = unpack_question(body)
        info = self.server.base.info
        check_question(info, asked)
        seen = [
            Observation(row, {camera: pictures[i] for camera, pictures in asked.pictures.items()})
            for i, row in enumerate(asked.state)
        ]
        with self.server.answering:
            try:
                plans = self.server.base.propose(seen, asked.noise)
            except RobotRlError:
                raise
            except Exception as e:
                raise DeviceError(f"the base {info.name} fails: {type(e).__name__} {e}") from e
        return pack_plans(check_plans(info, plans, asked.proposals, f"the base {info.name}"))

    def _path(self) -> str:
        """Without what stands before it, which a proxy may add or take away."""
        return "/" + self.path.rpartition("/")[2]

    def _body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            self._refuse(400, f"a body of {length[:20] or 'unknown'} bytes, at most {MAX_BODY_BYTES} are taken", "")
            return None
        return self.rfile.read(int(length))

    def _admitted(self, method: str, body: bytes) -> str | None:
        """Signature of the question; None if it was refused for want of one."""
        if not self.server.key:
            return ""
        said = [self.headers.get(name, "") for name in ("X-Nonce", "X-Base-Checksum", "X-Signature")]
        expected = sign(self.server.key, *(s.encode() for s in (method, self._path(), *said[:2])), body)
        if said[0] and secrets.compare_digest(expected.encode(), said[2].encode()):
            return expected
        self.close_connection = True
        self._refuse(401, "the question is not signed with the server's key", "")
        return None

    def _refuse(self, status: int, sentence: str, signature: str) -> None:
        self._answer(status, json.dumps({"error": sentence}).encode(), signature, "application/json")

    def _answer(self, status: int, body: bytes, signature: str, kind: str = "application/octet-stream") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.server.key and signature:
            self.send_header("X-Signature", sign(self.server.key, signature.encode(), str(status).encode(), body))
        self.end_headers()
        self.wfile.write(body)
