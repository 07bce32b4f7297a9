"""A learner here, a real actor process there; either may be killed and nothing is lost or counted twice."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from robot_rl.core.errors import DeviceError, StorageError
from robot_rl.core.transition import StepRecord
from robot_rl.runtime.config import EvalConfig
from robot_rl.runtime.episode_files import read_records
from robot_rl.runtime.learner.checkpoint import latest_checkpoint, list_checkpoints, load_checkpoint
from robot_rl.runtime.learner.child import ActorProcess
from robot_rl.runtime.learner.process import serve, train_two_processes
from robot_rl.runtime.learner.service import LearnerService
from robot_rl.runtime.learner.session import Session
from robot_rl.runtime.stop import StopFlag
from tests.runtime.runs import POINT, archived, async_config, check_exactly_once, rows, start


class At(StopFlag):
    """Does something once, as soon as the run has so many steps; asks to stop if that is what it should do."""

    def __init__(self, session: Session, steps: int, action: object = None) -> None:
        super().__init__()
        self._session, self._steps, self._action = session, steps, action
        self.done = False

    @property
    def requested(self) -> bool:  # type: ignore[override]
        if not self.done and self._session.learner.counters.env_steps >= self._steps:
            self.done = True
            if callable(self._action):
                self._action()
        return self.done and self._action is None

    @requested.setter
    def requested(self, value: bool) -> None:
        pass


def end(service: LearnerService, *children: ActorProcess) -> None:
    service.say_stop()
    while any(child.running for child in children):
        service.exchange(0.05)
    service.exchange(0.0)


def spooled(session: Session) -> list[str]:
    """Files that actors of this machine still keep for the learner."""
    return [p.name for p in session.run.spool.rglob("*.mcap*")]


def test_a_run_comes_to_its_end_at_the_wanted_utd(tmp_path: Path) -> None:
    session = start(async_config(tmp_path))
    assert train_two_processes(session, StopFlag(), actor_module=POINT)
    session.close()
    check_exactly_once(session)
    assert 200 <= session.learner.counters.env_steps <= 202
    assert session.learner.achieved_utd == pytest.approx(2.0, rel=0.03)
    saved = load_checkpoint(latest_checkpoint(session.run.checkpoints))
    assert saved.state["counters"]["env_steps"] == session.learner.counters.env_steps
    assert not spooled(session), "what is acknowledged is kept once"
    (row,) = rows(session.run.path / "actors.csv")[-1:]
    assert row["actor"] == "a0" and float(row["share"]) == 1.0
    assert int(row["env_steps"]) == session.learner.counters.env_steps and 0 <= float(row["lag_s"]) < 60


def test_eight_actors_share_the_work(tmp_path: Path) -> None:
    names = [f"a{k}" for k in range(8)]
    session = start(async_config(tmp_path, actors=8, env_steps=960))
    assert train_two_processes(session, StopFlag(), actor_module=POINT)
    session.close()
    check_exactly_once(session)
    steps = session.learner.counters.env_steps
    own = {name: session.archive.steps_of(name) for name in names}
    assert sum(own.values()) == steps and 960 <= steps <= 960 + 2 * 8
    assert min(own.values()) > 0, own
    assert session.learner.achieved_utd == pytest.approx(2.0, rel=0.05)
    starts = {r.obs.state.tobytes() for r in first_steps(session)}
    assert len(starts) == len(list(first_steps(session))), "no two actors see the same initial states"
    seen = {r["actor"]: r for r in rows(session.run.path / "actors.csv")}
    assert sorted(seen) == names and sum(float(r["share"]) for r in seen.values()) == pytest.approx(1.0, abs=0.01)
    assert all(int(r["env_steps"]) == own[name] and float(r["lag_s"]) >= 0 for name, r in seen.items())


def first_steps(session: Session) -> list[StepRecord]:
    return [r for folder in session.run.episodes.iterdir() for r in read_records(folder) if r.step_index == 0]


def test_the_actor_may_be_killed(tmp_path: Path) -> None:
    session = start(async_config(tmp_path))
    service = LearnerService(session)
    child = ActorProcess(session.run.path, service.server.endpoint, service.publisher.endpoint, module=POINT)
    try:
        kill = At(session, 70, lambda: os.kill(child.pid, signal.SIGKILL))
        serve(session, service, kill, [child])
        end(service, child)
    finally:
        child.stop()
        service.close()
        session.close()
    assert kill.done and child.restarts == 1
    table = check_exactly_once(session)
    assert [r["stop_reason"] for r in table].count("actor_lost") <= 1
    assert len(session.learner.replay.online) > 0.9 * session.learner.counters.env_steps
    assert [e["text"] for e in session.run.info()["events"]] == [
        "the actor a0 died with exit code -9 and was started again"
    ]


def test_the_learner_may_be_killed_without_losing_what_it_acknowledged(tmp_path: Path) -> None:
    config = async_config(tmp_path)
    first = start(config)
    service = LearnerService(first)
    records, parameters = service.server.endpoint, service.publisher.endpoint
    child = ActorProcess(first.run.path, records, parameters, module=POINT)
    try:
        serve(first, service, At(first, 110), [child])
        service.close()  # as if killed: no goodbye, nothing saved after the checkpoint at 60 steps
        first.close()
        had = first.learner.counters.env_steps
        saved = load_checkpoint(latest_checkpoint(first.run.checkpoints)).state["counters"]["env_steps"]
        assert saved < 110
        before = archived(first.run)
        second = start(config, first.run)
        assert second.learner.counters.env_steps == had == sum(before.values())
        service = LearnerService(second, records, parameters)
        serve(second, service, StopFlag(), [child])
        end(service, child)
        second.close()
    finally:
        child.stop()
        service.close()
    assert child.restarts == 0
    assert set(before) <= set(archived(first.run))
    check_exactly_once(second)


def test_the_log_alone_is_enough(tmp_path: Path) -> None:
    config = async_config(tmp_path, checkpoint_every=10_000)
    first = start(config)
    service = LearnerService(first)
    child = ActorProcess(first.run.path, service.server.endpoint, service.publisher.endpoint, module=POINT)
    try:
        serve(first, service, At(first, 90), [child])
    finally:
        service.close()
        child.stop()
    first.close()
    assert not list_checkpoints(first.run.checkpoints)
    second = start(config, first.run)
    assert second.learner.counters.env_steps == first.learner.counters.env_steps >= 90
    assert second.learner.counters.updates == 0 and second.learner.due
    assert train_two_processes(second, StopFlag(), actor_module=POINT)
    second.close()
    check_exactly_once(second)
    assert second.learner.achieved_utd == pytest.approx(2.0, rel=0.03)


def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    config = async_config(tmp_path)
    first = start(config)
    assert not train_two_processes(first, At(first, 90), actor_module=POINT)
    first.close()
    second = start(config, first.run)
    assert second.learner.counters == first.learner.counters
    assert second.learner.replay.counters == first.learner.replay.counters
    assert train_two_processes(second, StopFlag(), actor_module=POINT)
    second.close()
    check_exactly_once(second)


def test_an_actor_that_cannot_go_on_says_why_and_the_learner_saves(tmp_path: Path) -> None:
    session = start(async_config(tmp_path))
    with pytest.raises(DeviceError, match=r"^3 episodes in a row .* not finite in position"):
        train_two_processes(session, StopFlag(), actor_module="tests.runtime.nan_actor")
    session.close()
    assert latest_checkpoint(session.run.checkpoints)


def test_an_actor_that_keeps_dying_is_not_restarted_for_ever(tmp_path: Path) -> None:
    session = start(async_config(tmp_path))
    problem = r"the actor a0 died 4 times in 10 minutes, last with exit code 1: .*no_such_module"
    with pytest.raises(DeviceError, match=problem):
        train_two_processes(session, StopFlag(), actor_module="tests.runtime.no_such_module")
    session.close()


def test_a_failed_evaluation_in_the_background_does_not_stop_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = start(async_config(tmp_path, evaluation=EvalConfig(every=100, episodes=2, final_episodes=0)))
    assert train_two_processes(session, StopFlag(), actor_module=POINT)
    session.close()
    check_exactly_once(session)
    # no task of that name is registered, so every evaluation fails
    assert "the evaluation of checkpoint" in capsys.readouterr().out


def test_a_full_disk_ends_the_learner_with_a_sentence_and_loses_nothing(
    tmp_path: Path, file_size_limit: Callable[[int], None]
) -> None:
    config = async_config(tmp_path)
    first = start(config)
    fill = At(first, 100, lambda: file_size_limit(1000))
    with pytest.raises(StorageError, match=r"^cannot write .*: File too large"):
        train_two_processes(first, fill, actor_module=POINT)
    first.close()
    file_size_limit(-1)
    logged = archived(first.run)
    assert sum(logged.values()) == first.learner.counters.env_steps >= 100
    assert spooled(first), "what was not acknowledged is with the actor"
    second = start(config, first.run)
    assert second.learner.counters.env_steps == sum(logged.values())
    assert train_two_processes(second, StopFlag(), actor_module=POINT)
    second.close()
    assert set(logged) <= set(archived(first.run))
    check_exactly_once(second)


@pytest.fixture
def file_size_limit() -> Iterator[Callable[[int], None]]:
    """Sets how long a file this process may write: what a full disk looks like without one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before[0] if size < 0 else size, before[1]))

    yield limit
    limit(-1)
