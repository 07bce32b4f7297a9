"""Behavioural cloning on its own: what it imitates, what it leaves alone, and that it survives saving."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from robot_rl.agents import bc, losses
from robot_rl.agents.arrays import flatten_state, unflatten_state
from robot_rl.agents.config import SacConfig
from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.specs import GRIPPER, ActionSpec, Part, StateSpec
from robot_rl.core.transition import Batch, Observation
from robot_rl.policies.gaussian import GaussianPolicy

STATE = StateSpec((Part("position", 2, "m", scale=0.5), Part("closed", 1, "1")))
ACTION = ActionSpec(0.02, 0.1, active=(0, 1, GRIPPER))
CONFIG = SacConfig(hidden=(32, 32), lr_actor=3e-3, lr_gripper=3e-3, actor_average=0.9)


def teacher(state: np.ndarray) -> np.ndarray:
    """Pushes one dimension to its stop, holds the other still, and closes, keeps or opens by where it is."""
    action = np.zeros((*state.shape[:-1], 7), np.float32)
    action[..., 0] = np.clip(4.0 * state[..., 0], -1.0, 1.0)
    action[..., GRIPPER] = np.where(state[..., 1] < -0.3, -1.0, np.where(state[..., 1] > 0.3, 1.0, 0.0))
    return action


def batch(rng: np.random.Generator, utd: int = 4, rows: int = 64) -> Batch:
    state = rng.uniform(-1, 1, (utd, rows, 3)).astype(np.float32)
    zero = np.zeros((utd, rows), np.float32)
    return Batch(state, teacher(state), zero, zero, zero, state)


def train(config: SacConfig, updates: int = 200, seed: int = 0) -> tuple[bc.BcState, dict[str, float]]:
    rng = np.random.default_rng(seed)
    state, update = bc.init(config, STATE, ACTION, seed), bc.make_update(config, STATE, ACTION)
    info: dict[str, Any] = {}
    for _ in range(updates):
        state, info = update(state, batch(rng))
    return state, {name: float(value) for name, value in info.items()}


@pytest.mark.parametrize("gripper", [False, True])
def test_the_policy_does_what_was_shown_with_and_without_a_gripper_of_its_own(gripper: bool) -> None:
    config = replace(CONFIG, gripper_critic=gripper)
    state, info = train(config)
    assert info["skipped"] == 0.0 and info["actor_loss"] < 0.02
    assert ("gripper_loss" in info) == gripper
    policy = GaussianPolicy.from_params(bc.actor_params(state, config), 1)
    rng = np.random.default_rng(1)
    where = rng.uniform(-1, 1, (200, 3)).astype(np.float32)
    got = np.array([policy.act(Observation(s), rng) for s in where])
    shown = teacher(where)
    assert np.abs(got[:, :2] - shown[:, :2]).mean() < 0.05
    assert (got[:, 2:GRIPPER] == 0.0).all()
    # within 0.05 of where the teacher changes its command either answer is right
    clear = (np.abs(np.abs(where[:, 1]) - 0.3) > 0.05) if gripper else np.ones(len(where), bool)
    command = np.where(got[:, GRIPPER] > 0.5, 1.0, np.where(got[:, GRIPPER] < -0.5, -1.0, 0.0))
    assert (command == shown[:, GRIPPER])[clear].mean() > 0.9


def test_it_acts_without_noise_while_it_practises() -> None:
    state, _ = train(CONFIG, updates=5)
    policy = GaussianPolicy.from_params(bc.actor_params(state, CONFIG), 1)
    at = Observation(np.array([0.1, -0.2, 0.0], np.float32))
    rng = np.random.default_rng(0)
    np.testing.assert_allclose(policy.act(at, rng), policy.act(at, rng, deterministic=True), atol=1e-6)


def test_the_same_seed_is_the_same_policy_and_another_is_not() -> None:
    one, two, other = (flatten_state(train(CONFIG, 20, seed)[0]) for seed in (0, 0, 1))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert not all(np.array_equal(one[name], other[name]) for name in one)


def test_a_saved_state_goes_on_to_the_bit() -> None:
    config = replace(CONFIG, gripper_critic=True)
    update = bc.make_update(config, STATE, ACTION)
    state, _ = train(config, 10)
    saved = flatten_state(state)
    resumed = unflatten_state(bc.init(config, STATE, ACTION, 99), saved)
    assert not any(name.startswith(("critic", "target", "temperature")) for name in saved)
    a, _ = update(state, batch(np.random.default_rng(5)))
    b, _ = update(resumed, batch(np.random.default_rng(5)))
    first, second = flatten_state(a), flatten_state(b)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_a_number_that_is_not_finite_changes_nothing() -> None:
    state, _ = train(CONFIG, 3)
    before = flatten_state(state)
    bad = batch(np.random.default_rng(0))
    bad.action[1, 2, 0] = np.nan
    after, info = bc.make_update(CONFIG, STATE, ACTION)(state, bad)
    assert float(info["skipped"]) == 1.0
    kept = flatten_state(after)
    assert all(np.array_equal(before[name], kept[name]) for name in before)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="gripper_critic is on"):
        bc.init(replace(CONFIG, gripper_critic=True), STATE, ActionSpec(0.02, 0.1, active=(0,)), 0)
    wrong = batch(np.random.default_rng(0))._replace(state=np.zeros((4, 64, 2), np.float32))
    with pytest.raises(DataError, match=r"batch.state has shape \(4, 64, 2\)"):
        bc.make_update(CONFIG, STATE, ACTION)(bc.init(CONFIG, STATE, ACTION, 0), wrong)


def test_the_losses_are_what_they_are_called() -> None:
    mode, action = jnp.array([[0.0, 1.0], [0.5, -1.0]]), jnp.array([[1.0, 1.0], [0.0, -1.0]])
    assert float(losses.cloning_loss(mode, action)) == pytest.approx((1.0 + 0.25) / 4)
    scores = jnp.array([[0.0, 2.0], [0.0, 0.0], [0.0, 0.0]])
    expected = (np.log(3.0) + np.log(np.exp(2.0) + 2.0) - 2.0) / 2
    assert float(losses.gripper_cloning_loss(scores, jnp.array([1, 0]))) == pytest.approx(expected, rel=1e-5)
