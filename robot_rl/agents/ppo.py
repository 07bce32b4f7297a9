"""Residual PPO: an on-policy correction of what a frozen base proposes for each step (ResiP, arXiv 2407.16677).

A row is what the environment told and the base's action for this step, as in the released code: policy and values see
both. The policy is a Gaussian whose mean starts at exactly 0 and whose spread is fixed. What it draws is scaled, added
to the motion of the base's action and clipped; the gripper stays the base's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax

from robot_rl.agents.networks import Params, normalise
from robot_rl.agents.ppo_config import PpoConfig
from robot_rl.agents.ppo_losses import advantages, log_prob, policy_loss, scale_rewards
from robot_rl.agents.ppo_state import PpoState, make_optimiser, means_of, values_of
from robot_rl.agents.updates import all_finite, descend
from robot_rl.core.types import Float32


class Rollout(NamedTuple):
    """T steps in each of E environments, gathered with one policy.

    A row has n numbers of the environment and d of the base's action, of which m are motion.

    Attributes:
        rows: what it saw ``[T, E, n + d]``.
        edits: what it drew, before scale and clip ``[T, E, m]``.
        log_probs: of these, when they were drawn ``[T, E]``.
        next_rows: what was seen after the step, of the same episode also where it ended ``[T, E, n + d]``.
        rewards: ``[T, E]``.
        terminated: 1 where the task ended, the value after it is zero ``[T, E]``.
        ended: 1 where the episode ended, for whatever reason ``[T, E]``.
    """

    rows: Float32
    edits: Float32
    log_probs: Float32
    next_rows: Float32
    rewards: Float32
    terminated: Float32
    ended: Float32


class Rows(NamedTuple):
    """Steps of a rollout as a minibatch, first axis B: see `Rollout`, and `ppo_losses.advantages` for the last two."""

    rows: jax.Array
    edits: jax.Array
    log_probs: jax.Array
    advantages: jax.Array
    returns: jax.Array


Update = Callable[[PpoState, Rollout], tuple[PpoState, dict[str, float]]]


def make_update(config: PpoConfig) -> Update:
    """Compile-on-first-use iteration over one rollout.

    Args:
        config: hyper-parameters.

    Returns:
        ``update(state, rollout) -> (state, info)``. ``info`` holds of the steps taken, as means: ``policy_loss
        value_loss clipped`` (share of rows whose ratio was); ``kl`` of the last minibatch that was looked at,
        ``epochs`` as far as they came, ``skipped`` minibatches whose gradient was not finite; and of the rollout
        ``explained_variance`` of the returns by the values, ``value_mean``, ``reward_scale``, ``edit_mean`` (mean
        absolute value).
    """
    optimiser = make_optimiser(config)

    @jax.jit
    def prepare(state: PpoState, rollout: Rollout) -> tuple[PpoState, Rows, dict[str, jax.Array]]:
        rewards, terminated, ended = (jnp.asarray(x) for x in (rollout.rewards, rollout.terminated, rollout.ended))
        scaler, rewards = scale_rewards(state.scaler, rewards, ended, config.gamma, config.reward_clip)
        x, next_x = (normalise(state.normaliser, jnp.asarray(r)) for r in (rollout.rows, rollout.next_rows))
        values, next_values = values_of(state.critic, x), values_of(state.critic, next_x)
        stop = terminated if config.time_limit == "bootstrap" else ended
        gains = advantages(rewards, values, next_values, stop, ended, gamma=config.gamma, gae_lambda=config.gae_lambda)
        returns = gains + values
        kept = (x, rollout.edits, rollout.log_probs, gains, returns)
        rows = Rows(*(jnp.reshape(leaf, (-1, *leaf.shape[2:])) for leaf in kept))
        info = {
            "explained_variance": 1.0 - jnp.var(returns - values) / jnp.maximum(jnp.var(returns), 1e-8),
            "value_mean": values.mean(),
            "reward_scale": scaler.scale(),
            "edit_mean": jnp.abs(means_of(state.actor, rows.rows)).mean(),
        }
        return state._replace(scaler=scaler), rows, info

    @jax.jit
    def step(state: PpoState, rows: Rows, chosen: npt.NDArray[np.intp]) -> tuple[PpoState, dict[str, jax.Array]]:
        return _step(config, optimiser, state, jax.tree.map(lambda leaf: leaf[chosen], rows))

    def update(state: PpoState, rollout: Rollout) -> tuple[PpoState, dict[str, float]]:
        state, rows, measured = prepare(state, rollout)
        taken: list[dict[str, float]] = []
        looked, kl = 0, 0.0
        for chosen in _minibatches(state, len(rows.returns), config):
            state, info = step(state, rows, chosen)
            looked, kl = looked + 1, float(info["kl"])
            if not bool(info["close"]):
                break
            taken.append({name: float(value) for name, value in info.items()})
        state = state._replace(iteration=state.iteration + 1)
        of_steps = {name: _mean(taken, name) for name in ("policy_loss", "value_loss", "clipped")}
        ends = {"kl": kl, "epochs": looked / config.minibatches, "skipped": sum(1.0 - t["finite"] for t in taken)}
        return state, of_steps | ends | {name: float(value) for name, value in measured.items()}

    return update


def _minibatches(state: PpoState, n: int, config: PpoConfig) -> Iterator[npt.NDArray[np.intp]]:
    """Indices of each minibatch of all passes over n rows, every pass in an order of its own."""
    rng = np.random.default_rng([*np.asarray(state.key), int(state.iteration)])
    for _ in range(config.epochs):
        yield from np.array_split(rng.permutation(n), config.minibatches)


def _step(
    config: PpoConfig, optimiser: optax.GradientTransformation, state: PpoState, rows: Rows
) -> tuple[PpoState, dict[str, jax.Array]]:
    """One step along a minibatch, unless the policy has gone too far already or a gradient is not finite."""

    def policy(actor: Params) -> tuple[jax.Array, dict[str, jax.Array]]:
        now = log_prob(rows.edits, means_of(actor, rows.rows), config.log_std)
        return policy_loss(now - rows.log_probs, rows.advantages, config.clip)

    def value(critic: Params) -> jax.Array:
        return 0.5 * jnp.square(values_of(critic, rows.rows) - rows.returns).mean()

    (policy_cost, info), actor_gradient = jax.value_and_grad(policy, has_aux=True)(state.actor)
    value_cost, critic_gradient = jax.value_and_grad(value)(state.critic)
    close = ~(info["kl"] > config.target_kl) | (config.target_kl == 0.0)
    finite = all_finite((actor_gradient, critic_gradient))
    actor_gradient["out"]["b"] = jnp.zeros_like(actor_gradient["out"]["b"])
    warm = jnp.minimum(1.0, state.iteration / max(1, config.actor_warmup)) if config.actor_warmup else 1.0

    def moved(s: PpoState) -> PpoState:
        actor, actor_moments = descend(optimiser, actor_gradient, s.actor_optimiser, s.actor)
        critic, critic_moments = descend(optimiser, critic_gradient, s.critic_optimiser, s.critic)
        return s._replace(
            actor=_towards(s.actor, actor, warm * config.lr_actor),
            critic=_towards(s.critic, critic, config.lr_critic),
            actor_optimiser=actor_moments,
            critic_optimiser=critic_moments,
        )

    state = jax.lax.cond(close & finite, moved, lambda s: s, state)
    return state, info | {
        "policy_loss": policy_cost,
        "value_loss": value_cost,
        "close": close,
        "finite": finite.astype(jnp.float32),
    }


def _towards(old: Params, new: Params, share: jax.Array | float) -> Params:
    moved: Params = jax.tree.map(lambda a, b: a + share * (b - a), old, new)
    return moved


def _mean(rows: list[dict[str, float]], name: str) -> float:
    return float(np.mean([row[name] for row in rows])) if rows else 0.0
