"""Records from actors to the learner over DEALER and ROUTER sockets, with acknowledgements.

No call here waits for the other side longer than it is told to, so an actor keeps its rate when the learner is gone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import suppress

import zmq

from robot_rl.core.errors import DataError
from robot_rl.core.transition import StepRecord
from robot_rl.runtime.sockets import ANY_PORT, connect, listen
from robot_rl.runtime.stream import Outbox
from robot_rl.runtime.wire import Ack, Hello, Message, Records, decode, encode

HELLO_EVERY_S = 0.5
_log = logging.getLogger(__name__)


class RecordServer:
    """The learner's end for records. Malformed messages are counted and dropped, never fatal.

    Args:
        run_id: messages of other runs are rejected.
        endpoint: where to listen; port 0 picks a free one.

    Attributes:
        endpoint: where it listens.
        rejected: malformed or foreign messages so far.
    """

    def __init__(self, run_id: str, endpoint: str = ANY_PORT) -> None:
        self._run_id = run_id
        self._socket, self.endpoint = listen(zmq.ROUTER, endpoint, ROUTER_HANDOVER=1)
        self.rejected = 0
        self._peers: dict[str, bytes] = {}

    def receive(self, timeout_s: float) -> Iterator[Hello | Records]:
        """Messages that are there now; waits for the first one at most `timeout_s`."""
        if not self._socket.poll(round(timeout_s * 1e3)):
            return
        for _ in range(1000):
            try:
                identity, *frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            message = self._decode(frames)
            if message is not None:
                self._peers[message.actor] = identity
                yield message

    def reject(self, reason: str) -> None:
        """Count a message that could not be used; the first few are logged."""
        self.rejected += 1
        if self.rejected <= 5:
            _log.warning("a message was rejected: %s", reason)

    def send(self, actor: str, ack: Ack) -> None:
        """Answer an actor; lost silently if it is gone or does not read."""
        identity = self._peers.get(actor)
        if identity is not None:
            with suppress(zmq.ZMQError):  # it will ask again
                self._socket.send_multipart([identity, *encode(ack)], zmq.NOBLOCK)

    @property
    def actors(self) -> tuple[str, ...]:
        """Actors heard of."""
        return tuple(self._peers)

    def close(self) -> None:
        """Close the socket. May be called twice."""
        self._socket.close()

    def _decode(self, frames: list[bytes]) -> Hello | Records | None:
        try:
            message = decode(frames)
        except DataError as e:
            self.reject(str(e))
            return None
        if not isinstance(message, Hello | Records):
            self.reject(f"a learner receives no {type(message).__name__} messages")
            return None
        if message.run_id != self._run_id:
            self.reject(f"it belongs to run {message.run_id!r}, this is {self._run_id!r}")
            return None
        return message


class RecordClient:
    """The actor's end for records.

    Args:
        run_id: of the run.
        actor: name of the actor.
        endpoint: where the learner listens.
        outbox: the actor's stream.

    Attributes:
        allowed: environment steps the run may have taken.
        env_steps: environment steps the learner has.
        stop: the learner wants this actor to end.
        heard_s: monotonic time of the last answer, or of the start.
        answered: whether there has been an answer.
    """

    def __init__(self, run_id: str, actor: str, endpoint: str, outbox: Outbox) -> None:
        self._hello = (run_id, actor)
        self._outbox = outbox
        self._socket = connect(zmq.DEALER, endpoint, IMMEDIATE=1, SNDHWM=10_000)
        self.allowed = 0
        self.env_steps = 0
        self.stop = False
        self.answered = False
        self.rewinds = 0
        self.rejected = 0
        self.heard_s = time.monotonic()
        self._next_hello_s = 0.0

    @property
    def silent_s(self) -> float:
        """Time since the learner last answered."""
        return time.monotonic() - self.heard_s

    @property
    def settled(self) -> bool:
        """Whether the learner has everything that was sent."""
        return self.answered and self._outbox.settled

    def send(self, record: StepRecord) -> None:
        """Send a record; never waits. What cannot be sent now is sent again later."""
        self._send(self._outbox.push(record))

    def poll(self, timeout_s: float = 0.0) -> None:
        """Handle the learner's answers; waits for the first one at most `timeout_s`."""
        if self._socket.poll(round(timeout_s * 1e3)):
            while True:
                try:
                    frames = self._socket.recv_multipart(zmq.NOBLOCK)
                except zmq.Again:
                    break
                self._handle(frames)
        now = time.monotonic()
        if now >= self._next_hello_s and (not self.answered or self.silent_s > HELLO_EVERY_S):
            self._next_hello_s = now + HELLO_EVERY_S
            self._send(Hello(*self._hello, self._outbox.last))

    def close(self) -> None:
        """Close the socket. May be called twice."""
        self._socket.close()

    def _handle(self, frames: list[bytes]) -> None:
        try:
            ack = decode(frames)
        except DataError as e:
            ack = None
            _log.warning("an answer was rejected: %s", e)
        if not isinstance(ack, Ack):
            self.rejected += 1
            return
        self.heard_s, self.answered = time.monotonic(), True
        self.allowed, self.env_steps, self.stop = ack.allowed, ack.env_steps, ack.stop
        self._outbox.acknowledge(ack.cursor)
        if ack.rewind:
            self.rewinds += 1
            for message in self._outbox.messages_after(ack.cursor):
                self._send(message)

    def _send(self, message: Message) -> None:
        with suppress(zmq.Again):  # not connected or full: the learner will see the gap and ask
            self._socket.send_multipart(encode(message), zmq.NOBLOCK)
