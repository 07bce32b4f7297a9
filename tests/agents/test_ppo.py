"""Residual PPO: nothing is changed before it has learned, what it learns, and what is saved acts alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from robot_rl.agents import ppo, ppo_acting, ppo_state
from robot_rl.agents.arrays import flatten_state, unflatten_state
from robot_rl.agents.ppo_config import PpoConfig
from robot_rl.core.errors import ConfigError
from robot_rl.core.specs import GRIPPER, ActionSpec, Part, StateSpec
from robot_rl.core.transition import Observation
from robot_rl.policies.edit import EditPolicy

STATE = StateSpec((Part("position", 2, "m", scale=0.5, center=0.1),))
ACTION = ActionSpec(0.02, 0.1, active=(0, 1, GRIPPER))
CONFIG = PpoConfig(hidden=(32, 32), lr_actor=3e-3, actor_warmup=1, epochs=10, minibatches=2)
ENVS, STEPS = 32, 8


def bases(rng: np.random.Generator, n: int) -> np.ndarray:
    actions = np.zeros((n, 7), np.float32)
    actions[:, :2] = rng.uniform(-0.5, 0.5, (n, 2))
    actions[:, GRIPPER] = rng.choice([-1.0, 1.0], n)
    return actions


class BiasedBase:
    """Points to be moved to 0 by a base that always aims 0.05 to one side; an episode has four steps."""

    def __init__(self, seed: int, bias: float = 0.05) -> None:
        self.rng, self.bias = np.random.default_rng(seed), bias
        self.left = np.tile(np.arange(1, 5), ENVS // 4)
        self.at = self._places(ENVS)

    def _places(self, n: int) -> np.ndarray:
        return self.rng.uniform(-0.5, 0.5, (n, 2)).astype(np.float32)

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        base = np.zeros((ENVS, 7), np.float32)
        base[:, :2], base[:, GRIPPER] = np.clip(-self.at + self.bias, -1.0, 1.0), 1.0
        return base, ppo_acting.join(self.at, base, ACTION.active)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rewards, ends, and the rows seen after the step before anything is put back."""
        self.at = self.at + actions[:, :2]
        rewards = -np.linalg.norm(self.at, axis=1)
        self.left = self.left - 1
        ended = self.left == 0
        after = self.rows()[1]
        self.at[ended], self.left[ended] = self._places(int(ended.sum())), 4
        return rewards.astype(np.float32), ended.astype(np.float32), after


def gather(state: ppo_state.PpoState, config: PpoConfig, world: BiasedBase, *, learn: bool) -> ppo.Rollout:
    steps = []
    for _ in range(STEPS):
        base, rows = world.rows()
        noise = world.rng.standard_normal((ENVS, 2), dtype=np.float32) * learn
        edits, log_probs = map(np.asarray, ppo_acting.draw_edits(state, rows, noise, config.log_std))
        rewards, ended, after = world.step(ppo_acting.edited(base, edits, ACTION, config.scale))
        steps.append((rows, edits, log_probs, after, rewards, np.zeros_like(ended), ended))
    return ppo.Rollout(*(np.stack(x) for x in zip(*steps, strict=True)))


def test_it_learns_to_undo_what_is_always_wrong_with_the_base() -> None:
    state, update = ppo_state.init(CONFIG, STATE, ACTION, ENVS, 0), ppo.make_update(CONFIG)
    world = BiasedBase(0)
    before = gather(state, CONFIG, BiasedBase(1), learn=False).rewards.mean()
    for _ in range(60):
        state, info = update(state, gather(state, CONFIG, world, learn=True))
    after = gather(state, CONFIG, BiasedBase(1), learn=False).rewards.mean()
    assert before == pytest.approx(-0.05 * 2**0.5, abs=1e-3)
    assert after > 0.3 * before
    assert info["skipped"] == 0.0 and info["kl"] <= 2 * CONFIG.target_kl


def test_before_training_every_action_is_the_bases_to_the_bit() -> None:
    rng = np.random.default_rng(0)
    state = ppo_state.init(PpoConfig(), STATE, ACTION, ENVS, 3)
    base, seen = bases(rng, 100), rng.normal(size=(100, 2)).astype(np.float32)
    rows = ppo_acting.join(seen, base, ACTION.active)
    done = ppo_acting.edited(base, np.asarray(ppo_acting.edit_means(state, rows)), ACTION, 0.1)
    assert done.tobytes() == base.tobytes()
    policy = EditPolicy.from_params(ppo_acting.actor_params(state, PpoConfig(), STATE, ACTION), 0)
    for row, action in zip(seen, base, strict=True):
        alone = policy.act(Observation(np.concatenate([row, action])), rng, deterministic=True)
        assert np.array_equal(alone, action)


def trained(config: PpoConfig = CONFIG, seed: int = 0) -> ppo_state.PpoState:
    state, update, world = ppo_state.init(config, STATE, ACTION, ENVS, seed), ppo.make_update(config), BiasedBase(seed)
    for _ in range(3):
        state, _ = update(state, gather(state, config, world, learn=True))
    return state


def test_what_is_saved_acts_as_what_was_trained() -> None:
    state, rng = trained(), np.random.default_rng(0)
    base, seen = bases(rng, 50), rng.normal(size=(50, 2)).astype(np.float32)
    means = np.asarray(ppo_acting.edit_means(state, ppo_acting.join(seen, base, ACTION.active)))
    assert np.abs(means).max() > 1e-3
    wanted = ppo_acting.edited(base, means, ACTION, CONFIG.scale)
    policy = EditPolicy.from_params(ppo_acting.actor_params(state, CONFIG, STATE, ACTION), 1)
    got = [
        policy.act(Observation(np.concatenate([s, b])), rng, deterministic=True)
        for s, b in zip(seen, base, strict=True)
    ]
    np.testing.assert_allclose(got, wanted, atol=1e-6)
    assert np.array_equal(np.array(got)[:, GRIPPER], base[:, GRIPPER])


def test_what_is_saved_explores_as_widely_as_in_training() -> None:
    state = ppo_state.init(CONFIG, STATE, ACTION, ENVS, 0)
    policy = EditPolicy.from_params(ppo_acting.actor_params(state, CONFIG, STATE, ACTION), 1)
    rng, row = np.random.default_rng(0), np.zeros(9, np.float32)
    drawn = np.array([policy.act(Observation(row), rng) for _ in range(4000)])
    np.testing.assert_allclose(drawn[:, :2].std(axis=0), 0.1 * np.exp(-1.0), rtol=0.05)
    assert (drawn[:, 2:] == 0.0).all()


def test_equal_seeds_give_equal_weights_and_saving_loses_nothing() -> None:
    first, second = flatten_state(trained()), flatten_state(trained())
    assert all(np.array_equal(first[name], second[name]) for name in first)
    fresh = ppo_state.init(CONFIG, STATE, ACTION, ENVS, 9)
    again = flatten_state(unflatten_state(fresh, first))
    assert all(np.array_equal(first[name], again[name]) for name in first)


def test_the_first_iteration_of_the_warm_up_moves_the_values_alone_and_the_bias_never_moves() -> None:
    state, update = ppo_state.init(CONFIG, STATE, ACTION, ENVS, 0), ppo.make_update(CONFIG)
    assert float(state.critic["out"]["b"][0]) == CONFIG.value_bias
    first, _ = update(state, gather(state, CONFIG, BiasedBase(0), learn=True))
    assert np.array_equal(first.actor["out"]["w"], state.actor["out"]["w"])
    assert not np.array_equal(first.critic["out"]["w"], state.critic["out"]["w"])
    second, _ = update(first, gather(first, CONFIG, BiasedBase(0), learn=True))
    assert not np.array_equal(second.actor["out"]["w"], state.actor["out"]["w"])
    assert (np.asarray(second.actor["out"]["b"]) == 0.0).all()


def test_a_policy_that_has_gone_far_enough_takes_no_further_step() -> None:
    config = replace(CONFIG, actor_warmup=0, lr_actor=0.05, epochs=50, target_kl=0.01)
    state, update = ppo_state.init(config, STATE, ACTION, ENVS, 0), ppo.make_update(config)
    _, info = update(state, gather(state, config, BiasedBase(0), learn=True))
    assert info["kl"] > config.target_kl and info["epochs"] < 50
    _, info = ppo.make_update(replace(config, target_kl=0.0))(state, gather(state, config, BiasedBase(0), learn=True))
    assert info["epochs"] == 50


def test_a_number_that_is_not_finite_moves_nothing() -> None:
    state, update = ppo_state.init(CONFIG, STATE, ACTION, ENVS, 0), ppo.make_update(CONFIG)
    rollout = gather(state, CONFIG, BiasedBase(0), learn=True)
    rollout.log_probs[0, 0] = np.nan
    after, info = update(state, rollout)
    assert info["skipped"] >= CONFIG.epochs
    assert all(np.isfinite(x).all() for x in flatten_state(after).values())


@pytest.mark.parametrize("time_limit", ["bootstrap", "terminal"])
def test_what_is_seen_where_the_clock_ends_an_episode_counts_only_if_values_go_on(time_limit: str) -> None:
    config = replace(CONFIG, time_limit=time_limit)  # type: ignore[arg-type]
    state, update = ppo_state.init(config, STATE, ACTION, ENVS, 0), ppo.make_update(config)
    rollout = gather(state, config, BiasedBase(0), learn=True)
    other = rollout._replace(next_rows=rollout.next_rows + rollout.ended[..., None])
    one, two = (np.asarray(update(state, r)[0].critic["out"]["w"]) for r in (rollout, other))
    assert np.array_equal(one, two) == (time_limit == "terminal")


def test_without_motion_there_is_nothing_to_correct() -> None:
    with pytest.raises(ConfigError, match="nothing to correct"):
        ppo_state.init(CONFIG, STATE, ActionSpec(0.02, 0.1, active=(GRIPPER,)), ENVS, 0)


@pytest.mark.parametrize("wrong", [{"hidden": ()}, {"gamma": 1.1}, {"epochs": 0}, {"clip": 0.0}])
def test_what_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        PpoConfig(**wrong)  # type: ignore[arg-type]
