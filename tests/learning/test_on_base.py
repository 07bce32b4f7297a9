"""Agents on top of a base policy must mend it: the other test's point, with a base that stops beside the goal.

The base heads for a place 0.2 to one side, twice the radius that counts as the goal, so that alone it hardly ever
succeeds. There are no demonstrations: whatever is learnt comes from practice around the base.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from robot_rl.agents import edit
from robot_rl.agents.config import SacConfig
from robot_rl.agents.edit_config import EDIT_PRESETS, EditConfig
from robot_rl.core.base import BaseInfo, plan_part
from robot_rl.core.specs import ACTION_SIZE, ActionSpec, StateSpec
from robot_rl.core.transition import ChunkBatch, Observation
from robot_rl.policies.edit import EditPolicy
from tests.learning.test_point_reach import SMALL, SPEED, STATE, PointReach, Row, draw, run_episode, windows

BESIDE = np.array([0.2, 0.0])
CONFIG = replace(SacConfig(), **SMALL, n_step=3)
ACTIONS = ActionSpec(SPEED, 0.0, active=(0, 1))
START, CRITICS_ALONE = 150, 150
# Edits reach far enough to hold the point at the goal against the base.
OPTIONS = {name: (replace(EDIT_PRESETS[name], lr_actor=3e-3, scale=1.0), k) for name, k in (("edit", 1), ("expo", 3))}


class BesideTheGoal:
    """The toy with a base in its state: K noisy plans of one step to beside the goal."""

    def __init__(self, rng: np.random.Generator, proposals: int) -> None:
        self.toy, self.rng, self.proposals = PointReach(False, rng), rng, proposals

    def reset(self) -> np.ndarray:
        return self._with_plans(self.toy.reset())

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, float, bool, bool]:
        state, *rest = self.toy.step(action)
        return (self._with_plans(state), *rest)

    def _with_plans(self, state: np.ndarray) -> np.ndarray:
        plans = np.zeros((self.proposals, ACTION_SIZE), np.float32)
        wanted = (state[2:4] + BESIDE) / SPEED + 0.2 * self.rng.standard_normal((self.proposals, 2))
        plans[:, :2] = np.clip(wanted, -1.0, 1.0)
        return np.concatenate([state, plans.reshape(-1)])


def train(options: EditConfig, proposals: int, steps: int = 1500) -> tuple[float, float]:
    """Success of the base before, and of the deterministic policy after this many environment steps."""
    rng = np.random.default_rng(0)
    env: Any = BesideTheGoal(rng, proposals)
    spec = StateSpec((*STATE.parts, plan_part(BaseInfo("beside", "sum", 8), proposals, 1)))
    args = CONFIG, spec, ACTIONS
    agent = edit.init(*args, 0, options=options)
    alone, full = (edit.make_update(*args, options=options, critic_only=only) for only in (True, False))

    def rate() -> float:
        policy = EditPolicy.from_params(edit.actor_params(agent, CONFIG, options=options), 0)
        act = lambda state, source: policy.act(Observation(state), source, deterministic=True)  # noqa: E731
        return float(np.mean([run_episode(env, act, np.random.default_rng(0))[1] for _ in range(100)]))

    before, rows = rate(), list[Row]()
    done = 0
    while done < steps:
        policy = EditPolicy.from_params(edit.actor_params(agent, CONFIG, options=options), 0)
        episode, _ = run_episode(env, lambda state, source, p=policy: p.act(Observation(state), source), rng)
        rows += windows(episode, CONFIG)
        done += len(episode)
        for _ in episode if done > START else ():
            batch = draw(rows, rows, CONFIG, rng)
            ones = np.ones((*batch.reward.shape, 1), np.float32)
            given = ChunkBatch(batch, batch.action[:, :, None], ones, 0.0 * ones)
            agent, _ = (alone if done < START + CRITICS_ALONE else full)(agent, given)
    return before, rate()


@pytest.mark.parametrize("name", ["edit", pytest.param("expo", marks=pytest.mark.slow)])
def test_mends_a_base_that_stops_beside_the_goal(name: str) -> None:
    before, after = train(*OPTIONS[name])
    assert before < 0.4
    assert after > 0.9
