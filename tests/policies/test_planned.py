"""A base that acts alone: a policy's contract, plans followed step by step, noise that follows from the start."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from robot_rl.core.base import BaseInfo
from robot_rl.core.errors import DataError
from robot_rl.core.protocols import Policy
from robot_rl.core.specs import Part, StateSpec
from robot_rl.core.transition import Observation
from robot_rl.core.types import Float32
from robot_rl.policies.plan import Planner
from robot_rl.policies.planned import PlannedPolicy
from robot_rl.testing import PolicyContract

SPEC = StateSpec((Part("position", 3, "m", scale=0.1),))
HORIZON = 6


class Telling:
    """A base whose actions say what was asked: the place in the plan, the newest state, the noise, the oldest state."""

    def __init__(self, observations: int = 1) -> None:
        self.info = BaseInfo("telling", "0", HORIZON, observations, (HORIZON, 1))
        self.closed = 0

    def propose(self, seen: Sequence[Observation], noise: Float32) -> Float32:
        out = np.zeros((len(noise), HORIZON, 7), np.float32)
        out[..., 0] = np.arange(HORIZON) / HORIZON
        out[..., 1] = np.tanh(seen[-1].state[0])
        out[..., 2] = np.tanh(noise[..., 0])
        out[..., 3] = np.tanh(seen[0].state[0])
        return out

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize(("looks_at", "every"), [(1, 1), (1, 4), (3, 5)])
class TestPlannedPolicy(PolicyContract):
    @pytest.fixture(autouse=True)
    def _choose(self, looks_at: int, every: int) -> None:
        self.looks_at, self.every = looks_at, every

    def make(self) -> tuple[Policy, StateSpec]:
        return PlannedPolicy(Planner(Telling(self.looks_at), replan_every=self.every), 7), SPEC


def seen(x: float) -> Observation:
    return Observation(np.array([x, 0, 0], np.float32))


def follow(policy: PlannedPolicy, states: Sequence[float], *, seed: int = 0, deterministic: bool = True) -> np.ndarray:
    policy.reset()
    rng = np.random.default_rng(seed)
    return np.array([policy.act(seen(x), rng, deterministic=deterministic) for x in states])


def test_a_plan_is_followed_and_then_made_anew() -> None:
    policy = PlannedPolicy(Planner(Telling(), replan_every=4))
    actions = follow(policy, [0.1 * k for k in range(10)])
    np.testing.assert_allclose(actions[:, 0], [k % 4 / HORIZON for k in range(10)], rtol=1e-6)
    np.testing.assert_allclose(actions[:, 1], np.tanh([0.4 * (k // 4) for k in range(10)]), rtol=1e-5)


def test_an_episode_begins_with_a_new_plan_and_no_memory() -> None:
    policy = PlannedPolicy(Planner(Telling(2), replan_every=4))
    follow(policy, [1.0, 2.0])
    actions = follow(policy, [0.3])
    assert actions[0, 0] == 0.0
    np.testing.assert_allclose(actions[0, [1, 3]], np.tanh(0.3), rtol=1e-6)


def test_deterministic_noise_follows_from_the_first_state_alone() -> None:
    """Whoever shares out episodes among processes gets the same ones; other starts meet other noise."""
    policy, other = (PlannedPolicy(Planner(Telling(), replan_every=2)) for _ in range(2))
    follow(other, [5.0, 6.0, 7.0])
    first = follow(policy, [0.5, 0.1, 0.2, 0.3])
    np.testing.assert_array_equal(first, follow(other, [0.5, 0.1, 0.2, 0.3], seed=99))
    assert first[0, 2] != first[2, 2], "each plan has noise of its own"
    assert first[0, 2] != follow(policy, [0.6])[0, 2]


def test_a_sample_follows_from_the_generator() -> None:
    policy = PlannedPolicy(Planner(Telling(), replan_every=2))
    first = follow(policy, [0.5] * 4, seed=1, deterministic=False)
    np.testing.assert_array_equal(first, follow(policy, [0.5] * 4, seed=1, deterministic=False))
    assert (first[:, 2] != follow(policy, [0.5] * 4, seed=2, deterministic=False)[:, 2]).all()


def test_a_broken_reading_stops_it_in_the_middle_of_a_plan_too() -> None:
    policy = PlannedPolicy(Planner(Telling(), replan_every=4))
    follow(policy, [0.0])
    with pytest.raises(DataError, match=r"not finite at indices \[0\]"):
        policy.act(seen(np.nan), np.random.default_rng(0), deterministic=True)


def test_it_closes_its_base() -> None:
    base = Telling()
    PlannedPolicy(Planner(base, replan_every=1)).close()
    assert base.closed == 1
