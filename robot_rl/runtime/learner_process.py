"""Training with two processes: this one learns, a child acts; records and parameters travel over local sockets.

The target UTD is kept from both sides: the learner makes an update call only when the experience pays for it, and tells
the actor how many steps it may be ahead. A simulated actor waits at that line.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from robot_rl.core.errors import DataError, RobotRlError
from robot_rl.runtime.broadcast import ParameterPublisher
from robot_rl.runtime.child import ACTOR_MODULE, ActorProcess
from robot_rl.runtime.collector import Env
from robot_rl.runtime.session import Session
from robot_rl.runtime.sockets import ANY_PORT
from robot_rl.runtime.stop import StopFlag
from robot_rl.runtime.stream import Inbox, is_before
from robot_rl.runtime.transport import RecordServer
from robot_rl.runtime.wire import Ack, Hello, Records

IDLE_WAIT_S = 0.01
ACK_EVERY_S = 0.2
REWIND_EVERY_S = 0.3
GOODBYE_S = 15.0


class LearnerService:
    """The learner's ends of the sockets around a session.

    Args:
        session: fresh or resumed, demonstrations loaded.
        records: endpoint to listen on for records.
        parameters: endpoint to publish parameters on.
    """

    def __init__(self, session: Session, records: str = ANY_PORT, parameters: str = ANY_PORT) -> None:
        self._session = session
        run_id = session.run.run_id
        self._inbox = Inbox(session.cursors)
        self.server = RecordServer(run_id, records)
        try:
            self.publisher = ParameterPublisher(run_id, parameters)
        except BaseException:
            self.server.close()
            raise
        self._stop = False
        self._acked: tuple[int, ...] = ()
        self._acked_s = 0.0
        self._rewound_s: dict[str, float] = {}
        self.publish()

    def publish(self) -> None:
        """Send out the parameters of now."""
        self.publisher.publish(self._session.learner.version, self._session.learner.actor_arrays())

    def exchange(self, timeout_s: float) -> None:
        """Take what has arrived, answer, and repeat the parameters if it is time to."""
        rewind = set()
        for message in self.server.receive(timeout_s):
            if self._take(message):
                rewind.add(message.actor)
        self._session.cursors = self._inbox.cursors
        self._acknowledge(rewind)
        self.publisher.repeat()

    def say_stop(self) -> None:
        """From now on tell actors to end."""
        self._stop = True

    def work(self) -> bool:
        """One update call if it is due; True if there was one."""
        learner = self._session.learner
        if not learner.ready:
            return False
        learner.update()
        self._session.after_update()
        if learner.counters.updates % self._session.config.pace.publish_every == 0:
            self.publish()
        return True

    def close(self) -> None:
        """Close the sockets. May be called twice."""
        self.server.close()
        self.publisher.close()

    def _take(self, message: Hello | Records) -> bool:
        if isinstance(message, Hello):
            return is_before(self._inbox.cursors.get(message.actor), message.last)
        try:
            records, rewind = self._inbox.accept(message)
        except DataError as e:
            self.server.reject(str(e))
            return False
        for record in records:
            self._session.add(record)
        return rewind

    def _acknowledge(self, rewind: set[str]) -> None:
        learner, now = self._session.learner, time.monotonic()
        steps = learner.counters.env_steps
        # Two steps beyond the end: the newest step is handed out only when the one after it has been taken.
        allowed = min(learner.allowed_env_steps, self._session.config.env_steps + 2)
        state = (allowed, steps, int(self._stop))
        if not rewind and state == self._acked and now - self._acked_s < ACK_EVERY_S:
            return
        self._acked, self._acked_s = state, now
        for actor in self.server.actors:
            again = actor in rewind and now - self._rewound_s.get(actor, 0.0) > REWIND_EVERY_S
            if again:
                self._rewound_s[actor] = now
            self.server.send(actor, Ack(self._inbox.cursors.get(actor), again, allowed, steps, self._stop))


def train_two_processes(
    session: Session,
    stop: StopFlag,
    *,
    make_eval_env: Callable[[], Env] | None = None,
    actor_module: str = ACTOR_MODULE,
) -> bool:
    """Learn here, act in a child process, until all environment steps are taken or somebody asks to stop.

    Args:
        session: fresh or resumed, demonstrations loaded.
        stop: looked at between updates.
        make_eval_env: builds an environment for evaluations during training.
        actor_module: what the child process runs.

    Returns:
        Whether the run came to its end, rather than being stopped.

    Raises:
        DeviceError: the actor cannot go on; everything learned so far is saved.
    """
    learner = session.learner
    if learner.counters.env_steps == 0:
        while learner.counters.warmup_updates < session.config.pace.critic_warmup and learner.can_sample:
            learner.warm_up()
    service = LearnerService(session)
    child = ActorProcess(session.run.path, service.server.endpoint, service.publisher.endpoint, module=actor_module)
    try:
        serve(session, service, stop, child, make_eval_env=make_eval_env)
        _say_goodbye(service, child)
        session.save()
    except RobotRlError:
        session.save()
        raise
    finally:
        child.stop()
        service.close()
    return session.finished


def serve(
    session: Session,
    service: LearnerService,
    stop: StopFlag,
    child: ActorProcess | None = None,
    *,
    make_eval_env: Callable[[], Env] | None = None,
) -> None:
    """The learner's loop.

    Args:
        session: the run.
        service: its sockets.
        stop: looked at between updates.
        child: the actor process to watch, or None if actors are started elsewhere.
        make_eval_env: builds an environment for evaluations during training.
    """
    busy = False
    while not (stop.requested or session.finished):
        service.exchange(0.0 if busy else IDLE_WAIT_S)
        busy = service.work()
        if session.evaluation_due and make_eval_env is not None:
            session.evaluate(make_eval_env)
            service.publish()
        elif session.checkpoint_due:
            session.save()
        if child is not None:
            note = child.check()
            if note is not None:
                session.note(note)
        session.show()
    while not stop.requested and service.work():
        # The updates that the last steps have paid for.
        service.exchange(0.0)


def _say_goodbye(service: LearnerService, child: ActorProcess) -> None:
    """Let the actor end its episode and take its last records."""
    service.say_stop()
    end_s = time.monotonic() + GOODBYE_S
    while child.running and time.monotonic() < end_s:
        service.exchange(0.05)
    service.exchange(0.0)
