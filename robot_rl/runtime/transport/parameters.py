"""Parameters from the learner to actors: the newest only, nobody waits for anybody."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
import zmq

from robot_rl.core.errors import DataError
from robot_rl.runtime.transport.keys import ActorKeys
from robot_rl.runtime.transport.sockets import ANY_PORT, Secured, connect, listen_all
from robot_rl.runtime.transport.wire import MAX_FRAME_BYTES, Parameters, decode, encode, join, split

REPUBLISH_EVERY_S = 0.5
# Listeners send nothing but which messages they want.
MAX_SUBSCRIPTION_BYTES = 4096
_log = logging.getLogger(__name__)


class ParameterPublisher:
    """The learner's end for parameters: the newest goes out at once and again every half second for late listeners.

    Args:
        run_id: of the run.
        endpoint: loopback endpoint for actors of this machine; port 0 picks a free one.
        remote: where to publish for actors of other machines besides.

    Raises:
        ConfigError: it cannot listen there.

    Attributes:
        endpoint: where it publishes on this machine.
        remote_endpoint: where it publishes for others, or empty.
    """

    def __init__(self, run_id: str, endpoint: str = ANY_PORT, *, remote: Secured | None = None) -> None:
        self._run_id = run_id
        # A full queue would drop the newest message; CONFLATE drops the older ones instead.
        self._listeners = listen_all(zmq.PUB, endpoint, remote, CONFLATE=1, MAXMSGSIZE=MAX_SUBSCRIPTION_BYTES)
        self.endpoint = self._listeners[0].endpoint
        self.remote_endpoint = self._listeners[1].endpoint if remote is not None else ""
        self._newest = b""
        self._sent_s = 0.0

    def publish(self, version: int, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Make these the newest."""
        self._newest = join(encode(Parameters(self._run_id, version, time.time(), arrays)))
        self._send()

    def repeat(self) -> None:
        """Send the newest again if it is time to."""
        if self._newest and time.monotonic() - self._sent_s > REPUBLISH_EVERY_S:
            self._send()

    def close(self) -> None:
        """Close the sockets. May be called twice."""
        for listener in self._listeners:
            listener.close()

    def _send(self) -> None:
        self._sent_s = time.monotonic()
        for listener in self._listeners:
            listener.socket.send(self._newest)


class ParameterSubscriber:
    """The actor's end for parameters.

    Args:
        run_id: parameters of other runs are ignored.
        endpoint: where the learner publishes.
        keys: of the actor, for a learner on another machine.

    Raises:
        ConfigError: the endpoint needs keys or has no address.

    Attributes:
        run_id: may be set later, before the first call of `latest`.
        socket: for polling.
        rejected: malformed or foreign messages so far.
        heard_s: monotonic time at which the learner last said which parameters are the newest, or of the start.
    """

    def __init__(self, run_id: str, endpoint: str, keys: ActorKeys | None = None) -> None:
        self.run_id = run_id
        # CONFLATE keeps only the newest message and works only when it is set before connecting.
        self.socket = connect(zmq.SUB, endpoint, keys, CONFLATE=1, MAXMSGSIZE=MAX_FRAME_BYTES)
        self.socket.setsockopt(zmq.SUBSCRIBE, b"")
        self.rejected = 0
        self.heard_s = time.monotonic()
        self._version = -1

    @property
    def age_s(self) -> float:
        """Time since the learner last said that the parameters returned last are its newest."""
        return time.monotonic() - self.heard_s

    def latest(self, timeout_s: float = 0.0) -> Parameters | None:
        """The newest parameters, if they are of another version than those returned before."""
        if not self.socket.poll(round(timeout_s * 1e3)):
            return None
        try:
            message = decode(split(self.socket.recv(zmq.NOBLOCK)))
        except zmq.Again:
            return None
        except DataError as e:
            self.rejected += 1
            _log.warning("parameters were rejected: %s", e)
            return None
        if not isinstance(message, Parameters) or message.run_id != self.run_id:
            self.rejected += 1
            return None
        self.heard_s = time.monotonic()
        if message.version == self._version:
            return None
        self._version = message.version
        return message

    def close(self) -> None:
        """Close the socket. May be called twice."""
        self.socket.close()
