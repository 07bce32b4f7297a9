"""The compiled update: what moves, what does not, and that one step is the step of the papers."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from robot_rl.agents import sac, slices
from robot_rl.agents.config import SacConfig
from robot_rl.agents.state import owned_dimensions, target_entropy
from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.specs import ActionSpec, Part, StateSpec
from robot_rl.core.transition import Batch

STATE = StateSpec((Part("a", 3, "m", scale=0.5, center=0.1), Part("b", 2, "rad")))
ACTION = ActionSpec(0.02, 0.1, active=(0, 1, 2, 6))
SMALL = SacConfig(hidden=(8, 8), critics=3, subset=2, utd=2, batch_size=6, q_range=None)
HYBRID = replace(SMALL, gripper_critic=True)


def batch(utd: int = 2, rows: int = 6, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    lead = (utd, rows)
    return Batch(
        state=rng.standard_normal((*lead, 5)).astype(np.float32),
        action=rng.uniform(-1, 1, (*lead, 7)).astype(np.float32),
        reward=rng.integers(0, 2, lead).astype(np.float32),
        gripper_reward=-0.1 * rng.integers(0, 2, lead).astype(np.float32),
        discount=0.9 * rng.integers(0, 2, lead).astype(np.float32),
        next_state=rng.standard_normal((*lead, 5)).astype(np.float32),
    )


@pytest.fixture(scope="module")
def updates() -> dict[str, sac.Update]:
    """Compiled once for all tests of this module."""
    return {
        "full": sac.make_update(SMALL, STATE, ACTION),
        "critic": sac.make_update(SMALL, STATE, ACTION, critic_only=True),
        "hybrid": sac.make_update(HYBRID, STATE, ACTION),
    }


def arrays(state: sac.AgentState) -> dict[str, np.ndarray]:
    return sac.flatten_state(state)


def moved(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> set[str]:
    """Top-level parts in which any bit changed."""
    return {name.split("/")[0] for name in before if not np.array_equal(before[name], after[name], equal_nan=True)}


EVERYTHING = {
    "actor",
    "critic",
    "average_actor",
    "target_critic",
    "temperature",
    "actor_optimiser",
    "critic_optimiser",
    "temperature_optimiser",
    "key",
    "updates",
}


def test_a_full_update_moves_every_network(updates: dict[str, sac.Update]) -> None:
    state = sac.init(SMALL, STATE, ACTION, 0)
    before = arrays(state)
    state, info = updates["full"](state, batch())
    assert moved(before, arrays(state)) == EVERYTHING
    assert int(state.updates) == 2
    assert all(np.isfinite(v) and np.shape(v) == () for v in info.values())
    assert {"td_error/0", "td_error/1", "td_error/2", "entropy", "temperature", "actor_loss", "q_max"} <= set(info)
    assert float(info["skipped"]) == 0.0


def test_a_network_whose_turn_it_is_not_does_not_move(updates: dict[str, sac.Update]) -> None:
    state = sac.init(SMALL, STATE, ACTION, 0)
    for seed in range(3):  # optimisers that have momentum, so that a zero gradient would move the actor
        state, _ = updates["full"](state, batch(seed=seed))
    before = arrays(state)
    state, info = updates["critic"](state, batch(seed=3))
    assert moved(before, arrays(state)) == {"critic", "target_critic", "critic_optimiser", "key", "updates"}
    assert "actor_loss" not in info


def test_without_averaging_the_newest_actor_acts() -> None:
    config = replace(SMALL, actor_average=0.0)
    state, _ = sac.make_update(config, STATE, ACTION)(sac.init(config, STATE, ACTION, 0), batch())
    for newest, acting in zip(jax.tree.leaves(state.actor), jax.tree.leaves(state.average_actor), strict=True):
        np.testing.assert_allclose(acting, newest, rtol=1e-5, atol=1e-7)


def test_the_gripper_critic_learns_beside_the_others(updates: dict[str, sac.Update]) -> None:
    state = sac.init(HYBRID, STATE, ACTION, 0)
    before = arrays(state)
    state, info = updates["hybrid"](state, batch())
    assert moved(before, arrays(state)) == EVERYTHING | {"gripper", "target_gripper", "gripper_optimiser"}
    assert float(info["gripper_loss"]) > 0


def test_the_same_seed_gives_the_same_bits(updates: dict[str, sac.Update]) -> None:
    runs = []
    for _ in range(2):
        state = sac.init(SMALL, STATE, ACTION, 7)
        for seed in range(3):
            state, _ = updates["full"](state, batch(seed=seed))
        runs.append(arrays(state))
    assert moved(*runs) == set()
    other = arrays(sac.init(SMALL, STATE, ACTION, 8))
    assert {"actor", "critic"} <= moved(arrays(sac.init(SMALL, STATE, ACTION, 7)), other)


@pytest.mark.parametrize("field", ["state", "next_state", "reward", "action"])
def test_a_batch_that_is_not_finite_changes_nothing_but_the_random_key(
    updates: dict[str, sac.Update], field: str
) -> None:
    bad = batch()
    getattr(bad, field)[1, 2] = np.nan
    state = sac.init(SMALL, STATE, ACTION, 0)
    before = arrays(state)
    state, info = updates["full"](state, bad)
    assert float(info["skipped"]) == 1.0
    assert moved(before, arrays(state)) == {"key"}


def test_wrong_shapes_are_named() -> None:
    update = sac.make_update(SMALL, STATE, ACTION)
    good = batch()
    with pytest.raises(DataError, match=r"batch\.state has shape \(2, 6, 4\).*\(5,\)"):
        update(sac.init(SMALL, STATE, ACTION, 0), good._replace(state=good.state[..., :4]))
    with pytest.raises(DataError, match="batch.state has shape"):
        update(sac.init(SMALL, STATE, ACTION, 0), Batch(*(v[0] for v in good)))
    twice = sac.make_update(replace(SMALL, actor_steps=2), STATE, ACTION)
    with pytest.raises(DataError, match="1 slices, expected at least actor_steps=2"):
        twice(sac.init(SMALL, STATE, ACTION, 0), batch(utd=1))


def test_the_actor_owns_what_the_gripper_critic_does_not() -> None:
    assert owned_dimensions(SMALL, ACTION) == (0, 1, 2, 6)
    assert target_entropy(SMALL, ACTION) == -2.0
    assert owned_dimensions(HYBRID, ACTION) == (0, 1, 2)
    assert target_entropy(HYBRID, ACTION) == -1.5
    with pytest.raises(ConfigError, match="gripper is not among the active"):
        owned_dimensions(HYBRID, ActionSpec(0.02, 0.1, active=(0, 1)))
    with pytest.raises(ConfigError, match="owns no dimension"):
        owned_dimensions(HYBRID, ActionSpec(0.02, 0.1, active=(6,)))


def test_values_of_foreign_dimensions_play_no_role(updates: dict[str, sac.Update]) -> None:
    state = sac.init(HYBRID, STATE, ACTION, 0)
    plain, _ = updates["hybrid"](state, batch())
    changed = batch()
    changed.action[..., 3:6] = 0.77  # rotation, inactive
    changed.action[..., 6] *= 0.999  # the same gripper class
    other, _ = updates["hybrid"](sac.init(HYBRID, STATE, ACTION, 0), changed)
    labels = [np.digitize(b.action[..., 6], [-0.5, 0.5]) for b in (batch(), changed)]
    np.testing.assert_array_equal(*labels)
    assert moved(arrays(plain), arrays(other)) == set()


# --- one whole update against a reference written row-major, member by member, with no scan and no slicing tricks ---

EXACT = replace(SMALL, subset=3, initial_temperature=0.3, backup_entropy=True, actor_steps=2)


def row_mlp(params: Any, x: jax.Array) -> jax.Array:
    for i in range(len(params) - 1):
        layer = params[str(i)]
        x = x @ layer["w"].T + layer["b"]
        if "gain" in layer:
            x = (x - x.mean(1, keepdims=True)) / jnp.sqrt(x.var(1, keepdims=True) + 1e-6)
            x = x * layer["gain"] + layer["shift"]
        x = jax.nn.relu(x)
    return x @ params["out"]["w"].T + params["out"]["b"]


def row_q(critic: Any, s: jax.Array, a: jax.Array) -> list[jax.Array]:
    x = jnp.concatenate([s, a], axis=1)
    return [row_mlp(jax.tree.map(lambda p, e=e: p[e], critic), x)[:, 0] for e in range(EXACT.critics)]


def row_policy(actor: Any, s: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mode of the policy and the log-density there."""
    mean, log_std = jnp.split(row_mlp(actor, s), 2, axis=1)
    density = -log_std - 0.5 * jnp.log(2 * jnp.pi) - jnp.log(1 - jnp.tanh(mean) ** 2)
    return jnp.tanh(mean), density.sum(1)


def reference(state: sac.AgentState, b: Batch) -> dict[str, Any]:
    """Critic steps on every slice, then an actor and a temperature step on every slice, without noise."""
    actor, critic, target, theta = state.actor, state.critic, state.target_critic, state.temperature
    average = state.average_actor
    adam = optax.adam(3e-4)
    m_actor, m_critic, m_theta = adam.init(actor), adam.init(critic), adam.init(theta)
    s = jnp.clip((b.state - STATE.center) / STATE.scale, -10, 10)
    s2 = jnp.clip((b.next_state - STATE.center) / STATE.scale, -10, 10)
    a = b.action[..., [0, 1, 2, 6]]
    for u in range(2):
        a2, log_prob = row_policy(actor, s2[u])
        value = jnp.min(jnp.stack(row_q(target, s2[u], a2)), axis=0) - jnp.exp(theta) * log_prob
        y = b.reward[u] + b.discount[u] * value

        def loss(c: Any, u: int = u, y: jax.Array = y) -> Any:
            return sum(((q - y) ** 2).mean() for q in row_q(c, s[u], a[u])) / EXACT.critics

        change, m_critic = adam.update(jax.grad(loss)(critic), m_critic)
        critic = optax.apply_updates(critic, change)
        target = jax.tree.map(lambda t, p: 0.995 * t + 0.005 * p, target, critic)
    for u in range(2):

        def actor_loss(p: Any, u: int = u, theta: jax.Array = theta) -> Any:
            act, log_prob = row_policy(p, s[u])
            return (jnp.exp(theta) * log_prob - sum(row_q(critic, s[u], act)) / EXACT.critics).mean(), log_prob.mean()

        gradient, mean_log_prob = jax.grad(actor_loss, has_aux=True)(actor)
        change, m_actor = adam.update(gradient, m_actor)
        actor = optax.apply_updates(actor, change)
        average = jax.tree.map(lambda t, p: 0.995 * t + 0.005 * p, average, actor)
        change, m_theta = adam.update(jnp.exp(theta) * (-mean_log_prob - (-2.0)), m_theta)
        theta = optax.apply_updates(theta, change)
    # Adam's first step is all but a sign; its moments hold the gradients themselves.
    return {"actor": actor, "average_actor": average, "critic": critic, "target_critic": target} | {
        "temperature": theta,
        "actor_optimiser": m_actor,
        "critic_optimiser": m_critic,
        "temperature_optimiser": m_theta,
    }


def test_one_update_is_the_papers_update(monkeypatch: pytest.MonkeyPatch) -> None:
    noisy = sac.sample
    for module in (sac, slices):
        monkeypatch.setattr(module, "sample", lambda policy, noise: noisy(policy, 0.0 * noise))
    state = sac.init(EXACT, STATE, ACTION, 3)
    expected = jax.jit(reference)(jax.tree.map(jnp.array, state), batch())
    new, _ = sac.make_update(EXACT, STATE, ACTION)(state, batch())
    for part, tree in expected.items():
        for got, want in zip(jax.tree.leaves(getattr(new, part)), jax.tree.leaves(tree), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-3, atol=2e-6, err_msg=part)
