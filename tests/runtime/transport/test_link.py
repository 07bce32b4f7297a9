"""The link: whatever the learner does, the control thread never waits and every record arrives once and in order."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import zmq

from robot_rl.data.codec import pack_record
from robot_rl.data.episode_log import EpisodeMeta
from robot_rl.runtime.actor.spool import Spool
from robot_rl.runtime.episode_files import EpisodeSink, episode_files
from robot_rl.runtime.transport import link as link_module
from robot_rl.runtime.transport.keys import load_actor_keys, load_learner_keys
from robot_rl.runtime.transport.link import Link
from robot_rl.runtime.transport.sockets import Secured
from robot_rl.runtime.transport.stream import place_of
from tests.runtime.fakes import ACTIONS, SPEC, stream
from tests.runtime.transport.stub_learner import NoDisk, StubLearner, keys_for, until


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "HELLO_EVERY_S", 0.2)
    monkeypatch.setattr(link_module, "UNANSWERED_HELLO_S", 0.3)
    monkeypatch.setattr(link_module, "MAX_BACKOFF_S", 0.3)


@pytest.fixture
def learner() -> Iterator[StubLearner]:
    with closing(StubLearner()) as one:
        yield one


def joined(learner: StubLearner, backlog: object, actor: str = "a0", **options: object) -> Link:
    link = Link(actor, learner.server.endpoint, learner.publisher.endpoint, **options)
    learner.pump_until(lambda: link.status.welcome)
    link.attach(backlog, SPEC.checksum, getattr(backlog, "last", None))
    learner.pump_until(lambda: link.status.admitted)
    return link


def spool_in(folder: Path) -> Spool:
    spool = Spool(folder, "run", "a0", min_free_bytes=0)
    spool.write_to(EpisodeSink(spool.folder, EpisodeMeta("Point", SPEC, ACTIONS)))
    return spool


def offer(link: Link, records: list, spool: Spool | None = None) -> None:
    for r in records:
        if spool is not None:
            spool.append(r)
        link.offer(place_of(r), pack_record(r))


def check(learner: StubLearner, records: list) -> None:
    assert [(r.episode_id, r.step_index) for r in learner.archive] == [(r.episode_id, r.step_index) for r in records]


def test_records_arrive_and_the_status_follows(learner: StubLearner) -> None:
    records = stream([4, 3])
    learner.allowed = 123
    with closing(joined(learner, NoDisk())) as link:
        first = learner.hellos[0]
        assert (first.run_id, first.actor, first.state_checksum) == ("", "a0", "") and first.host
        offer(link, records)
        learner.pump_until(lambda: link.settled and link.parameters is not None)
        status = link.status
        assert (status.allowed, status.env_steps, status.cursor, status.stop) == (123, 7, (1, 2), False)
        assert link.parameters.version == 1 and status.rewinds == 0
        learner.stop = True
        learner.acknowledge("a0")
        until(lambda: link.status.stop)
        link.waited_s = 2.5
        learner.pump_until(lambda: learner.hellos[-1].waited_s == 2.5)
        assert (learner.hellos[-1].last, learner.hellos[-1].run_id) == ((1, 2), "run")
        with pytest.raises(Exception, match="only grow"):
            offer(link, records[:1])
    check(learner, records)


def test_offering_never_waits_for_a_learner_that_does_not_read(learner: StubLearner, tmp_path: Path) -> None:
    """Far more than sockets, window and memory hold; the rest waits in the spool and arrives later."""
    records = stream([30] * 40)
    size = len(pack_record(records[0]))
    with (
        closing(spool_in(tmp_path)) as spool,
        closing(joined(learner, spool, memory_bytes=50 * size)) as link,
    ):
        slowest_s = 0.0
        for r in records:
            spool.append(r)
            packed = pack_record(r)
            start_s = time.thread_time()
            link.offer(place_of(r), packed)
            slowest_s = max(slowest_s, time.thread_time() - start_s)
        assert not link.settled and link._outbox.size_bytes <= 50 * size
        assert slowest_s < 0.1, "processor time of one call"
        learner.pump_until(lambda: link.settled)
        check(learner, records)
        learner.pump_until(lambda: not episode_files(spool.folder))


def test_a_learner_restarted_in_mid_stream_loses_nothing(learner: StubLearner, tmp_path: Path) -> None:
    records = stream([10] * 12)
    at = {"records": learner.server.endpoint, "parameters": learner.publisher.endpoint}
    with closing(spool_in(tmp_path)) as spool, closing(joined(learner, spool)) as link:
        offer(link, records[:45], spool)
        learner.pump_until(lambda: len(learner.archive) == 45)
        learner.close()
        offer(link, records[45:70], spool)
        # As from an archive that has lost its unsynchronised end: the cursor goes back within the open episode.
        kept = [r for r in learner.archive if place_of(r) <= (4, 1)]
        second = StubLearner(name="learner2", archive=kept, cursors={"a0": (4, 1)}, **at)
        with closing(second):
            second.pump_until(lambda: len(second.archive) > 50)
            offer(link, records[70:], spool)
            second.pump_until(lambda: link.settled)
            assert link.status.welcome.learner == "learner2" and second.hellos[0].run_id == "run"
            check(second, records)
            second.pump_until(lambda: not episode_files(spool.folder))


def test_what_is_lost_on_the_way_is_sent_again_without_new_records(learner: StubLearner) -> None:
    records = stream([5])
    with closing(joined(learner, NoDisk())) as link:
        offer(link, records)
        until(lambda: link._sender.position == (0, 4))
        time.sleep(0.1)
        while list(learner.server.receive(0.1)):
            pass  # the network swallows them
        learner.pump_until(lambda: link.settled)
        check(learner, records)
        assert link.status.rewinds >= 1


def test_a_predecessors_records_are_sent_first(learner: StubLearner, tmp_path: Path) -> None:
    records = stream([4, 6, 3])
    with closing(spool_in(tmp_path)) as spool:
        for r in records[:8]:
            spool.append(r)
    with closing(spool_in(tmp_path)) as spool, closing(joined(learner, spool)) as link:
        assert not link.settled
        learner.pump_until(lambda: link.settled)
        check(learner, records[:8])
        offer(link, records[10:], spool)
        learner.pump_until(lambda: link.settled)
        check(learner, records[:8] + records[10:])


def test_a_wrong_layout_is_refused_with_the_learners_sentence(learner: StubLearner) -> None:
    with closing(Link("a0", learner.server.endpoint, learner.publisher.endpoint)) as link:
        learner.pump_until(lambda: link.status.welcome)
        link.attach(NoDisk(), "f" * 16, None)
        learner.pump_until(lambda: link.status.refused)
        assert link.status.refused == "the state layout is ffffffffffffffff here" and not link.status.admitted


def test_a_learner_of_another_run_on_the_same_port_is_refused(learner: StubLearner) -> None:
    at = {"records": learner.server.endpoint, "parameters": learner.publisher.endpoint}
    with closing(joined(learner, NoDisk())) as link:
        learner.close()
        with closing(StubLearner(run_id="other", **at)) as second:
            second.pump_until(lambda: link.status.refused)
        assert "belongs to run 'run', this learner trains 'other'" in link.status.refused


def test_noise_from_the_learner_is_counted(learner: StubLearner) -> None:
    with closing(joined(learner, NoDisk())) as link:
        peer = learner.server._peers["a0"]
        for frames in ([b"noise"], [b""], [b"a", b"b"]):
            peer.listener.socket.send_multipart([peer.identity, *frames])
        learner.pump_until(lambda: link.status.rejected == 3)
        offer(link, stream([2]))
        learner.pump_until(lambda: link.settled)


def test_a_disk_that_fails_is_told_to_the_control_thread(learner: StubLearner) -> None:
    from robot_rl.core.errors import StorageError

    class Broken(NoDisk):
        def acknowledge(self, cursor: object) -> None:
            raise StorageError("the disk is broken")

    link = Link("a0", learner.server.endpoint, learner.publisher.endpoint)
    with closing(link):
        learner.pump_until(lambda: link.status.welcome)
        link.attach(Broken(), SPEC.checksum, None)
        learner.pump_until(lambda: link.status.problem)
        assert link.status.problem == "the disk is broken"


def test_ages_grow_when_the_learner_is_gone_and_shrink_when_it_is_back(learner: StubLearner) -> None:
    at = {"records": learner.server.endpoint, "parameters": learner.publisher.endpoint}
    with closing(joined(learner, NoDisk())) as link:
        learner.pump_until(lambda: link.parameters)
        learner.close()
        until(lambda: link.status.silent_s > 0.8 and link.status.policy_age_s > 0.8)
        with closing(StubLearner(name="learner2", **at)) as second:
            second.pump_until(lambda: link.status.silent_s < 0.5 and link.status.policy_age_s < 0.5)


def test_everything_works_with_keys_beyond_loopback(tmp_path: Path) -> None:
    folder = keys_for(tmp_path / "keys", "a1")
    records = stream([5, 4], prefix="run-a1")
    with closing(StubLearner(remote=Secured(f"tcp://127.0.0.2:{free_pair()}", load_learner_keys(folder)))) as learner:
        keys = load_actor_keys(folder / "actors" / "a1")
        with closing(Link("a1", learner.server.remote_endpoint, keys=keys)) as link:
            learner.pump_until(lambda: link.status.welcome)
            link.attach(NoDisk(), SPEC.checksum, None)
            offer(link, records)
            learner.pump_until(lambda: link.settled and link.status.cursor == (1, 3) and link.parameters)
        check(learner, records)


def free_pair() -> int:
    """A port whose successor is free too."""
    for _ in range(100):
        with (
            closing(zmq.Context.instance().socket(zmq.PULL)) as a,
            closing(zmq.Context.instance().socket(zmq.PULL)) as b,
        ):
            port = a.bind_to_random_port("tcp://127.0.0.2", 20000, 60000)
            try:
                b.bind(f"tcp://127.0.0.2:{port + 1}")
            except zmq.ZMQError:
                continue
            return port
    raise AssertionError("no two free ports in a row")
