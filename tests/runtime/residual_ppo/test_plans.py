"""Plans for many environments are those that each would have alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_rl.core.errors import ConfigError
from robot_rl.core.transition import Observation
from robot_rl.policies.plan import Planner
from robot_rl.runtime.residual_ppo.plans import Plans
from tests.runtime.residual_ppo.small import HORIZON, LinearBase, ManyBase

N = 4


@given(seed=st.integers(0, 10_000), every=st.integers(1, HORIZON), many=st.booleans())
@settings(max_examples=40, deadline=None)
def test_each_environment_follows_the_plans_that_it_would_follow_alone(seed: int, every: int, many: bool) -> None:
    rng, envs = np.random.default_rng(seed), 5
    plans = Plans((ManyBase if many else LinearBase)(), envs, N, every)
    alone = [Planner(LinearBase(), replan_every=every) for _ in range(envs)]
    begun = np.zeros(envs, bool)
    for _ in range(20):
        begin = np.flatnonzero((rng.random(envs) < 0.2) | ~begun)
        seeds = rng.integers(0, 100, len(begin))
        plans.begin(begin, seeds)
        for row, number in zip(begin, seeds, strict=True):
            alone[row].reset(int(number))
        begun[begin] = True
        rows = np.flatnonzero(rng.random(envs) < 0.8)
        states = rng.normal(size=(len(rows), N)).astype(np.float32)
        got = plans.see(rows, states)
        wanted = [alone[row].see(Observation(state))[0, 0] for row, state in zip(rows, states, strict=True)]
        assert np.array_equal(got, np.reshape(wanted, (-1, 7)))
    assert plans.asked == sum(planner.asked for planner in alone)


def test_a_base_that_looks_at_pictures_is_refused() -> None:
    with pytest.raises(ConfigError, match="looks at wrist"):
        Plans(LinearBase(cameras={"wrist": (8, 8, 3)}), 2, N, 1)


def test_a_plan_is_not_followed_beyond_its_end() -> None:
    with pytest.raises(ConfigError, match="replan more often"):
        Plans(LinearBase(), 2, N, HORIZON + 1)
