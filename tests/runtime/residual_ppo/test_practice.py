"""Rollouts hold what happened, and judging plays the episodes that an evaluation plays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import numpy as np

from robot_rl.agents import ppo_acting
from robot_rl.agents.ppo_config import PpoConfig
from robot_rl.agents.ppo_state import PpoState, init
from robot_rl.core.specs import ActionSpec, StateSpec
from robot_rl.envs import make_env
from robot_rl.evaluation.rollout import play_episode
from robot_rl.policies.edit import EditPolicy
from robot_rl.policies.plan import Planner
from robot_rl.runtime.based import BasedEnv
from robot_rl.runtime.residual_ppo.crowd import Crowd
from robot_rl.runtime.residual_ppo.plans import Plans
from robot_rl.runtime.residual_ppo.pool import EnvPool
from robot_rl.runtime.residual_ppo.practice import Tally, TrainingSeeds, gather, play
from robot_rl.runtime.stop import StopFlag
from tests.runtime.residual_ppo.small import ManyBase

OPTIONS = {"episode_steps": 12, "tolerance_m": 0.12}
EVERY = 4
CONFIG = PpoConfig(hidden=(16, 16))


def specs() -> tuple[StateSpec, ActionSpec]:
    with closing(make_env("Reach")) as env:
        return env.state_spec, env.action_spec


STATE, ACTION = specs()


@contextmanager
def crowd(envs: int = 3, workers: int = 1) -> Iterator[Crowd]:
    made = EnvPool("Reach", OPTIONS, envs=envs, workers=workers, state_size=STATE.size)
    with closing(made):
        yield Crowd(made, Plans(ManyBase(), envs, STATE.size, EVERY))


def some_agent(envs: int = 3) -> PpoState:
    """One that edits."""
    state = init(CONFIG, STATE, ACTION, envs, 0)
    out = state.actor["out"]
    weights = np.random.default_rng(0).normal(size=out["w"].shape).astype(np.float32)
    return state._replace(actor={**state.actor, "out": {**out, "w": weights}})


def test_judging_plays_the_episodes_that_an_evaluation_plays_one_by_one() -> None:
    state, seeds = some_agent(), range(1000, 1007)
    with crowd() as many:
        together = play(many, state, CONFIG, ACTION, seeds, StopFlag(), 10.0)
    assert together is not None
    policy = EditPolicy.from_params(ppo_acting.actor_params(state, CONFIG, STATE, ACTION), 0)
    with closing(BasedEnv(make_env("Reach", **OPTIONS), Planner(ManyBase(), replan_every=EVERY))) as env:  # type: ignore[arg-type]
        alone = [play_episode(policy, env, seed) for seed in seeds]
    assert {e.success for e in alone} == {False, True}
    for a, b in zip(together, alone, strict=True):
        assert (a.seed, a.success, a.length, a.time_s) == (b.seed, b.success, b.length, b.time_s)
        assert abs(a.episode_return - b.episode_return) < 1e-5


def test_a_rollout_is_what_happened_step_after_step() -> None:
    state, envs, steps = some_agent(), 3, 30
    tally, rng = Tally(envs), np.random.default_rng(0)
    with crowd(envs) as many:
        many.start(TrainingSeeds(0, envs))
        got = gather(many, tally, state, CONFIG, ACTION, steps, rng, lambda: True)
    assert got is not None
    rollout, finished = got
    ended = rollout.ended.astype(bool)
    assert ended.any() and rollout.terminated[ended].any() and not rollout.terminated[~ended].any()
    assert len(finished) == ended.sum() and sum(f.terminated for f in finished) == rollout.terminated.sum()
    for row in range(envs):
        for t in range(steps - 1):
            same = np.array_equal(rollout.next_rows[t, row], rollout.rows[t + 1, row])
            assert same != ended[t, row], "a step leads to the next one exactly where the episode goes on"
    cut = ended & (rollout.terminated == 0)
    assert np.abs(rollout.next_rows[cut][:, STATE.size :]).sum(axis=1).min() > 0, "of what is cut, the base has a plan"
    np.testing.assert_allclose(sum(f.ret for f in finished), rollout.rewards.sum(), atol=1e-5)
    drawn = np.asarray(ppo_acting.draw_edits(state, rollout.rows[0], 0 * rollout.edits[0], CONFIG.log_std)[0])
    assert np.abs(rollout.edits[0] - drawn).max() > 0.01, "it explores"


def test_a_rollout_does_not_depend_on_who_simulates() -> None:
    state, envs = some_agent(), 3
    found = []
    for workers in (1, 3):
        with crowd(envs, workers) as many:
            many.start(TrainingSeeds(0, envs))
            found.append(gather(many, Tally(envs), state, CONFIG, ACTION, 15, np.random.default_rng(0), lambda: True))
    one, three = found
    assert one is not None and three is not None and one[1] == three[1]
    assert all(np.array_equal(a, b) for a, b in zip(one[0], three[0], strict=True))


def test_who_is_asked_to_stop_does() -> None:
    with crowd() as many:
        many.start(TrainingSeeds(0, 3))
        assert gather(many, Tally(3), some_agent(), CONFIG, ACTION, 9, np.random.default_rng(0), lambda: False) is None
        stop = StopFlag()
        stop.set()
        assert play(many, some_agent(), CONFIG, ACTION, range(3), stop, 10.0) is None


def test_no_initial_state_comes_twice() -> None:
    seeds = TrainingSeeds(0, 4)
    drawn = [seeds(row) for _ in range(50) for row in range(4)]
    assert len(set(drawn)) == 200
    assert TrainingSeeds(0, 4)(2) == drawn[2] and TrainingSeeds(1, 4)(2) != drawn[2]
