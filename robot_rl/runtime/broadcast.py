"""Parameters from the learner to actors: the newest only, nobody waits for anybody."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
import zmq

from robot_rl.core.errors import DataError
from robot_rl.runtime.sockets import ANY_PORT, connect, listen
from robot_rl.runtime.wire import Parameters, decode, encode, join, split

REPUBLISH_EVERY_S = 0.5
_log = logging.getLogger(__name__)


class ParameterPublisher:
    """The learner's end for parameters: the newest goes out at once and again every half second for late listeners.

    Args:
        run_id: of the run.
        endpoint: where to publish; port 0 picks a free one.
    """

    def __init__(self, run_id: str, endpoint: str = ANY_PORT) -> None:
        self._run_id = run_id
        # A full queue would drop the newest message; CONFLATE drops the older ones instead.
        self._socket, self.endpoint = listen(zmq.PUB, endpoint, CONFLATE=1)
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
        """Close the socket. May be called twice."""
        self._socket.close()

    def _send(self) -> None:
        self._sent_s = time.monotonic()
        self._socket.send(self._newest)


class ParameterSubscriber:
    """The actor's end for parameters.

    Args:
        run_id: parameters of other runs are ignored.
        endpoint: where the learner publishes.

    Attributes:
        rejected: malformed or foreign messages so far.
    """

    def __init__(self, run_id: str, endpoint: str) -> None:
        self._run_id = run_id
        # CONFLATE keeps only the newest message and works only when it is set before connecting.
        self._socket = connect(zmq.SUB, endpoint, CONFLATE=1)
        self._socket.setsockopt(zmq.SUBSCRIBE, b"")
        self.rejected = 0
        self._version = -1
        self._new_s = time.monotonic()

    @property
    def age_s(self) -> float:
        """Time since the last new version arrived."""
        return time.monotonic() - self._new_s

    def latest(self, timeout_s: float = 0.0) -> Parameters | None:
        """The newest parameters, if they are newer than those returned before."""
        if not self._socket.poll(round(timeout_s * 1e3)):
            return None
        try:
            message = decode(split(self._socket.recv(zmq.NOBLOCK)))
        except zmq.Again:
            return None
        except DataError as e:
            self.rejected += 1
            _log.warning("parameters were rejected: %s", e)
            return None
        if not isinstance(message, Parameters) or message.run_id != self._run_id:
            self.rejected += 1
            return None
        if message.version == self._version:
            return None
        self._version, self._new_s = message.version, time.monotonic()
        return message

    def close(self) -> None:
        """Close the socket. May be called twice."""
        self._socket.close()
