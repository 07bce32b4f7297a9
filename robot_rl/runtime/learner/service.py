"""The learner's ends of the sockets: records in and acknowledged, parameters out, actors kept in pace."""

from __future__ import annotations

import time
from itertools import chain
from socket import gethostname
from uuid import uuid4

import yaml

from robot_rl.core.config import to_dict
from robot_rl.core.errors import DataError, StorageError
from robot_rl.runtime.learner.allowance import Allowance
from robot_rl.runtime.learner.line import Endpoints
from robot_rl.runtime.learner.opinion import Opinion
from robot_rl.runtime.learner.resets import Resets
from robot_rl.runtime.learner.roster import Roster
from robot_rl.runtime.learner.session import Session
from robot_rl.runtime.pictures import layout_checksum, layout_difference
from robot_rl.runtime.transport.health import LearnerHealth
from robot_rl.runtime.transport.keys import load_learner_keys
from robot_rl.runtime.transport.messages import Ack, Hello, Records, Refuse, Welcome
from robot_rl.runtime.transport.parameters import ParameterPublisher
from robot_rl.runtime.transport.server import RecordServer
from robot_rl.runtime.transport.sockets import ANY_PORT, Secured, check_local, next_port
from robot_rl.runtime.transport.stream import Inbox

ACK_EVERY_S = 0.2
ALLOW_EVERY_S = 0.02
REWIND_EVERY_S = 0.3
ACTIVE_S = 5.0
ROWS_EVERY_S = 10.0


class LearnerService:
    """Takes records into the session's archive, acknowledges them after that, and publishes parameters.

    Args:
        session: begun or resumed.
        records: loopback endpoint to listen on for records; port 0 picks a free one.
        parameters: loopback endpoint to publish parameters on.
        remote: where actors of other machines may join; parameters are published one port higher.

    Raises:
        ConfigError: it cannot listen there.
    """

    def __init__(
        self, session: Session, records: str = ANY_PORT, parameters: str = ANY_PORT, *, remote: Secured | None = None
    ) -> None:
        self._session = session
        run_id = session.run.run_id
        self._id = uuid4().hex[:16]
        self._config = yaml.safe_dump(to_dict(session.told_config), sort_keys=False, allow_unicode=True)
        self._inbox = Inbox(session.archive.cursors)
        self.server = RecordServer(run_id, records, remote=remote)
        try:
            beside = None if remote is None else Secured(next_port(self.server.remote_endpoint), remote.keys)
            self.publisher = ParameterPublisher(run_id, parameters, remote=beside)
        except BaseException:
            self.server.close()
            raise
        self._roster, self._allowance, self._resets = Roster(), Allowance(), Resets(session.run)
        self._opinion, self._speed = Opinion(session.learner), Speed()
        self._stop = False
        self._acked: dict[str, tuple[Ack, float]] = {}
        self._rewound_s: dict[str, float] = {}
        self._next_rows_s = time.monotonic() + ROWS_EVERY_S
        self.publish()

    def publish(self) -> None:
        """Send out the parameters of now."""
        learner = self._session.learner
        self.publisher.publish(learner.version, learner.actor_arrays())
        self._roster.released(learner.version)

    def exchange(self, timeout_s: float) -> int:
        """Take what has arrived, answer, and repeat the parameters if it is time to.

        Returns:
            How many messages there were.

        Raises:
            StorageError: what has arrived cannot be archived; it is not acknowledged.
        """
        messages, rewind, count = self.server.receive(timeout_s), set[str](), 0
        with self._session.learner.waiting():
            first = next(messages, None)
        for message in chain([first] if first is not None else [], messages):
            count += 1
            if isinstance(message, Hello):
                self._greet(message)
            elif self._archive(message):
                rewind.add(message.actor)
        self._acknowledge(rewind)
        self.publisher.repeat()
        if time.monotonic() > self._next_rows_s:
            self.write_rows()
        return count

    def say_stop(self) -> None:
        """From now on tell actors to end."""
        self._stop = True

    def work(self, *, ahead: bool = False) -> bool:
        """One update call if it is due, or with `ahead` if the cap allows it; True if there was one."""
        learner = self._session.learner
        if not (learner.due or (ahead and learner.may_work_ahead)):
            return False
        learner.update()
        self._session.after_update()
        if learner.counters.updates % self._session.config.pace.publish_every == 0:
            self.publish()
        return True

    def write_rows(self) -> None:
        """Write down where every actor stands."""
        self._next_rows_s = time.monotonic() + ROWS_EVERY_S
        archive = self._session.archive
        own = {name: archive.steps_of(name) for name in archive.cursors}
        rows = self._roster.rows(self._session.learner.counters.env_steps, own, archive.cursors)
        self._session.metrics.actors(rows)

    @property
    def active(self) -> list[str]:
        """Actors heard a short while ago."""
        return [name for name in self.server.actors if self.server.silent_s(name) < ACTIVE_S]

    def close(self) -> None:
        """Close the sockets. May be called twice."""
        self.server.close()
        self.publisher.close()

    def _greet(self, hello: Hello) -> None:
        session, archive = self._session, self._session.archive
        reason = layout_difference(hello.state_checksum, layout_checksum(session.state_spec, session.learner.eyes))
        if reason:
            self.server.send(hello.actor, Refuse(reason))
            return
        self._roster.heard(hello)
        session.metrics.lateness = self._roster.lateness
        session.learner.actor_waited(hello.actor, hello.session, hello.waited_s)
        self._resets.tell(hello.session, hello.put_back)
        steps = archive.steps_of(hello.actor), session.learner.counters.env_steps
        cursor = archive.cursors.get(hello.actor)
        self.server.send(hello.actor, Welcome(session.run.run_id, self._id, self._config, cursor, *steps))

    def _archive(self, message: Records) -> bool:
        """Whether the actor must rewind."""
        archive, name = self._session.archive, message.actor
        try:
            records, rewind = self._inbox.accept(message)
            for record in records:
                if archive.owner(record.episode_id)[0] != name:
                    raise DataError(f"actor {name} sent a step of episode {record.episode_id}")
                self._session.add(record)
        except StorageError:
            raise
        except DataError as e:
            self.server.reject(str(e))
            self._inbox.cursors = archive.cursors
            return False
        if records:
            self._roster.archived(name, records[-1])
            self._opinion.tell(name, records[-1])
        return rewind

    def _acknowledge(self, rewind: set[str]) -> None:
        cursors, steps, now = self._session.archive.cursors, self._session.learner.counters.env_steps, time.monotonic()
        for name, may in self._allowed().items():
            again = name in rewind and now - self._rewound_s.get(name, 0.0) > REWIND_EVERY_S
            if again:
                self._rewound_s[name] = now
            ack = Ack(self._id, cursors.get(name), again, may, steps, self._stop, self._health(name))
            before, at_s = self._acked.get(name, (None, 0.0))
            urgent = again or before is None or (ack.cursor, ack.stop) != (before.cursor, before.stop)
            wait_s = ALLOW_EVERY_S if before is None or ack.allowed != before.allowed else ACK_EVERY_S
            if urgent or now - at_s > wait_s:
                self._acked[name] = (ack, now)
                self.server.send(name, ack)
                self._opinion.ask(name)

    def _health(self, actor: str) -> LearnerHealth:
        learner = self._session.learner
        return LearnerHealth(
            learner.counters.updates,
            self._speed.of(learner.counters.updates),
            learner.achieved_utd,
            learner.config.target_utd,
            self._opinion.value(actor),
        )

    def _allowed(self) -> dict[str, int]:
        """Environment steps each active actor may have taken."""
        session, archive = self._session, self._session.archive
        learner, own = session.learner, {name: archive.steps_of(name) for name in self.active}
        learner.actors = max(1, len(own))
        # Two steps each beyond the end: an actor hands out its newest step when it has taken the one after it.
        limit = min(learner.allowed_env_steps, session.all_steps - session.elsewhere + 2 * learner.actors)
        return self._allowance.grant(own, limit - learner.counters.env_steps)


class Speed:
    """How fast a counter grows, looked at about once a second."""

    def __init__(self) -> None:
        self._count, self._at_s, self._per_s = 0, time.monotonic(), 0.0

    def of(self, count: int) -> float:
        """Its growth per second of late."""
        elapsed_s = time.monotonic() - self._at_s
        if elapsed_s > 1.0:
            self._per_s = (count - self._count) / elapsed_s
            self._count, self._at_s = count, time.monotonic()
        return self._per_s


def listening(session: Session, at: Endpoints | None = None) -> LearnerService:
    """The service of a run, listening where its configuration says.

    Args:
        session: of the run.
        at: where actors of this machine expect it; None picks free ports.

    Raises:
        ConfigError: the address needs keys, they cannot be used, or it is taken.
    """
    config = session.config
    here = at or Endpoints(ANY_PORT, ANY_PORT)
    if not config.listen:
        return LearnerService(session, here.records, here.parameters)
    if config.keys is None:
        service = LearnerService(session, check_local(config.listen), next_port(config.listen))
        how = service.server.endpoint
    else:
        remote = Secured(config.listen, load_learner_keys(config.keys))
        service = LearnerService(session, here.records, here.parameters, remote=remote)
        how = f"{service.server.remote_endpoint.replace('0.0.0.0', gethostname())} --keys DIR"
    session.note(f"actors may join with: robot-rl act --learner {how}")
    return service
