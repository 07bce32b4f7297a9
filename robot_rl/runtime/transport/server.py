"""The learner's end for records: messages in, answers out, and who may speak for an actor.

Malformed messages are counted and dropped, never fatal. One process speaks for each actor: a second one under the
same name gets a sentence as long as the first is heard, and takes over once that has been silent for a while.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import zmq

from robot_rl.core.errors import DataError
from robot_rl.runtime.transport.sockets import ANY_PORT, Listener, Secured, listen_all
from robot_rl.runtime.transport.wire import (
    MAX_FRAME_BYTES,
    Ack,
    Hello,
    Message,
    Records,
    Refuse,
    SchemaMismatch,
    Welcome,
    decode,
    encode,
)

TAKEOVER_S = 3.0
ALIVE_S = 0.5
DEAF_S = 0.5
MAX_ACTORS = 256
# Messages that may wait for the learner, of each connection; TCP holds back the rest at the sender.
RECEIVE_QUEUE = 64
RECEIVE_AT_ONCE = 1000
_log = logging.getLogger(__name__)


@dataclass
class _Peer:
    session: str
    listener: Listener
    identity: bytes
    heard_s: float


class RecordServer:
    """Receives from actors and answers them.

    Args:
        run_id: actors of other runs are refused.
        endpoint: loopback endpoint for actors of this machine; port 0 picks a free one.
        remote: where to listen for actors of other machines besides.

    Raises:
        ConfigError: it cannot listen there.

    Attributes:
        endpoint: where it listens on this machine.
        remote_endpoint: where it listens for others, or empty.
        rejected: malformed or foreign messages so far.
        mismatched: those of another schema version among them.
        refused: actors that were sent away so far.
    """

    def __init__(self, run_id: str, endpoint: str = ANY_PORT, *, remote: Secured | None = None) -> None:
        self._run_id = run_id
        self._listeners = listen_all(zmq.ROUTER, endpoint, remote, MAXMSGSIZE=MAX_FRAME_BYTES, RCVHWM=RECEIVE_QUEUE)
        self.endpoint = self._listeners[0].endpoint
        self.remote_endpoint = self._listeners[1].endpoint if remote is not None else ""
        self.rejected = self.mismatched = self.refused = 0
        self._peers: dict[str, _Peer] = {}
        self._newcomers: dict[tuple[str, str], float] = {}
        self._polled_s = time.monotonic()
        self._deaf_s = 0.0

    def receive(self, timeout_s: float) -> Iterator[Hello | Records]:
        """Messages that are there now, of admitted actors of this run; waits for the first one at most `timeout_s`."""
        self._note_deafness()
        poller = zmq.Poller()
        for listener in self._listeners:
            poller.register(listener.socket, zmq.POLLIN)
        ready = dict(poller.poll(round(timeout_s * 1e3)))
        self._polled_s = time.monotonic()
        for listener in self._listeners:
            if listener.socket in ready:
                yield from self._receive_from(listener)

    def reject(self, reason: str) -> None:
        """Count a message that could not be used; the first few are logged."""
        self.rejected += 1
        if self.rejected <= 5:
            _log.warning("a message was rejected: %s", reason)

    def send(self, actor: str, answer: Ack | Welcome | Refuse) -> None:
        """Answer an actor; lost silently if it is gone or does not read. One that is refused is forgotten."""
        peer = self._peers.get(actor)
        if peer is None:
            return
        self._send(peer.listener, peer.identity, answer)
        if isinstance(answer, Refuse):
            self.refused += 1
            del self._peers[actor]

    @property
    def actors(self) -> tuple[str, ...]:
        """Actors that have been admitted."""
        return tuple(self._peers)

    def silent_s(self, actor: str) -> float:
        """Time since an actor was last heard, in seconds during which this end listened."""
        peer = self._peers.get(actor)
        return float("inf") if peer is None else self._now_s() - peer.heard_s

    def close(self) -> None:
        """Close the sockets. May be called twice."""
        for listener in self._listeners:
            listener.close()

    def _now_s(self) -> float:
        return time.monotonic() - self._deaf_s

    def _note_deafness(self) -> None:
        """Time in which nobody listened here does not count as silence of the actors."""
        gap_s = time.monotonic() - self._polled_s
        if gap_s > DEAF_S:
            self._deaf_s += gap_s

    def _receive_from(self, listener: Listener) -> Iterator[Hello | Records]:
        for _ in range(RECEIVE_AT_ONCE):
            try:
                identity, frames, key_name = _receive(listener)
            except zmq.Again:
                return
            try:
                message = decode(frames)
            except SchemaMismatch as e:
                self.mismatched += 1
                self.reject(str(e))
                self._send(listener, identity, Refuse(f"{e}: install the same version of robot_rl on both machines"))
                continue
            except DataError as e:
                self.reject(str(e))
                continue
            if isinstance(message, Hello | Records) and self._admit(message, listener, identity, key_name):
                yield message
            elif not isinstance(message, Hello | Records):
                self.reject(f"a learner receives no {type(message).__name__} messages")

    def _admit(self, message: Hello | Records, listener: Listener, identity: bytes, key_name: str | None) -> bool:
        reason = self._objection(message, key_name)
        if reason:
            self.reject(reason)
            self.refused += 1
            self._send(listener, identity, Refuse(reason))
            return False
        name, session, now = message.actor, message.session, self._now_s()
        peer = self._peers.get(name)
        if peer is not None and peer.session != session and now - peer.heard_s <= TAKEOVER_S:
            # Refused only once the other one has been heard since: it may have died a moment ago.
            if len(self._newcomers) > MAX_ACTORS:
                self._newcomers.clear()
            first_s = self._newcomers.setdefault((name, session), now)
            if peer.heard_s > first_s + ALIVE_S:
                self.refused += 1
                self._send(listener, identity, Refuse(f"another actor called {name!r} is at work: use another --name"))
            return False
        self._peers[name] = _Peer(session, listener, identity, now)
        self._newcomers = {
            key: s for key, s in self._newcomers.items() if now - s < 2 * TAKEOVER_S and key[1] != session
        }
        return True

    def _objection(self, message: Hello | Records, key_name: str | None) -> str:
        if message.run_id != self._run_id and not (isinstance(message, Hello) and not message.run_id):
            return f"the actor belongs to run {message.run_id!r}, this learner trains {self._run_id!r}: start it again"
        if key_name is not None and key_name != message.actor:
            return f"the actor's key was made for {key_name!r}, it calls itself {message.actor!r}"
        if message.actor not in self._peers and len(self._peers) >= MAX_ACTORS:
            return f"the learner has {MAX_ACTORS} actors already"
        return ""

    def _send(self, listener: Listener, identity: bytes, answer: Message) -> None:
        with suppress(zmq.ZMQError):  # it will ask again
            listener.socket.send_multipart([identity, *encode(answer)], zmq.NOBLOCK)


def _receive(listener: Listener) -> tuple[bytes, list[bytes], str | None]:
    """Identity, frames and the name the sender's key was authorised under, None without keys."""
    if listener.keys is None:
        identity, *frames = listener.socket.recv_multipart(zmq.NOBLOCK)
        return identity, frames, None
    first, *rest = listener.socket.recv_multipart(zmq.NOBLOCK, copy=False)
    name = str(rest[-1].get("User-Id")) if rest else ""
    return first.bytes, [frame.bytes for frame in rest], name
