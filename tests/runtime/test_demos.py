"""Demonstrations are recorded, kept only when they succeed, and read back as they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from robot_rl.core.errors import DataError
from robot_rl.core.marks import ABORT, DISCARD, END, FAILURE, SUCCESS
from robot_rl.core.transition import Source
from robot_rl.core.types import TeleopState
from robot_rl.data.demos import load_demos
from robot_rl.data.episode_log import read_episode, read_meta
from robot_rl.runtime.demos import record_by_hand, record_demos
from tests.runtime.fakes import SPEC, Expert, PointEnv


def record(folder: Path, n: int, *, seed: int = 0, limit: int = 15) -> object:
    env = PointEnv(limit=limit)
    return record_demos(env, lambda rng: Expert(env), n=n, seed=seed, folder=folder, task_options={"limit": limit})


def test_demonstrations_are_whole_successful_and_labelled(tmp_path: Path) -> None:
    report = record(tmp_path, 4)
    demos = load_demos(tmp_path, SPEC, "Point")
    assert len(demos) == 4 and [p.name for p in sorted(tmp_path.iterdir())] == [f"{i:06d}.mcap" for i in range(4)]
    assert report.steps == sum(map(len, demos))
    for demo in demos:
        assert demo[-1].terminated and demo[-1].rewards["success"] == 1.0
        for r in demo:
            assert (r.source, r.policy_version, r.intervention) == (Source.DEMO, -1, False)
            assert np.array_equal(r.action_policy, r.action_executed)
    assert read_meta(tmp_path / "000000.mcap").extra["task_options"] == '{"limit": 15}'


def test_the_same_seed_demonstrates_the_same(tmp_path: Path) -> None:
    for name in ("a", "b"):
        record(tmp_path / name, 2)
    a, b = (load_demos(tmp_path / name, SPEC, "Point") for name in ("a", "b"))
    assert [[r.obs.state.tobytes() for r in d] for d in a] == [[r.obs.state.tobytes() for r in d] for d in b]
    assert a[0][0].episode_id != b[0][0].episode_id, "ids are unique over recordings"


def test_failures_are_thrown_away_and_numbering_goes_on(tmp_path: Path) -> None:
    first = record(tmp_path, 2)
    second = record(tmp_path, 3, seed=5, limit=3)  # too short for far goals
    assert first.failed == 0 and second.failed > 0
    assert len(load_demos(tmp_path, SPEC, "Point")) == 5


def test_failures_are_kept_on_request_and_n_then_counts_attempts(tmp_path: Path) -> None:
    env = PointEnv(limit=3)  # too short for far goals
    report = record_demos(env, lambda rng: Expert(env), n=8, seed=5, folder=tmp_path, keep_failures=True)
    demos = load_demos(tmp_path, SPEC, "Point")
    assert report.kept == len(demos) == 8
    assert 0 < report.failed == sum(not demo[-1].terminated for demo in demos) < 8
    assert all(demo[-1].truncated for demo in demos if not demo[-1].terminated)


def test_an_expert_that_cannot_do_it_is_reported(tmp_path: Path) -> None:
    class Idle(Expert):
        def act(self) -> np.ndarray:
            return np.zeros(7, np.float32)

    env = PointEnv(limit=2)
    with pytest.raises(DataError, match=r"the expert of Point succeeded in \d+ of \d+ attempts, 30 were wanted"):
        record_demos(env, lambda rng: Idle(env), n=30, seed=0, folder=tmp_path)


class Hand:
    """A person who goes to the goal in the episodes that he likes, and says what he thinks of them."""

    def __init__(self, env: PointEnv, *, marks: dict[int, str] | None = None, wait: int = 3) -> None:
        self.env, self.marks, self.wait = env, marks or {}, wait
        self.reads, self.episode = 0, -1

    def read(self) -> TeleopState:
        if self.env.episode != self.episode:
            self.episode, self.reads = self.env.episode, 0
        self.reads += 1
        if self.reads <= self.wait:
            return TeleopState()
        mark = self.marks.get(self.episode)
        if mark is not None and self.reads > self.wait + 2:
            return TeleopState(buttons=frozenset({mark}))
        twist = np.zeros(6)
        twist[0] = 0.0 if mark is not None else np.clip(5 * (self.env.goal - self.env.x), -0.5, 0.5)
        return TeleopState(engaged=True, twist_tcp=twist)

    def close(self) -> None:
        raise AssertionError("it is kept")


def test_a_person_demonstrates_and_judges(tmp_path: Path) -> None:
    env = PointEnv(limit=60)
    hand = Hand(env, marks={1: SUCCESS, 2: DISCARD, 3: FAILURE, 4: ABORT})
    attempts = list[tuple[int, int]]()
    report = record_by_hand(
        env, hand, n=3, seed=0, folder=tmp_path, on_episode=lambda kept, failed: attempts.append((kept, failed))
    )
    assert (report.kept, report.failed) == (3, 3)
    assert attempts == [(1, 0), (2, 0), (2, 1), (2, 2), (2, 3), (3, 3)]
    for path in sorted(tmp_path.glob("*.mcap")):
        records = read_episode(path).records
        assert {(r.source, r.intervention) for r in records} == {(Source.DEMO, False)}
        assert [r.step_index for r in records] == list(range(len(records)))
        assert records[-1].terminated and records[-1].rewards["success"] == 1.0
        for r in records:
            np.testing.assert_array_equal(r.action_policy, r.action_executed)


def test_nothing_is_recorded_before_the_person_takes_over(tmp_path: Path) -> None:
    env = PointEnv(limit=60)
    record_by_hand(env, Hand(env, wait=25), n=1, seed=0, folder=tmp_path)
    records = read_episode(tmp_path / "000000.mcap").records
    assert abs(records[0].action_executed[0]) > 0.1
    assert env.holds >= 1


def test_a_person_ends_the_session_early(tmp_path: Path) -> None:
    env = PointEnv(limit=60)
    report = record_by_hand(env, Hand(env, marks={1: END}), n=5, seed=0, folder=tmp_path)
    assert report.kept == 1 and len(list(tmp_path.glob("*.mcap"))) == 1
