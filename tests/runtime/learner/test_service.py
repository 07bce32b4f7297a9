"""The learner answers every actor, and acknowledges what its disk has and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import zmq

from robot_rl.core.config import from_dict, parse_yaml
from robot_rl.core.errors import StorageError
from robot_rl.core.lateness import LatenessHistogram
from robot_rl.core.transition import StepRecord
from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.learner.roster import Roster, steps_between
from robot_rl.runtime.learner.service import LearnerService
from robot_rl.runtime.learner.session import Session
from robot_rl.runtime.transport.messages import Ack, Hello, Message, Records, Refuse, Welcome
from robot_rl.runtime.transport.stream import place_of
from robot_rl.runtime.transport.wire import Place, decode, encode, pack_all
from tests.runtime.fakes import SPEC, record, stream
from tests.runtime.runs import archived, async_config, rows, start


class Peer:
    """An actor that says exactly what a test wants."""

    def __init__(self, service: LearnerService, name: str = "a0") -> None:
        self.service, self.name, self.run_id = service, name, service._session.run.run_id
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(service.server.endpoint)
        self.heard = list[Message]()

    def hello(self, checksum: str = SPEC.checksum, last: Place | None = None) -> None:
        self.socket.send_multipart(encode(Hello(self.run_id, self.name, f"s-{self.name}", "here", last, checksum)))

    def send(self, records: list[StepRecord], previous: Place | None) -> None:
        message = Records(self.run_id, self.name, f"s-{self.name}", previous, pack_all(records))
        self.socket.send_multipart(encode(message))

    def stream(self, lengths: list[int]) -> list[StepRecord]:
        return stream(lengths, f"{self.run_id}-{self.name}")

    def until(self, found: Callable[[Message], bool]) -> Message:
        """Let the learner work until it has answered as expected."""
        end_s = time.monotonic() + 60
        while time.monotonic() < end_s:
            self.service.exchange(0.01)
            while self.socket.poll(10):
                self.heard.append(decode(self.socket.recv_multipart()))
                if found(self.heard[-1]):
                    return self.heard[-1]
        raise AssertionError(f"heard only {self.heard[-5:]}")

    def acknowledged(self, cursor: Place) -> Message:
        return self.until(lambda m: isinstance(m, Ack) and m.cursor == cursor)

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with closing(start(async_config(tmp_path))) as s:
        yield s


@pytest.fixture
def service(session: Session) -> Iterator[LearnerService]:
    with closing(LearnerService(session)) as s:
        yield s


@pytest.fixture
def peer(service: LearnerService) -> Iterator[Peer]:
    with closing(Peer(service)) as p:
        yield p


def test_an_actor_is_welcomed_with_everything_it_needs(session: Session, peer: Peer) -> None:
    peer.hello("")
    welcome = peer.until(lambda m: isinstance(m, Welcome))
    assert isinstance(welcome, Welcome)
    assert from_dict(TrainConfig, parse_yaml(welcome.config, "x")) == session.config
    assert (welcome.run_id, welcome.cursor, welcome.actor_steps, welcome.env_steps) == (peer.run_id, None, 0, 0)


def test_another_state_layout_is_refused_with_both(service: LearnerService, peer: Peer) -> None:
    peer.hello("0123456789abcdef")
    refuse = peer.until(lambda m: isinstance(m, Refuse))
    assert isinstance(refuse, Refuse)
    assert "0123456789abcdef" in refuse.reason and SPEC.checksum in refuse.reason
    assert not service.server.actors


def test_what_is_acknowledged_is_on_the_disk(session: Session, peer: Peer) -> None:
    records, previous = peer.stream([3, 4]), None
    peer.hello()
    for r in records:
        peer.send([r], previous)
        previous = place_of(r)
        peer.acknowledged(previous)
        assert archived(session.run)["a0", *previous] == 1
    assert session.learner.counters.env_steps == 7


def test_a_step_sent_twice_counts_once_and_a_gap_is_asked_for(session: Session, peer: Peer) -> None:
    records = peer.stream([6])
    peer.hello()
    peer.send(records[:2], None)
    peer.send(records[4:], (0, 3))
    peer.until(lambda m: isinstance(m, Ack) and m.rewind and m.cursor == (0, 1))
    peer.send(records[:2], None)
    peer.send(records, None)
    peer.acknowledged((0, 5))
    assert set(archived(session.run).values()) == {1} and session.learner.counters.env_steps == 6


def test_a_full_disk_acknowledges_nothing(session: Session, service: LearnerService, peer: Peer) -> None:
    peer.hello()
    peer.until(lambda m: isinstance(m, Ack))
    (session.run.episodes / "a0").write_text("in the way")
    peer.send(peer.stream([3]), None)
    with pytest.raises(StorageError, match=r"episodes/a0.*: "):
        peer.until(lambda m: isinstance(m, Ack) and m.cursor is not None)
    assert not any(isinstance(m, Ack) and m.cursor for m in peer.heard)
    assert session.learner.counters.env_steps == 0 and session.archive.cursors == {}


def test_records_that_do_not_belong_here_change_nothing(session: Session, service: LearnerService, peer: Peer) -> None:
    peer.hello()
    peer.send(stream([3], f"{peer.run_id}-other"), None)
    peer.send(stream([3], "elsewhere-a0"), None)
    peer.send([record(0, 0, prefix=f"{peer.run_id}-a0"), record(0, 2, prefix=f"{peer.run_id}-a0")], None)
    peer.acknowledged((0, 0))
    assert service.server.rejected == 3
    assert set(archived(session.run)) == {("a0", 0, 0)}
    records = peer.stream([4])
    peer.send(records[1:], (0, 0))
    peer.acknowledged((0, 3))
    assert session.learner.counters.env_steps == 4


def test_actors_are_told_how_far_they_may_go_together(session: Session, service: LearnerService, peer: Peer) -> None:
    with closing(Peer(service, "a1")) as other:
        for p in (peer, other):
            p.hello()
            p.until(lambda m: isinstance(m, Welcome))
        peer.until(lambda m: isinstance(m, Ack) and m.allowed > 0)
        assert session.learner.actors == 2
        service.say_stop()
        assert peer.until(lambda m: isinstance(m, Ack) and m.stop)


def test_the_table_of_actors(session: Session, service: LearnerService, peer: Peer) -> None:
    peer.hello(last=(2, 4))
    records = peer.stream([3])
    peer.send(records, None)
    peer.acknowledged((0, 2))
    service.write_rows()
    (row,) = rows(session.run.path / "actors.csv")
    assert (row["actor"], row["host"], row["env_step"], row["env_steps"], row["share"]) == ("a0", "here", "3", "3", "1")
    assert int(row["lag_steps"]) == 5 and float(row["lag_s"]) > 0


def test_lateness_adds_up_over_the_processes_of_an_actor() -> None:
    roster = Roster()
    roster.heard(Hello("run", "a0", "s1", "here"))
    (row,) = roster.rows(0, {}, {})
    assert row.late_p99_ms is row.missed is None
    first = LatenessHistogram().add(0.0005).add(0.03, missed=True)
    roster.heard(Hello("run", "a0", "s1", "here", lateness=LatenessHistogram().add(0.0005)))
    roster.heard(Hello("run", "a0", "s1", "here", lateness=first))
    second = LatenessHistogram().add(0.0005)
    roster.heard(Hello("run", "a0", "s2", "here", lateness=second))
    roster.heard(Hello("run", "a1", "s3", "there", lateness=second))
    assert roster.lateness == first.merge(second).merge(second)
    row, other = roster.rows(0, {}, {})
    assert (row.late_worst_ms, row.missed, other.late_worst_ms, other.missed) == (30.0, 1, 0.5, 0)


def test_lateness_reaches_the_progress_line(session: Session, service: LearnerService, peer: Peer) -> None:
    late = LatenessHistogram().add(0.03, missed=True)
    peer.socket.send_multipart(encode(Hello(peer.run_id, peer.name, "s1", "here", lateness=late)))
    peer.until(lambda m: isinstance(m, Welcome))
    assert session.metrics.lateness == late


def test_the_age_of_a_policy_counts_from_its_release(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    roster = Roster()
    roster.released(3)
    now[0] = 107.5
    roster.archived("a0", record(0, 0))  # of version 3
    (row,) = roster.rows(1, {"a0": 1}, {"a0": (0, 0)})
    assert row.policy_age_s == 7.5


@pytest.mark.parametrize(
    ("cursor", "last", "steps"),
    [
        (None, None, 0),
        (None, (0, 2), 3),
        ((1, 4), (1, 4), 0),
        ((1, 4), (1, 7), 3),
        ((1, 4), (3, 0), 1),
        ((2, 0), (1, 9), 0),
    ],
)
def test_steps_known_to_lie_beyond_a_cursor(cursor: Place | None, last: Place | None, steps: int) -> None:
    assert steps_between(cursor, last) == steps


def test_an_actor_hears_how_its_learner_does_and_what_its_critics_think(session: Session, peer: Peer) -> None:
    peer.hello()
    peer.until(lambda m: isinstance(m, Welcome))
    peer.send(peer.stream([4]), None)

    def valued(message: Message) -> bool:
        return isinstance(message, Ack) and message.health.value is not None

    ack = peer.until(valued)
    assert isinstance(ack, Ack) and ack.health.value is not None
    expected = float(session.learner.step_value(peer.stream([4])[-1]))
    assert ack.health.value == pytest.approx(expected, abs=1e-5)
    assert ack.health.utd_target == session.config.target_utd
