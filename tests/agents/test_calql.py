"""Calibrated conservative Q-learning: what is charged and what is not, by hand and in training."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from robot_rl.agents import calql, sac
from robot_rl.agents.arrays import flatten_state, unflatten_state
from robot_rl.agents.config import SacConfig
from robot_rl.agents.networks import choose_members, q_values
from robot_rl.agents.offline_config import CalqlConfig
from robot_rl.agents.slices import Slices
from robot_rl.agents.state import AgentState
from robot_rl.agents.tanh_normal import distribution, sample
from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.specs import GRIPPER, ActionSpec, Part, StateSpec
from robot_rl.core.transition import Batch, Observation, ReturnsBatch
from robot_rl.policies.gaussian import GaussianPolicy

STATE = StateSpec((Part("position", 2, "m", scale=0.5), Part("closed", 1, "1")))
ACTION = ActionSpec(0.02, 0.1, active=(0, 1))
CONFIG = SacConfig(hidden=(32, 32), lr_actor=3e-3, lr_critic=3e-3, tau=0.05, actor_average=0.9, actor_steps=4)
OPTIONS = CalqlConfig(samples=4)


def batch(rng: np.random.Generator, utd: int = 4, rows: int = 32) -> ReturnsBatch:
    """Half of the stored actions are right, +0.5, and end in success; no stored action leaves [-0.6, 0.6]."""
    state = rng.uniform(-1, 1, (utd, rows, 3)).astype(np.float32)
    right = rng.random((utd, rows)) < 0.5
    action = np.zeros((utd, rows, 7), np.float32)
    action[..., 0] = np.where(right, 0.5, -0.5) + rng.uniform(-0.1, 0.1, (utd, rows))
    reward, zero = right.astype(np.float32), np.zeros((utd, rows), np.float32)
    discount = np.where(right, 0.0, 0.9).astype(np.float32)
    return ReturnsBatch(Batch(state, action, reward, zero, discount, state), reward)


def train(updates: int, options: CalqlConfig = OPTIONS, seed: int = 0) -> tuple[AgentState, dict[str, float]]:
    rng = np.random.default_rng(seed)
    state = calql.init(CONFIG, STATE, ACTION, seed)
    update = calql.make_update(CONFIG, STATE, ACTION, options=options, critic_only=True)
    info: dict[str, Any] = {}
    for _ in range(updates):
        state, info = update(state, batch(rng))
    return state, {name: float(value) for name, value in info.items()}


def one_slice(state: AgentState, mc_return: jax.Array | None) -> Slices:
    rng, row = np.random.default_rng(0), jnp.zeros(5)
    x, action = (jnp.asarray(rng.uniform(-1, 1, (n, 5)), jnp.float32) for n in (3, 2))
    return Slices(
        x=x, views={}, action=action, gripper_label=row.astype(jnp.int32), reward=row, gripper_reward=row, discount=row,
        next_x=x + 0.1, next_views={}, next_action=action, next_log_prob=row, key=jax.random.PRNGKey(3),
        mc_return=mc_return,
    )  # fmt: skip


@pytest.mark.parametrize(("calibrate", "mc_return"), [(False, None), (True, 0.3), (True, 5.0)])
def test_the_charge_is_what_it_says_sample_by_sample(calibrate: bool, mc_return: float | None) -> None:
    config = replace(CONFIG, critics=3, subset=2)
    options = CalqlConfig(samples=2, calibrate=calibrate, temperature=0.7)
    state = calql.init(config, STATE, ACTION, 1)
    item = one_slice(state, None if mc_return is None else jnp.full(5, mc_return))
    got = float(calql.charge(config, options, state.critic, state, item))

    keys = jax.random.split(jax.random.fold_in(item.key, 1), 4)
    members = choose_members(state.critic, keys[0], 3, 2)
    uniform = jax.random.uniform(keys[1], (2, 10), minval=-1.0, maxval=1.0)
    total = 0.0
    data = np.asarray(q_values(members, item.x, item.action, "relu"))
    drawn = {}
    for name, x, key in (("here", item.x, keys[2]), ("next", item.next_x, keys[3])):
        policy = distribution(state.actor, jnp.tile(x, 2), "relu", config.log_std_min, config.log_std_max)
        drawn[name] = sample(policy, jax.random.normal(key, (2, 10)))
    for b in range(5):
        terms: list[np.ndarray] = []
        for i in range(2):
            at = i * 5 + b
            x = item.x[:, b : b + 1]
            q = np.asarray(q_values(members, x, uniform[:, at : at + 1], "relu"))[:, 0]
            terms.append(q - 2 * math.log(0.5))
            for name in ("here", "next"):
                q = np.asarray(q_values(members, x, drawn[name].action[:, at : at + 1], "relu"))[:, 0]
                if mc_return is not None:
                    q = np.maximum(q, mc_return)
                terms.append(q - float(drawn[name].log_prob[at]))
        soft = 0.7 * np.log(np.exp(np.array(terms) / 0.7).sum(axis=0))
        total += float((soft - data[:, b]).mean())
    assert got == pytest.approx(total / 5, rel=1e-4)


def test_values_of_actions_that_are_not_in_the_data_stay_below_those_that_are() -> None:
    charged, info = train(150)
    free, _ = train(150, replace(OPTIONS, alpha=0.0))
    assert info["skipped"] == 0.0 and math.isfinite(info["penalty"])

    def gap(state: AgentState) -> float:
        x = jnp.asarray(np.random.default_rng(1).uniform(-1, 1, (3, 64)), jnp.float32)
        stored, foreign = (jnp.full((2, 64), v).at[1].set(u) for v, u in ((0.5, 0.0), (0.5, 0.95)))
        return float((q_values(state.critic, x, stored, "relu") - q_values(state.critic, x, foreign, "relu")).mean())

    assert gap(charged) > gap(free) + 0.1


def test_stored_data_alone_teaches_what_was_right() -> None:
    state, _ = train(200)
    policy = GaussianPolicy.from_params(sac.actor_params(state, CONFIG), 1)
    rng = np.random.default_rng(1)
    where = rng.uniform(-1, 1, (50, 3)).astype(np.float32)
    got = np.mean([policy.act(Observation(s), rng, deterministic=True) for s in where], axis=0)
    assert 0.2 < got[0] < 0.8 and abs(got[1]) < 0.4 and got[GRIPPER] == 0.0


def test_after_warm_up_the_charge_goes_on_or_stops() -> None:
    given = batch(np.random.default_rng(0))
    for options, charged in ((OPTIONS, True), (replace(OPTIONS, online="sac"), False)):
        update = calql.make_update(CONFIG, STATE, ACTION, options=options)
        _, info = update(calql.init(CONFIG, STATE, ACTION, 0), given)
        assert ("penalty" in info) == charged
        assert "actor_loss" in info
    warm = calql.make_update(CONFIG, STATE, ACTION, options=options, critic_only=True)
    _, info = warm(calql.init(CONFIG, STATE, ACTION, 0), given)
    assert {"penalty", "actor_loss"} <= info.keys(), "warm-up trains the actor too, and always charges"


def test_without_the_charge_it_is_soft_actor_critic_to_the_bit() -> None:
    given = batch(np.random.default_rng(0))
    options = replace(OPTIONS, online="sac")
    one, _ = calql.make_update(CONFIG, STATE, ACTION, options=options)(calql.init(CONFIG, STATE, ACTION, 0), given)
    two, _ = sac.make_update(CONFIG, STATE, ACTION)(sac.init(CONFIG, STATE, ACTION, 0), given.batch)
    a, b = flatten_state(one), flatten_state(two)
    assert all(np.array_equal(a[name], b[name]) for name in a)


def test_a_saved_state_goes_on_to_the_bit() -> None:
    update = calql.make_update(CONFIG, STATE, ACTION, options=OPTIONS)
    state, _ = train(3)
    resumed = unflatten_state(calql.init(CONFIG, STATE, ACTION, 99), flatten_state(state))
    a, _ = update(state, batch(np.random.default_rng(5)))
    b, _ = update(resumed, batch(np.random.default_rng(5)))
    first, second = flatten_state(a), flatten_state(b)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="commands the gripper too"):
        calql.init(replace(CONFIG, gripper_critic=True), STATE, replace(ACTION, active=(0, GRIPPER)), 0)
    update = calql.make_update(CONFIG, STATE, ACTION, options=OPTIONS)
    with pytest.raises(DataError, match="holds no returns"):
        update(calql.init(CONFIG, STATE, ACTION, 0), batch(np.random.default_rng(0)).batch)
