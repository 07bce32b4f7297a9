"""The learner's pace on real updates: the same numbers whatever the bounds, and waits that are counted truthfully."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from robot_rl.runtime.config import PaceConfig, TrainConfig
from robot_rl.runtime.learner.learner import Learner
from robot_rl.runtime.monitor.metrics import LEARNER_COLUMNS
from tests.runtime.fakes import ACTIONS, SPEC, stream, tiny_config

RECORDS = stream([10] * 12)


def make(**pace: float) -> Learner:
    values = {"learning_starts": 20, "slack": 4, **pace}
    return Learner(tiny_config(pace=PaceConfig(**values)), SPEC, ACTIONS)  # type: ignore[arg-type]


def settle(learner: Learner) -> None:
    """Wait until the update under way is through."""
    learner.actor_arrays()
    for value in learner.figures().values():
        float(value)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Time stands still unless it is moved."""
    now = [1000.0]
    monkeypatch.setattr("robot_rl.runtime.learner.learner.time.perf_counter", lambda: now[0])

    def move(seconds: float) -> None:
        now[0] += seconds

    return move


def in_turn(learner: Learner) -> list[int]:
    """As lock-step does it: a step, then what is due. Returns the update calls made after each step."""
    counts = []
    for record in RECORDS:
        learner.add(record)
        while learner.due:
            learner.update()
        counts.append(learner.counters.updates)
    return counts


def test_floor_and_cap_change_nothing_in_lock_step() -> None:
    plain, bounded = make(), make(utd_floor=0.25, utd_cap=4.0)
    counts = in_turn(plain)
    assert counts == [max(0, n - 20) for n in range(1, len(RECORDS) + 1)] == in_turn(bounded)
    a, b = plain.state()[0], bounded.state()[0]
    assert all(np.array_equal(a[k], b[k]) for k in a)
    assert plain.counters.actor_wait_s == bounded.counters.actor_wait_s == 0.0


def test_several_steps_may_share_an_update() -> None:
    assert in_turn(make(env_steps_per_update=7)) == [max(0, n - 20) // 7 for n in range(1, len(RECORDS) + 1)]


def test_idle_time_is_used_up_to_the_cap() -> None:
    learner = make(utd_cap=1.5)
    assert not learner.may_work_ahead
    for record in RECORDS[:40]:
        learner.add(record)
    while learner.due:
        learner.update()
    assert learner.counters.updates == 20 and learner.achieved_utd == 2.0
    while learner.may_work_ahead:
        learner.update()
    assert learner.counters.updates == 30 and learner.achieved_utd == 3.0
    for record in RECORDS[40:50]:
        learner.add(record)
    assert not learner.due and learner.may_work_ahead


def test_warm_up_is_outside_the_pace() -> None:
    learner = make()
    learner.add_demos([stream([6], "demo-0")])
    for _ in range(5):
        learner.warm_up()
    assert not learner.due and not learner.may_work_ahead and learner.allowed_env_steps == 24
    for record in RECORDS[:22]:
        learner.add(record)
    while learner.due:
        learner.update()
    assert learner.counters.updates == 7 and learner.achieved_utd == 2.0


def test_actors_tell_how_long_they_wait() -> None:
    learner = make()
    for waited_s in (0.0, 1.0, 1.0, 2.5):
        learner.actor_waited("a0", "x", waited_s)
    assert learner.counters.actor_wait_s == 2.5
    learner.actor_waited("a0", "restarted", 0.0)
    learner.actor_waited("a0", "restarted", 0.5)
    assert learner.counters.actor_wait_s == 3.0
    learner.actor_waited("a1", "y", 100.0)  # heard for the first time: it waited for another learner
    learner.actors = 2
    learner.actor_waited("a1", "y", 101.0)
    assert learner.counters.actor_wait_s == 3.5


def test_the_end_of_a_run_is_no_wait(clock: Callable[[float], None]) -> None:
    learner = Learner(tiny_config(env_steps=23, pace=PaceConfig(learning_starts=20, slack=4)), SPEC, ACTIONS)
    for record in RECORDS[:23]:
        learner.add(record)
    learner.actor_waited("a0", "x", 0.0)
    learner.actor_waited("a0", "x", 9.0)
    while learner.due:
        learner.update()
    settle(learner)
    with learner.waiting():
        clock(9.0)
    assert learner.counters.actor_wait_s == learner.counters.learner_wait_s == 0.0


def test_learning_waits_only_with_nothing_to_do_and_nothing_under_way(clock: Callable[[float], None]) -> None:
    learner = make()

    def wait() -> float:
        before = learner.counters.learner_wait_s
        with learner.waiting():
            clock(2.0)
        return learner.counters.learner_wait_s - before

    assert wait() == 0.0  # learning has not begun
    for record in RECORDS[:21]:
        learner.add(record)
    assert wait() == 0.0  # an update is due
    learner.update()
    settle(learner)
    assert wait() == 2.0
    ahead = make(utd_cap=3.0)
    for record in RECORDS[:21]:
        ahead.add(record)
    ahead.update()
    settle(ahead)
    assert ahead.may_work_ahead
    with ahead.waiting():
        clock(2.0)
    assert ahead.counters.learner_wait_s == 0.0  # idle time could be used


def test_an_update_under_way_is_not_waiting(clock: Callable[[float], None]) -> None:
    learner = make()
    for record in RECORDS[:21]:
        learner.add(record)
    learner.update()

    class Unfinished:
        @staticmethod
        def is_ready() -> bool:
            return False

    learner._info = {"loss": Unfinished()}
    with learner.waiting():
        clock(2.0)
    assert learner.counters.learner_wait_s == 0.0


def test_waits_are_logged_and_go_on_after_a_restart(clock: Callable[[float], None]) -> None:
    learner = make()
    in_turn(learner)
    settle(learner)
    with learner.waiting():
        clock(1.25)
    row = learner.figures()
    assert tuple(row)[: len(LEARNER_COLUMNS)] == LEARNER_COLUMNS
    assert (row["learner_wait_s"], row["actor_wait_s"]) == (1.25, 0.0)
    assert row["utd"] == row["utd_target"] == 2.0
    again = make()
    again.restore(*learner.state())
    assert again.counters == learner.counters


def test_the_target_is_part_of_the_configuration() -> None:
    assert TrainConfig(pace=PaceConfig(env_steps_per_update=4)).target_utd == TrainConfig().agent.utd / 4
