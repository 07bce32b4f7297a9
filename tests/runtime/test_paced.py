"""Steps of a simulation take as long as a person expects."""

from __future__ import annotations

import numpy as np
import pytest

from robot_rl.runtime.paced import Paced
from tests.runtime.fakes import PointEnv

STILL = np.zeros(7, np.float32)


class Wall:
    def __init__(self) -> None:
        self.now_s = 0.0
        self.slept_s = list[float]()

    def now(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds


def test_each_step_ends_a_period_after_the_one_before() -> None:
    wall = Wall()
    env = Paced(PointEnv(limit=50), wall.now, wall.sleep)
    env.reset(seed=0)
    ends = []
    for cost_s in (0.0, 0.03, 0.09, 0.0):
        wall.now_s += cost_s
        env.step(STILL)
        ends.append(wall.now_s)
    np.testing.assert_allclose(ends, [0.1, 0.2, 0.3, 0.4])


def test_a_late_step_is_not_made_up_for() -> None:
    wall = Wall()
    env = Paced(PointEnv(limit=50), wall.now, wall.sleep)
    env.reset(seed=0)
    wall.now_s += 1.0
    env.step(STILL)
    assert wall.slept_s == [0.0]
    env.step(STILL)
    assert wall.slept_s[-1] == pytest.approx(0.1)


def test_what_is_in_real_time_is_left_alone() -> None:
    wall, inner = Wall(), PointEnv(limit=50)
    inner.lockstep = False
    env = Paced(inner, wall.now, wall.sleep)
    env.reset(seed=0)
    env.step(STILL)
    assert wall.slept_s == [] and not env.lockstep


def test_it_is_the_same_environment() -> None:
    inner = PointEnv(limit=50)
    env = Paced(inner)
    obs, _ = env.reset(seed=3)
    assert (env.hz, env.task_id, env.state_spec, env.action_spec) == (
        10.0,
        "Point",
        inner.state_spec,
        inner.action_spec,
    )
    np.testing.assert_array_equal(env.look()["state"], obs["state"])
    env.hold()
    env.close()
    assert inner.holds == 1 and inner.closed


def test_it_hurries_while_nobody_needs_the_pace() -> None:
    wall, watched = Wall(), [False]
    env = Paced(PointEnv(limit=50), wall.now, wall.sleep, when=lambda: watched[0])
    env.reset(seed=0)
    env.step(STILL)
    assert wall.slept_s == []
    watched[0] = True
    env.step(STILL)
    assert wall.slept_s == [pytest.approx(0.1)]
