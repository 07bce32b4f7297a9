"""The actor's end of the line to the learner: a thread that owns the sockets, so that the control loop never does.

The control thread hands over records with `Link.offer` and reads `Link.status`; neither waits for the network or the
disk. The thread introduces the actor until it is welcomed, sends what the learner lacks from memory or from the spool,
says once a second that the actor lives, and keeps the newest parameters.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import socket
import threading
import time
from dataclasses import replace
from typing import Any
from uuid import uuid4

import zmq

from robot_rl.core.errors import DataError, RobotRlError
from robot_rl.core.lateness import LatenessHistogram
from robot_rl.runtime.transport.fields import MAX_TEXT
from robot_rl.runtime.transport.keys import ActorKeys
from robot_rl.runtime.transport.lag import Lag
from robot_rl.runtime.transport.link_status import LinkStatus
from robot_rl.runtime.transport.messages import Ack, Hello, Message, Parameters, Records, Refuse, Welcome
from robot_rl.runtime.transport.parameters import ParameterSubscriber
from robot_rl.runtime.transport.sender import Backlog, Sender
from robot_rl.runtime.transport.sockets import connect, next_port
from robot_rl.runtime.transport.stream import MEMORY_BYTES, Outbox, is_before
from robot_rl.runtime.transport.wire import MAX_CONFIG_BYTES, Place, decode, encode

HELLO_EVERY_S = 1.0
UNANSWERED_HELLO_S = 2.0
FIRST_BACKOFF_S = 0.1
MAX_BACKOFF_S = 5.0
IDLE_WAIT_S = 0.1
MAX_ANSWERS = 100
_log = logging.getLogger(__name__)


class Link:
    """Connects an actor to its learner; `attach` the run once welcomed.

    Args:
        actor: its name.
        endpoint: where the learner listens for records, ``tcp://HOST:PORT``.
        parameters: where it publishes parameters; by default one port higher.
        keys: of the actor; needed unless the learner is on this machine.
        memory_bytes: records kept in memory; what does not fit is read from the backlog again.

    Raises:
        ConfigError: an endpoint needs keys or has no address.

    Attributes:
        session: random name of this process.
        waited_s: how long the actor has waited for the learner; told with every introduction.
        lateness: of the actor's steps; told likewise.
        put_back: how often an object had to be put back for the run; told at once.
    """

    def __init__(
        self,
        actor: str,
        endpoint: str,
        parameters: str = "",
        *,
        keys: ActorKeys | None = None,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        self.session = uuid4().hex
        self.waited_s, self.lateness, self.put_back = 0.0, LatenessHistogram(), 0
        self._actor, self._host = actor, socket.gethostname()[:MAX_TEXT]
        self._socket = connect(zmq.DEALER, endpoint, keys, IMMEDIATE=1, MAXMSGSIZE=2 * MAX_CONFIG_BYTES)
        try:
            self._subscriber = ParameterSubscriber("", parameters or next_port(endpoint), keys)
        except BaseException:
            self._socket.close()
            raise
        self._outbox = Outbox(memory_bytes)
        self._lag = Lag()
        now = time.monotonic()
        self._status = LinkStatus(now, now)
        self._newest: Parameters | None = None
        self._news = threading.Event()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._closing = False
        self._attached: tuple[Backlog, str] | None = None
        self._sender: Sender | None = None
        self._next_hello_s, self._backoff_s = 0.0, FIRST_BACKOFF_S
        self._hello_last: Place | None = None
        self._introduced, self._put_back_told = False, 0
        self._thread = threading.Thread(target=self._run, name=f"link-{actor}", daemon=True)
        self._thread.start()

    @property
    def status(self) -> LinkStatus:
        """What is known now; never waits."""
        return self._status

    @property
    def parameters(self) -> Parameters | None:
        """The newest parameters of the run, None before the first; never waits."""
        return self._newest

    @property
    def settled(self) -> bool:
        """Whether the learner has everything that was offered and what a predecessor left."""
        return not is_before(self._status.cursor, self._outbox.last)

    def attach(self, backlog: Backlog, state_checksum: str, last: Place | None) -> None:
        """Say what the actor has; from then on records are sent. Once, after the first welcome.

        Args:
            backlog: its records on disk; used by the link's thread only.
            state_checksum: of its environment's state layout, for the learner to compare.
            last: place of its last record, or None.
        """
        self._outbox.last = last
        self._attached = (backlog, state_checksum)
        self._poke()

    def offer(self, place: Place, packed: bytes) -> None:
        """Hand over a record that is in the backlog already; never waits.

        Raises:
            DataError: places in a stream only grow.
        """
        self._outbox.push(place, packed)
        self._lag.offered(place)
        self._poke()

    def wait(self, timeout_s: float) -> None:
        """Until there is news in `status` or `parameters`, at most `timeout_s`."""
        self._news.wait(timeout_s)
        self._news.clear()

    def close(self) -> None:
        """End the thread and close the sockets. May be called twice."""
        if self._closing:
            return
        self._closing = True
        self._poke()
        self._thread.join()
        self._socket.close()
        self._subscriber.close()
        os.close(self._wake)

    def _poke(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_write(self._wake, 1)

    def _update(self, **changes: Any) -> None:
        self._status = replace(self._status, **changes)
        self._news.set()

    def _run(self) -> None:
        poller = zmq.Poller()
        for source in (self._socket, self._subscriber.socket, self._wake):
            poller.register(source, zmq.POLLIN)
        try:
            while not (self._closing or self._status.refused):
                poller.poll(round(1e3 * self._patience_s()))
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._wake)
                self._hear()
                self._fetch_parameters()
                self._introduce()
                self._send_records()
        except RobotRlError as e:
            self._update(problem=str(e))
        except Exception as e:
            _log.exception("the link to the learner broke")
            self._update(problem=f"the link to the learner broke: {type(e).__name__} {e}")

    def _patience_s(self) -> float:
        return min(IDLE_WAIT_S, max(0.0, self._next_hello_s - time.monotonic()))

    def _hear(self) -> None:
        for _ in range(MAX_ANSWERS):
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                message = decode(frames)
            except DataError as e:
                _log.warning("an answer was rejected: %s", e)
                self._update(rejected=self._status.rejected + 1)
                continue
            if isinstance(message, Refuse):
                self._update(refused=message.reason or "the learner gave no reason", heard_s=time.monotonic())
                return
            if isinstance(message, Welcome):
                self._on_welcome(message)
            elif isinstance(message, Ack):
                self._on_ack(message)
            else:
                self._update(rejected=self._status.rejected + 1)

    def _on_welcome(self, welcome: Welcome) -> None:
        before, now = self._status.welcome, time.monotonic()
        if before is not None and before.run_id != welcome.run_id:
            self._update(refused=f"the learner trains run {welcome.run_id} now, this actor belongs to {before.run_id}")
            return
        self._subscriber.run_id = welcome.run_id
        self._next_hello_s, self._backoff_s = now + HELLO_EVERY_S * _jitter(), FIRST_BACKOFF_S
        changes: dict[str, Any] = {"welcome": welcome, "heard_s": now, "env_steps": welcome.env_steps}
        if self._attached is not None and self._introduced:
            self._take_up(welcome, anew=before is None or before.learner != welcome.learner)
            changes |= {"admitted": True, "cursor": welcome.cursor}
        self._update(**changes)

    def _take_up(self, welcome: Welcome, *, anew: bool) -> None:
        """Send on from where the learner stands: always if it is another one, else only if something got lost."""
        assert self._attached is not None
        if self._sender is None:
            self._sender = Sender(self._outbox, self._attached[0], welcome.cursor)
        elif anew or is_before(welcome.cursor, self._hello_last):
            self._rewind(welcome.cursor)
        self._hello_last = None
        self._sender.acknowledge(welcome.cursor)

    def _on_ack(self, ack: Ack) -> None:
        welcome = self._status.welcome
        if self._sender is None or welcome is None or not self._status.admitted:
            return
        if ack.learner != welcome.learner:
            # A restarted learner: nothing counts before it has welcomed this actor.
            self._update(admitted=False)
            self._next_hello_s = 0.0
            return
        if ack.rewind:
            self._rewind(ack.cursor)
        self._sender.acknowledge(ack.cursor)
        self._update(
            heard_s=time.monotonic(),
            cursor=ack.cursor,
            allowed=ack.allowed,
            env_steps=ack.env_steps,
            stop=ack.stop,
            lost=self._sender.lost,
            health=ack.health,
            lag_s=self._lag.acknowledged(ack.cursor),
        )

    def _rewind(self, cursor: Place | None) -> None:
        assert self._sender is not None
        self._sender.rewind(cursor)
        self._update(rewinds=self._status.rewinds + 1)

    def _fetch_parameters(self) -> None:
        if not self._subscriber.run_id:
            return
        message = self._subscriber.latest()
        if message is not None:
            self._newest = message
            self._news.set()
        if self._subscriber.heard_s > self._status.policy_heard_s:
            self._status = replace(self._status, policy_heard_s=self._subscriber.heard_s)

    def _introduce(self) -> None:
        now = time.monotonic()
        news = self.put_back != self._put_back_told
        fresh = news or (self._attached is not None and not self._introduced)
        if now < self._next_hello_s and not fresh:
            return
        run_id = "" if self._status.welcome is None else self._status.welcome.run_id
        checksum = "" if self._attached is None else self._attached[1]
        last = None if self._sender is None else self._sender.position
        told = self.waited_s, self.lateness, self.put_back
        hello = Hello(run_id, self._actor, self.session, self._host, last, checksum, *told)
        # Until it is answered the next one waits ever longer, so that many actors do not besiege a learner.
        self._next_hello_s = now + (UNANSWERED_HELLO_S if self._status.admitted else self._backoff_s) * _jitter()
        self._backoff_s = min(MAX_BACKOFF_S, 2 * self._backoff_s)
        if self._send(hello):
            self._hello_last = last
            self._introduced, self._put_back_told = bool(checksum), hello.put_back
        else:
            self._next_hello_s = now + FIRST_BACKOFF_S * _jitter()

    def _send_records(self) -> None:
        welcome = self._status.welcome
        if self._sender is None or welcome is None or not self._status.admitted:
            return
        while not self._closing:
            found = self._sender.peek()
            if not found:
                return
            packed = tuple(data for _, data in found)
            if not self._send(Records(welcome.run_id, self._actor, self.session, self._sender.position, packed)):
                return
            self._sender.sent()

    def _send(self, message: Message) -> bool:
        try:
            self._socket.send_multipart(encode(message), zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True


def _jitter() -> float:
    return random.uniform(0.8, 1.2)
