"""A base policy that another process or machine serves over HTTP, as `robot_rl.policies.base.adapters.wire` says."""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import socket
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from robot_rl.core.base import BaseInfo
from robot_rl.core.errors import ConfigError, DataError, DeviceError
from robot_rl.core.transition import Observation
from robot_rl.core.types import Float32
from robot_rl.policies.base.adapters.asked import ask, check_plans
from robot_rl.policies.base.adapters.wire import (
    KEY_VARIABLE,
    MAX_BODY_BYTES,
    is_loopback,
    key_from_environment,
    pack_question,
    sign,
    unpack_info,
    unpack_plans,
)

AGAIN = (502, 503, 504)
OK, BAD_REQUEST, NO_ENTRY, NOT_FOUND, OTHER_BASE = 200, 400, (401, 403), 404, 409
_PART_BYTES = 65536


class Reply(NamedTuple):
    """HTTP status, signature and body of an answer."""

    status: int
    signature: str
    body: bytes


class HttpBase:
    """Asks a server; implements `robot_rl.core.base.BasePolicy`. One connection, kept open; any thread may ask.

    A question that fails on the way is repeated, which is safe because equal questions have equal answers. The server
    must go on serving the base that it had at first.

    Args:
        url: of the server, ``http(s)://HOST[:PORT][/PATH]``.
        timeout_s: for one whole answer. The robot waits no longer than this times ``retries + 1``.
        retries: how often a question is repeated when the connection breaks or the server says that it cannot now.
        key: shared with the server; None for the one in the environment variable `KEY_VARIABLE`, if any. Needed for
            other machines unless the connection is https.

    Raises:
        ConfigError: the address is none, or another machine would be asked without a key.
        DeviceError: the server does not answer, does not let us in, or serves no base.
    """

    def __init__(self, url: str, *, timeout_s: float = 5.0, retries: int = 1, key: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._key = key_from_environment() if key is None else key
        self._timeout_s, self._retries = timeout_s, retries
        _check_address(url, self._key)
        if timeout_s <= 0 or not 0 <= retries <= 10:
            raise ConfigError(f"got a time-out of {timeout_s:g} s and {retries} retries, expected above 0, and 0 to 10")
        self._connection: http.client.HTTPConnection | None = None
        self._asking = threading.Lock()
        try:
            self._info = self._introduction()
        except BaseException:
            self.close()
            raise

    @property
    def info(self) -> BaseInfo:
        """As the server described it when it was first asked."""
        return self._info

    def propose(self, seen: Sequence[Observation], noise: Float32) -> Float32:
        """Proposals; see `robot_rl.core.base.BasePolicy.propose`."""
        asked = ask(self._info, seen, noise)
        reply = self._call("POST", "/propose", pack_question(asked))
        try:
            plans = unpack_plans(reply.body)
        except DataError as e:
            raise DeviceError(f"{self._url} answers with nonsense ({e}): look at what runs there") from e
        return check_plans(self._info, plans, asked.proposals, self._url)

    def close(self) -> None:
        """Close the connection; the server goes on."""
        with self._asking:
            self._drop()

    def _introduction(self) -> BaseInfo:
        try:
            return unpack_info(self._call("GET", "/info", b"").body)
        except DataError as e:
            raise DeviceError(f"{self._url}: {e}; is this a base policy server (robot-rl serve-base)?") from e

    def _call(self, method: str, path: str, body: bytes) -> Reply:
        checksum = self._info.checksum if method == "POST" else ""
        with self._asking:
            for attempt in range(self._retries + 1):
                last = attempt == self._retries
                try:
                    reply = self._exchange(method, path, body, checksum)
                except TimeoutError as e:
                    self._drop()
                    if last:
                        raise DeviceError(
                            f"{self._url} did not answer within {self._timeout_s:g} s: is it running, and fast enough?"
                        ) from e
                except (OSError, http.client.HTTPException) as e:
                    self._drop()
                    if last:
                        raise DeviceError(
                            f"{self._url} cannot be asked ({e or type(e).__name__}): start it with robot-rl "
                            "serve-base, or check the address"
                        ) from e
                else:
                    if reply.status not in AGAIN or last:
                        return self._understood(reply)
        raise AssertionError("unreachable")

    def _exchange(self, method: str, path: str, body: bytes, checksum: str) -> Reply:
        """One question and its answer.

        Raises:
            TimeoutError: the whole answer was not there in time.
            OSError: the network refuses.
            http.client.HTTPException: this is not HTTP.
            DeviceError: somebody else answered.
        """
        deadline_s = time.monotonic() + self._timeout_s
        headers = {"Content-Type": "application/octet-stream", "X-Base-Checksum": checksum}
        signature = ""
        if self._key:
            headers["X-Nonce"] = secrets.token_hex(16)
            signature = sign(self._key, *(s.encode() for s in (method, path, headers["X-Nonce"], checksum)), body)
            headers["X-Signature"] = signature
        connection = self._connected()
        _patience(connection.sock, deadline_s)
        connection.request(method, urlsplit(self._url).path + path, body or None, headers)
        link = connection.sock
        _patience(link, deadline_s)
        response = connection.getresponse()
        with response:  # until it is closed the connection takes no further question
            body = _read(response, link, deadline_s)
        reply = Reply(response.status, response.getheader("X-Signature", ""), body)
        if self._key and reply.status not in (*NO_ENTRY, *AGAIN):
            expected = sign(self._key, signature.encode(), str(reply.status).encode(), reply.body)
            if not secrets.compare_digest(expected.encode(), reply.signature.encode()):
                self._drop()
                raise DeviceError(
                    f"the answer of {self._url} is not signed with our key: give both sides the same {KEY_VARIABLE}"
                )
        return reply

    def _understood(self, reply: Reply) -> Reply:
        if reply.status == OK:
            return reply
        said = _said(reply.body)
        if reply.status == BAD_REQUEST:
            raise DataError(f"{self._url} refuses the question: {said}")
        if reply.status in NO_ENTRY:
            raise DeviceError(f"{self._url} does not let us in ({said}): set {KEY_VARIABLE} to the server's key")
        if reply.status == NOT_FOUND:
            raise DeviceError(f"{self._url} is no base policy server (HTTP 404): check the address")
        if reply.status == OTHER_BASE:
            raise DeviceError(f"{self._url} serves another base than at first ({said}): start again with that one")
        raise DeviceError(f"{self._url} fails (HTTP {reply.status}: {said}): see its output")

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is None:
            url = urlsplit(self._url)
            kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
            self._connection = kind(str(url.hostname), url.port, timeout=self._timeout_s)
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _check_address(address: str, key: str) -> None:
    try:
        url = urlsplit(address)
        port = url.port
    except ValueError:
        url, port = urlsplit(""), None
    if url.scheme not in ("http", "https") or not url.hostname or url.username or url.query or url.fragment:
        raise ConfigError(
            f"the address of a base policy is {address!r}, expected http(s)://HOST[:PORT][/PATH], for example "
            "http://127.0.0.1:8765"
        )
    if url.scheme == "http" and not key and not is_loopback(url.hostname):
        raise ConfigError(
            f"{url.hostname}{'' if port is None else f':{port}'} is another machine, whose answers move the robot: set "
            f"{KEY_VARIABLE} here and there, or use https"
        )


def _read(response: http.client.HTTPResponse, link: object, deadline_s: float) -> bytes:
    parts: list[bytes] = []
    while part := response.read1(_PART_BYTES):
        parts.append(part)
        if sum(map(len, parts)) > MAX_BODY_BYTES:
            raise http.client.HTTPException(f"the answer is longer than {MAX_BODY_BYTES} bytes")
        _patience(link, deadline_s)
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    return b"".join(parts)


def _patience(link: object, deadline_s: float) -> None:
    """Let the socket wait for what is left of the time.

    Raises:
        TimeoutError: nothing is left.
    """
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    if isinstance(link, socket.socket) and link.fileno() >= 0:
        link.settimeout(left_s)


def _said(body: bytes) -> str:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return " ".join(str(json.loads(body)["error"]).split())[:300]
    return " ".join(body[:200].decode("utf-8", "replace").split()) or "nothing"
