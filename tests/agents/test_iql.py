"""Implicit Q-learning: which of the stored actions it prefers, what its steps are made of, and that it can be saved."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from robot_rl.agents import bc, iql, offline_losses
from robot_rl.agents.arrays import flatten_state, unflatten_state
from robot_rl.agents.config import SacConfig
from robot_rl.agents.networks import mlp, normalise, q_values
from robot_rl.agents.offline_config import IqlConfig
from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.specs import GRIPPER, ActionSpec, Part, StateSpec, ViewSpec
from robot_rl.core.transition import Batch, Observation
from robot_rl.policies.gaussian import GaussianPolicy

STATE = StateSpec((Part("position", 2, "m", scale=0.5), Part("closed", 1, "1")))
ACTION = ActionSpec(0.02, 0.1, active=(0, 1, GRIPPER))
CONFIG = SacConfig(hidden=(32, 32), lr_actor=3e-3, lr_critic=3e-3, tau=0.05, actor_average=0.9)
OPTIONS = IqlConfig(expectile=0.9, temperature=20.0)


def batch(rng: np.random.Generator, utd: int = 4, rows: int = 64) -> Batch:
    """One in three stored actions is right, +0.6, and ends in success; the others push the other way, -0.4."""
    state = rng.uniform(-1, 1, (utd, rows, 3)).astype(np.float32)
    right = rng.random((utd, rows)) < 1 / 3
    action = np.zeros((utd, rows, 7), np.float32)
    action[..., 0] = np.where(right, 0.6, -0.4) + rng.normal(0.0, 0.05, (utd, rows))
    action[..., GRIPPER] = np.where(right, 1.0, -1.0)
    reward = right.astype(np.float32)
    discount = np.where(right, 0.0, 0.9).astype(np.float32)
    return Batch(state, action, reward, np.zeros_like(reward), discount, state * 0.9)


def train(updates: int = 150, seed: int = 0, options: IqlConfig = OPTIONS) -> tuple[iql.IqlState, dict[str, float]]:
    rng = np.random.default_rng(seed)
    state = iql.init(CONFIG, STATE, ACTION, seed, options=options)
    update = iql.make_update(CONFIG, STATE, ACTION, options=options)
    info: dict[str, Any] = {}
    for _ in range(updates):
        state, info = update(state, batch(rng))
    return state, {name: float(value) for name, value in info.items()}


def mean_action(policy: GaussianPolicy) -> np.ndarray:
    rng = np.random.default_rng(1)
    where = rng.uniform(-1, 1, (100, 3)).astype(np.float32)
    mean: np.ndarray = np.mean([policy.act(Observation(s), rng, deterministic=True) for s in where], axis=0)
    return mean


def test_it_does_what_was_right_in_the_data_where_cloning_does_what_was_usual() -> None:
    state, info = train()
    assert info["skipped"] == 0.0 and 0.0 < info["value_mean"] < info["q_max"] <= 1.3
    good = mean_action(GaussianPolicy.from_params(iql.actor_params(state, CONFIG, options=OPTIONS), 1))
    assert good[0] > 0.45 and good[GRIPPER] > 0.6
    assert (good[1:GRIPPER] < 0.05).all()

    rng = np.random.default_rng(0)
    cloned, update = bc.init(CONFIG, STATE, ACTION, 0), bc.make_update(CONFIG, STATE, ACTION)
    for _ in range(150):
        cloned, _ = update(cloned, batch(rng))
    usual = mean_action(GaussianPolicy.from_params(bc.actor_params(cloned, CONFIG), 1))
    assert usual[0] == pytest.approx((0.6 - 2 * 0.4) / 3, abs=0.1)


def test_with_no_temperature_it_clones() -> None:
    state, info = train(options=replace(OPTIONS, temperature=0.0))
    assert info["weight_mean"] == 1.0
    got = mean_action(GaussianPolicy.from_params(iql.actor_params(state, CONFIG, options=OPTIONS), 1))
    assert got[0] == pytest.approx((0.6 - 2 * 0.4) / 3, abs=0.1)


def test_the_first_update_reports_what_its_losses_are() -> None:
    given = batch(np.random.default_rng(3), utd=1)
    before = iql.init(CONFIG, STATE, ACTION, 0, options=OPTIONS)
    x = normalise(before.normaliser, jnp.asarray(given.state[0])).T
    next_x = normalise(before.normaliser, jnp.asarray(given.next_state[0])).T
    action = jnp.asarray(given.action[0])[:, jnp.array([0, 1, GRIPPER])].T
    q = q_values(before.target_critic, x, action, "relu")
    u = q.min(axis=0) - mlp(before.value, x, "relu")[0]
    value_loss = float(offline_losses.expectile_loss(u, OPTIONS.expectile))
    q_mean = float(q.mean())
    after, info = iql.make_update(CONFIG, STATE, ACTION, options=OPTIONS)(before, given)
    assert float(info["value_loss"]) == pytest.approx(value_loss, rel=1e-4)
    assert float(info["q_mean"]) == pytest.approx(q_mean, rel=1e-4)
    # the critics' target is the new value of the next state, not the old one
    target = given.reward[0] + given.discount[0] * np.asarray(mlp(after.value, next_x, "relu")[0])
    assert float(info["target_mean"]) == pytest.approx(float(np.clip(target, 0.0, 1.0).mean()), rel=1e-4)


def test_the_same_seed_is_the_same_agent_and_another_is_not() -> None:
    one, two, other = (flatten_state(train(5, seed)[0]) for seed in (0, 0, 1))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert not all(np.array_equal(one[name], other[name]) for name in one)


def test_a_saved_state_goes_on_to_the_bit() -> None:
    options = replace(OPTIONS, actor_decay_steps=1000)
    update = iql.make_update(CONFIG, STATE, ACTION, options=options)
    state, _ = train(5, options=options)
    resumed = unflatten_state(iql.init(CONFIG, STATE, ACTION, 99, options=options), flatten_state(state))
    a, _ = update(state, batch(np.random.default_rng(5)))
    b, _ = update(resumed, batch(np.random.default_rng(5)))
    first, second = flatten_state(a), flatten_state(b)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_the_actors_rate_decays_to_nothing() -> None:
    options = replace(OPTIONS, actor_decay_steps=8)
    state, _ = train(2, options=options)
    before = flatten_state(state)
    after, _ = iql.make_update(CONFIG, STATE, ACTION, options=options)(state, batch(np.random.default_rng(5)))
    now = flatten_state(after)
    assert np.array_equal(before["actor/net/out/w"], now["actor/net/out/w"])
    assert not np.array_equal(before["critic/out/w"], now["critic/out/w"])


def test_practice_is_as_noisy_as_what_was_fitted() -> None:
    state, _ = train(1)
    options = replace(OPTIONS, log_std_min=-1.0, log_std_max=-1.0)
    policy = GaussianPolicy.from_params(iql.actor_params(state, CONFIG, options=options), 1)
    at, rng = Observation(np.zeros(3, np.float32)), np.random.default_rng(0)
    drawn = np.arctanh(np.clip([policy.act(at, rng)[0] for _ in range(2000)], -1 + 1e-6, 1 - 1e-6))
    assert drawn.std() == pytest.approx(np.exp(-1.0), rel=0.1)


def test_a_number_that_is_not_finite_changes_nothing() -> None:
    state, _ = train(2)
    before = flatten_state(state)
    bad = batch(np.random.default_rng(0))
    bad.reward[1, 2] = np.nan
    after, info = iql.make_update(CONFIG, STATE, ACTION, options=OPTIONS)(state, bad)
    assert float(info["skipped"]) == 1.0
    kept = flatten_state(after)
    assert all(np.array_equal(before[name], kept[name]) for name in before)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="commands the gripper too"):
        iql.init(replace(CONFIG, gripper_critic=True), STATE, ACTION, 0, options=OPTIONS)
    with pytest.raises(ConfigError, match="learns from the state alone, got views of"):
        iql.make_update(CONFIG, STATE, ACTION, ViewSpec((("side", (8, 8, 3)),)), options=OPTIONS)
    wrong = batch(np.random.default_rng(0))._replace(state=np.zeros((4, 64, 2), np.float32))
    fresh = iql.init(CONFIG, STATE, ACTION, 0, options=OPTIONS)
    with pytest.raises(DataError, match=r"batch.state has shape \(4, 64, 2\)"):
        iql.make_update(CONFIG, STATE, ACTION, options=OPTIONS)(fresh, wrong)
