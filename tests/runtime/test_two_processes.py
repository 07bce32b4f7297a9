"""A learner here, a real actor process there; either may be killed and nothing is lost or counted twice."""

from __future__ import annotations

import csv
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from robot_rl.core.errors import DeviceError
from robot_rl.runtime.checkpoint import latest_checkpoint, load_checkpoint
from robot_rl.runtime.child import ActorProcess
from robot_rl.runtime.config import PaceConfig
from robot_rl.runtime.episode_files import read_records
from robot_rl.runtime.learner_process import LearnerService, serve, train_two_processes
from robot_rl.runtime.progress import Progress
from robot_rl.runtime.run_folder import RunFolder, create_run
from robot_rl.runtime.session import Session
from robot_rl.runtime.stop import StopFlag
from robot_rl.runtime.stream import place_of
from tests.runtime.fakes import ACTIONS, SPEC, tiny_config

POINT = "tests.runtime.point_actor"


def start(folder: Path, run: RunFolder | None = None, **changes: object) -> Session:
    pace = PaceConfig(learning_starts=20, publish_every=3, slack=10)
    config = tiny_config(out_dir=folder, lockstep=False, pace=pace, **changes)
    session = Session(
        run or create_run(config, SPEC, ACTIONS, 10.0), config, SPEC, ACTIONS, 10.0, Progress("Point", live=False)
    )
    if run is not None:
        assert session.resume()
    return session


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


def check_exactly_once(session: Session) -> list[dict[str, str]]:
    """What the actor logged, what the learner counted and what the table says are the same."""
    logged = Counter(place_of(r) for r in read_records(session.run.episodes))
    counters = session.learner.counters
    assert set(logged.values()) == {1}
    assert len(logged) == counters.env_steps == session.learner.replay.counters.added
    with (session.run.path / "episodes.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [int(r["episode"]) for r in table] == list(range(counters.episodes))
    assert sum(int(r["length"]) for r in table) == counters.env_steps
    return table


def test_a_run_comes_to_its_end_at_the_wanted_utd(tmp_path: Path) -> None:
    session = start(tmp_path)
    assert train_two_processes(session, StopFlag(), actor_module=POINT)
    session.close()
    check_exactly_once(session)
    assert 200 <= session.learner.counters.env_steps <= 202
    assert session.learner.achieved_utd == pytest.approx(2.0, rel=0.03)
    saved = load_checkpoint(latest_checkpoint(session.run.checkpoints))
    assert saved.state["counters"]["env_steps"] == session.learner.counters.env_steps


def test_the_actor_may_be_killed(tmp_path: Path) -> None:
    session = start(tmp_path)
    service = LearnerService(session)
    child = ActorProcess(session.run.path, service.server.endpoint, service.publisher.endpoint, module=POINT)
    try:
        kill = At(session, 70, lambda: os.kill(child.pid, signal.SIGKILL))
        serve(session, service, kill, child)
        service.say_stop()
        while child.running:
            service.exchange(0.05)
        service.exchange(0.0)
    finally:
        child.stop()
        service.close()
        session.close()
    assert kill.done and child.restarts == 1
    table = check_exactly_once(session)
    assert [r["stop_reason"] for r in table].count("actor_lost") <= 1
    assert len(session.learner.replay.online) > 0.9 * session.learner.counters.env_steps


def test_the_learner_may_be_restarted_from_an_older_checkpoint(tmp_path: Path) -> None:
    first = start(tmp_path)
    service = LearnerService(first)
    records, parameters = service.server.endpoint, service.publisher.endpoint
    child = ActorProcess(first.run.path, records, parameters, module=POINT)
    try:
        serve(first, service, At(first, 110), child)
        service.close()  # as if killed: no goodbye, nothing saved after the checkpoint at 60 steps
        first.close()
        old = load_checkpoint(latest_checkpoint(first.run.checkpoints)).state["counters"]["env_steps"]
        assert old < 110
        second = start(tmp_path, first.run)
        assert second.learner.counters.env_steps == old
        service = LearnerService(second, records, parameters)
        serve(second, service, StopFlag(), child)
        service.say_stop()
        while child.running:
            service.exchange(0.05)
        service.exchange(0.0)
        second.close()
    finally:
        child.stop()
        service.close()
    assert child.restarts == 0
    check_exactly_once(second)


def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    first = start(tmp_path)
    assert not train_two_processes(first, At(first, 90), actor_module=POINT)
    first.close()
    second = start(tmp_path, first.run)
    assert second.learner.counters == first.learner.counters
    assert train_two_processes(second, StopFlag(), actor_module=POINT)
    second.close()
    check_exactly_once(second)


def test_an_actor_that_cannot_go_on_says_why_and_the_learner_saves(tmp_path: Path) -> None:
    session = start(tmp_path)
    with pytest.raises(DeviceError, match=r"^3 episodes in a row .* not finite in position"):
        train_two_processes(session, StopFlag(), actor_module="tests.runtime.nan_actor")
    session.close()
    assert latest_checkpoint(session.run.checkpoints)


def test_an_actor_that_keeps_dying_is_not_restarted_for_ever(tmp_path: Path) -> None:
    session = start(tmp_path)
    with pytest.raises(DeviceError, match=r"the actor died 4 times, last with exit code 1: .*no_such_module"):
        train_two_processes(session, StopFlag(), actor_module="tests.runtime.no_such_module")
    session.close()
