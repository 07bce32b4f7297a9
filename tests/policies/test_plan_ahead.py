"""Plans made in the background: every action is the one that was planned for exactly its step, whatever the timing."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_rl.core.base import BaseInfo
from robot_rl.core.errors import ConfigError, DataError, DeviceError
from robot_rl.core.transition import Observation
from robot_rl.core.types import Float32
from robot_rl.policies.plan import Planner
from robot_rl.policies.plan_ahead import AheadPlanner

HORIZON = 8
WAIT_S = 30.0
STEP, ERA = np.float32(1 / 1024), np.float32(1 / 256)  # exact in float32, so that answers can be compared to the bit


class SlowBase:
    """Answers when it is let: its plan says for which step each action is, and in which era it was asked."""

    def __init__(self, observations: int = 1) -> None:
        self.info = BaseInfo("slow", "0", HORIZON, observations, noise_shape=(1, 1))
        self.permits = threading.Semaphore(0)
        self.begun = threading.Condition()
        self.asked: list[tuple[Sequence[Observation], Float32]] = []
        self.error: Exception | None = None
        self.closed = 0

    def propose(self, seen: Sequence[Observation], noise: Float32) -> Float32:
        with self.begun:
            self.asked.append((seen, noise))
            self.begun.notify_all()
        assert self.permits.acquire(timeout=WAIT_S)
        if self.error is not None:
            raise self.error
        plans = np.zeros((len(noise), HORIZON, 7), np.float32)
        step, era = seen[-1].state
        plans[..., 0] = STEP * (1 + step + np.arange(HORIZON))
        plans[..., 1] = ERA * era
        plans[..., 2] = np.clip(noise[:, 0], -1, 1)
        return plans

    def close(self) -> None:
        self.closed += 1


def obs(step: int, era: int = 0) -> Observation:
    return Observation(np.array([step, era], np.float32))


@contextmanager
def planner(base: SlowBase, **more: float) -> Iterator[AheadPlanner]:
    ahead = AheadPlanner(base, **{"replan_every": 2, **more})  # type: ignore[arg-type]
    ahead.reset(0)
    try:
        yield ahead
    finally:
        base.permits.release(1000)
        ahead.close()


def settle(ahead: AheadPlanner) -> None:
    """Wait until the thread has nothing more to do."""
    with ahead._changed:
        assert ahead._changed.wait_for(lambda: ahead._running is None and ahead._waiting is None, WAIT_S)


def begun(base: SlowBase, count: int) -> None:
    """Wait until the base was asked so often."""
    with base.begun:
        assert base.begun.wait_for(lambda: len(base.asked) >= count, WAIT_S)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["see", "see", "see", "remember", "flush", "reset"]), st.integers(0, 2)), max_size=60
    ),
    st.integers(1, 6),
    st.integers(1, 3),
    st.booleans(),
)
def test_every_action_was_planned_for_its_step(
    moments: list[tuple[str, int]], replan_every: int, lookahead: int, orderly: bool
) -> None:
    """Nothing of a plan that was voided is followed, and what is not planned is zero."""
    base, step, era, seen, held = SlowBase(), 0, 1, 0, 0
    with planner(base, replan_every=replan_every, lookahead=lookahead, proposals=2) as ahead:
        fresh = True
        for what, permits in moments:
            if permits:
                base.permits.release(permits + 2 * orderly)  # orderly: enough for a void question and a good one
            if permits and orderly:
                settle(ahead)
            if what in ("flush", "reset"):
                ahead.reset(era) if what == "reset" else ahead.flush()
                era, fresh = era + 1, fresh or what == "reset"
                continue
            if what == "remember":
                ahead.remember(obs(step, era))
                step += 1
                continue
            if fresh:
                base.permits.release(2)  # one may be needed by a question that is void by now
                fresh = False
            plans = ahead.see(obs(step, era))
            assert plans.shape == (2, lookahead, 7)
            for k in range(lookahead):
                if plans[:, k].any():
                    assert (plans[:, k, 0] == STEP * (1 + step + k)).all()
                    assert (plans[:, k, 1] == ERA * era).all()
                else:
                    assert not plans[:, k:].any()
            held += not plans[:, 0].any()
            seen, step = seen + 1, step + 1
        figures = ahead.figures
        assert figures.dry + figures.unplanned == held <= seen
        assert figures.followed + figures.dropped <= figures.asked


def test_the_first_observation_is_waited_on() -> None:
    base = SlowBase()
    with planner(base) as ahead:
        base.permits.release()
        assert ahead.see(obs(0))[0, 0, 0] == STEP
        assert ahead.figures.unplanned == 0


def test_latency_is_measured_and_hidden() -> None:
    """Asked at step 2, answered before step 6: the first four actions of the new plan are never executed."""
    base = SlowBase()
    with planner(base) as ahead:
        base.permits.release()
        ahead.see(obs(0))
        for step in (1, 2, 3, 4):
            assert ahead.see(obs(step))[0, 0, 0] == STEP * (1 + step)
            if step == 2:
                begun(base, 2)
        assert base.asked[1][0][-1].state[0] == 2
        old = ahead.see(obs(5))[0, 0, 2]
        base.permits.release()
        settle(ahead)
        new = ahead.see(obs(6))[0, 0]
        assert new[0] == STEP * 7
        assert new[2] != old
        assert ahead.figures.latency_steps_p50 == 4
        assert ahead.figures.dry == 0


def test_a_plan_that_runs_dry_holds_the_arm_and_is_counted() -> None:
    base = SlowBase()
    with planner(base) as ahead:
        base.permits.release()
        for step in range(HORIZON):
            assert ahead.see(obs(step)).any()
            if step == 2:
                begun(base, 2)
        for step in range(HORIZON, HORIZON + 3):
            assert not ahead.see(obs(step)).any()
        assert ahead.figures.dry == 3
        base.permits.release(2)
        settle(ahead)
        # That answer is for steps that are past by now; one for newer steps follows.
        assert not ahead.see(obs(HORIZON + 3)).any()
        settle(ahead)
        assert ahead.see(obs(HORIZON + 4))[0, 0, 0] == STEP * (1 + HORIZON + 4)
        assert ahead.figures.dry == 4


def test_a_flush_drops_the_answer_under_way() -> None:
    base = SlowBase()
    with planner(base, replan_every=1) as ahead:
        base.permits.release()
        ahead.see(obs(0))
        ahead.see(obs(1))
        begun(base, 2)
        ahead.flush()
        base.permits.release()
        settle(ahead)
        assert not ahead.see(obs(2)).any()
        base.permits.release()
        settle(ahead)
        assert ahead.see(obs(3))[0, 0, 0] == STEP * 4
        assert base.asked[2][0][-1].state[0] == 2
        figures = ahead.figures
        assert (figures.dropped, figures.unplanned, figures.dry) == (1, 1, 0)


def test_a_question_that_was_not_begun_is_replaced_by_a_newer_one() -> None:
    base = SlowBase()
    with planner(base, replan_every=1) as ahead:
        base.permits.release()
        ahead.see(obs(0))
        ahead.see(obs(1))
        begun(base, 2)
        ahead.flush()
        for step in (2, 3, 4):
            ahead.see(obs(step))
        base.permits.release(2)
        settle(ahead)
        assert [int(seen[-1].state[0]) for seen, _ in base.asked] == [0, 1, 4]


def test_patience_waits_for_a_plan_after_a_flush() -> None:
    base = SlowBase()
    with planner(base, patience_s=WAIT_S) as ahead:
        base.permits.release(2)
        ahead.see(obs(0))
        ahead.flush()
        assert ahead.see(obs(1))[0, 0, 0] == STEP * 2


def test_history_begins_with_the_first_observation_repeated() -> None:
    base = SlowBase(observations=3)
    with planner(base) as ahead:
        base.permits.release(5)
        for step in range(4):
            ahead.see(obs(step))
            settle(ahead)
        assert [[int(o.state[0]) for o in seen] for seen, _ in base.asked] == [[0, 0, 0], [0, 1, 2]]


@pytest.mark.parametrize("error", [DataError("a wrong shape"), RuntimeError("no memory"), DeviceError("gone")])
def test_errors_surface_at_the_next_step(error: Exception) -> None:
    base = SlowBase()
    with planner(base, replan_every=1) as ahead:
        base.permits.release()
        ahead.see(obs(0))
        base.error = error
        ahead.see(obs(1))
        base.permits.release()
        settle(ahead)
        with pytest.raises(DeviceError, match=str(error)):
            ahead.see(obs(2))
        base.error = None
        ahead.see(obs(3))
        base.permits.release()
        settle(ahead)
        assert ahead.see(obs(4))[0, 0, 0] == STEP * 5


def test_an_error_of_the_first_question_is_not_waited_for_twice() -> None:
    base = SlowBase()
    base.error = DeviceError("gone")
    with planner(base) as ahead:
        base.permits.release()
        with pytest.raises(DeviceError, match="gone"):
            ahead.see(obs(0))


def test_the_first_plan_is_the_one_of_the_planner_that_waits() -> None:
    """Same seed, same noise: what differs is when the later plans are made."""
    base, other = SlowBase(), SlowBase()
    base.permits.release(1)
    other.permits.release(1)
    plain = Planner(other, replan_every=2, proposals=3)
    plain.reset(0)
    with planner(base, proposals=3) as ahead:
        np.testing.assert_array_equal(ahead.see(obs(0)), plain.see(obs(0)))


def test_plans_for_given_noise_are_waited_for() -> None:
    base = SlowBase()
    with planner(base) as ahead:
        ahead.remember(obs(5))
        base.permits.release()
        assert ahead.propose(np.zeros((2, 1, 1), np.float32))[1, 0, 0] == STEP * 6


def test_close_waits_for_the_thread_and_may_be_called_twice() -> None:
    base = SlowBase()
    before = threading.active_count()
    with planner(base) as ahead:
        base.permits.release()
        ahead.see(obs(0))
        for step in (1, 2):
            ahead.see(obs(step))
        begun(base, 2)
    ahead.close()
    assert threading.active_count() == before
    assert base.closed >= 1


def test_figures_of_a_clock() -> None:
    """Two answers that took 10 and 30 ms."""
    ticks = iter([0.0, 0.010, 1.0, 1.030])
    base = SlowBase()
    with planner(base, clock=lambda: next(ticks)) as ahead:  # type: ignore[arg-type]
        base.permits.release(2)
        for step in range(3):
            ahead.see(obs(step))
        settle(ahead)
        ahead.see(obs(3))
        figures = ahead.figures
        assert figures.latency_ms_p50 == pytest.approx(20.0)
        assert figures.latency_ms_p99 == pytest.approx(29.8)
        assert figures.latency_steps_p50 == 1


def test_a_horizon_that_is_too_short_is_refused() -> None:
    with pytest.raises(ConfigError, match="horizon"):
        AheadPlanner(SlowBase(), replan_every=HORIZON + 1)
