"""RLPD: soft actor-critic with an ensemble, many critic steps per environment step, in one compiled call.

`make_update` returns the call. It takes one batch of shape ``[utd, B, ...]`` and does, in this order: next actions for
the whole batch (the actor does not change while the critics learn), one critic step per slice, then actor and
temperature steps on the last slices (RLPD, arXiv 2302.02948, algorithm 1).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from robot_rl.agents import losses
from robot_rl.agents.arrays import flatten_state, unflatten_state
from robot_rl.agents.compiler import compiler_options
from robot_rl.agents.config import SacConfig
from robot_rl.agents.networks import choose_members, gripper_values, normalise, q_values
from robot_rl.agents.state import (
    AgentState,
    Optimisers,
    actor_params,
    init,
    optimisers,
    owned_dimensions,
    target_entropy,
    temperature_value,
)
from robot_rl.agents.tanh_normal import TanhNormal, distribution, sample
from robot_rl.agents.updates import Info, Update, all_finite, check_shapes, descend, polyak
from robot_rl.core.errors import DataError
from robot_rl.core.specs import ActionSpec, StateSpec
from robot_rl.core.transition import Batch

__all__ = ["AgentState", "Info", "Update", "actor_params", "flatten_state", "init", "make_update", "unflatten_state"]


class Slices(NamedTuple):
    """The batch as the networks take it, leading axis ``utd``, features before rows.

    Attributes:
        x: normalised states ``[utd, n, B]``.
        action: owned dimensions ``[utd, d, B]``.
        gripper_label: executed gripper commands ``int32[utd, B]``.
        reward: ``[utd, B]``.
        gripper_reward: reward plus what only the gripper answers for ``[utd, B]``.
        discount: ``[utd, B]``.
        next_x: ``[utd, n, B]``.
        next_action: drawn from the policy ``[utd, d, B]``.
        next_log_prob: ``[utd, B]``.
        key: one per slice.
    """

    x: jax.Array
    action: jax.Array
    gripper_label: jax.Array
    reward: jax.Array
    gripper_reward: jax.Array
    discount: jax.Array
    next_x: jax.Array
    next_action: jax.Array
    next_log_prob: jax.Array
    key: jax.Array


class Problem(NamedTuple):
    """What is fixed while an agent trains.

    Attributes:
        config: hyper-parameters.
        owned: action indices of the continuous actor.
        entropy: the target entropy, nats.
        optimisers: one for each network.
        state_size: values in a packed state.
    """

    config: SacConfig
    owned: tuple[int, ...]
    entropy: float
    optimisers: Optimisers
    state_size: int


def make_update(
    config: SacConfig, state_spec: StateSpec, action_spec: ActionSpec, *, critic_only: bool = False
) -> Update:
    """Compile-on-first-use update of one group of minibatches.

    Args:
        config: hyper-parameters; the batch's leading axis, not ``config.utd``, sets the number of critic steps.
        state_spec: layout of the packed state.
        action_spec: which dimensions may be commanded.
        critic_only: leave actor and temperature exactly as they are, for warm-up.

    Returns:
        ``update(state, batch) -> (state, info)``. The given state is consumed. ``info`` holds scalars, means over the
        group: ``q_mean q_min q_max target_mean td_error td_error/<member> critic_loss q_outside target_clipped``
        (shares of rows), ``entropy temperature actor_loss`` where the actor moved, ``gripper_loss gripper_q_mean``
        with a gripper critic, and ``skipped``: 1 when a number was not finite and the state was left as it was.

    Raises:
        ConfigError: the gripper critic and the active dimensions do not fit.
        DataError: from the returned function, the batch does not have the shapes of the specifications.
    """
    owned = owned_dimensions(config, action_spec)
    problem = Problem(config, owned, target_entropy(config, action_spec), optimisers(config), state_spec.size)

    def update(state: AgentState, batch: Batch) -> tuple[AgentState, Info]:
        check_shapes(batch, problem.state_size)
        if len(batch.reward) < config.actor_steps:
            raise DataError(
                f"the batch has {len(batch.reward)} slices, expected at least actor_steps={config.actor_steps}"
            )
        key, group_key, actor_key = jax.random.split(state.key, 3)
        slices = _slices(problem, state, batch, group_key)
        new, info = jax.lax.scan(lambda s, item: _critic_step(problem, s, item), state, slices)
        info = {name: values.mean(axis=0) for name, values in info.items()}
        info.update({f"td_error/{e}": v for e, v in enumerate(info.pop("td_error_by_member"))})
        if not critic_only:
            new, actor_info = _actor_steps(problem, new, slices, actor_key)
            info |= actor_info
        # Optimiser moments need no look of their own: a moment that is not finite makes its parameter so too.
        finite = all_finite((new.actor, new.critic, new.temperature, new.gripper, info))
        kept = jax.lax.cond(finite, lambda new, _: new, lambda _, old: old, new, state)
        return kept._replace(key=key), info | {"skipped": 1.0 - finite.astype(jnp.float32)}

    return jax.jit(update, donate_argnums=0, compiler_options=compiler_options())


def _policy(config: SacConfig, actor: Any, x: jax.Array) -> TanhNormal:
    return distribution(actor, x, config.activation, config.log_std_min, config.log_std_max)


def _slices(problem: Problem, state: AgentState, batch: Batch, key: jax.Array) -> Slices:
    """Normalise, turn feature-major and draw all next actions."""
    utd, rows = batch.reward.shape
    noise_key, subset_key = jax.random.split(key)
    next_x = normalise(state.normaliser, jnp.asarray(batch.next_state)).reshape(utd * rows, -1).T
    noise = jax.random.normal(noise_key, (len(problem.owned), utd * rows))
    following = sample(_policy(problem.config, state.actor, next_x), noise)
    action = jnp.asarray(batch.action)

    def cut(flat: jax.Array) -> jax.Array:
        return flat.reshape(-1, utd, rows).swapaxes(0, 1)

    return Slices(
        x=normalise(state.normaliser, jnp.asarray(batch.state)).swapaxes(1, 2),
        action=action[..., jnp.array(problem.owned)].swapaxes(1, 2),
        gripper_label=losses.gripper_labels(action),
        reward=jnp.asarray(batch.reward),
        gripper_reward=jnp.asarray(batch.reward) + batch.gripper_reward,
        discount=jnp.asarray(batch.discount),
        next_x=cut(next_x),
        next_action=cut(following.action),
        next_log_prob=following.log_prob.reshape(utd, rows),
        key=jax.random.split(subset_key, utd),
    )


def _critic_step(problem: Problem, state: AgentState, item: Slices) -> tuple[AgentState, Info]:
    """One step of the ensemble, its targets and the gripper critic on one slice."""
    config = problem.config
    members = choose_members(state.target_critic, item.key, config.critics, config.subset)
    target = losses.td_target(
        item.reward,
        item.discount,
        q_values(members, item.next_x, item.next_action, config.activation),
        item.next_log_prob,
        temperature_value(config, state.temperature),
        backup_entropy=config.backup_entropy,
        q_range=config.q_range,
    )

    def loss(critic: Any) -> tuple[jax.Array, jax.Array]:
        q = q_values(critic, item.x, item.action, config.activation)
        return losses.critic_loss(q, target), q

    (value, q), gradient = jax.value_and_grad(loss, has_aux=True)(state.critic)
    critic, optimiser = descend(problem.optimisers.critic, gradient, state.critic_optimiser, state.critic)
    state = state._replace(
        critic=critic,
        critic_optimiser=optimiser,
        target_critic=polyak(state.target_critic, critic, config.tau),
        updates=state.updates + 1,
    )
    info = {"critic_loss": value} | _q_statistics(q, target, config.q_range)
    if config.gripper_critic:
        state, gripper_info = _gripper_step(problem, state, item)
        info |= gripper_info
    return state, info


def _q_statistics(q: jax.Array, target: jax.Array, q_range: tuple[float, float] | None) -> Info:
    error = jnp.abs(q - target[None, :]).mean(axis=1)
    low, high = q_range if q_range is not None else (-jnp.inf, jnp.inf)
    return {
        "q_mean": q.mean(),
        "q_min": q.min(),
        "q_max": q.max(),
        "target_mean": target.mean(),
        "td_error": error.mean(),
        "td_error_by_member": error,
        "q_outside": ((q < low) | (q > high)).mean(),
        "target_clipped": ((target <= low) | (target >= high)).mean(),
    }


def _gripper_step(problem: Problem, state: AgentState, item: Slices) -> tuple[AgentState, Info]:
    activation = problem.config.activation
    next_online = gripper_values(state.gripper or {}, item.next_x, activation)
    next_target = gripper_values(state.target_gripper or {}, item.next_x, activation)
    target = losses.gripper_target(item.gripper_reward, item.discount, next_online, next_target)

    def loss(critic: Any) -> tuple[jax.Array, jax.Array]:
        values = gripper_values(critic, item.x, activation)
        return losses.gripper_loss(values, item.gripper_label, target), values

    (value, values), gradient = jax.value_and_grad(loss, has_aux=True)(state.gripper)
    gripper, optimiser = descend(problem.optimisers.gripper, gradient, state.gripper_optimiser, state.gripper)
    state = state._replace(
        gripper=gripper,
        gripper_optimiser=optimiser,
        target_gripper=polyak(state.target_gripper, gripper, problem.config.tau),
    )
    return state, {"gripper_loss": value, "gripper_q_mean": values.mean()}


def _actor_steps(problem: Problem, state: AgentState, slices: Slices, key: jax.Array) -> tuple[AgentState, Info]:
    """Actor and temperature steps on the last slices."""
    steps = problem.config.actor_steps
    last = jax.tree.map(lambda leaf: leaf[-steps:], slices)
    keys = jax.random.split(key, steps)
    state, info = jax.lax.scan(lambda s, item: _actor_step(problem, s, *item), state, (last, keys))
    return state, {name: values.mean(axis=0) for name, values in info.items()}


def _actor_step(problem: Problem, state: AgentState, item: Slices, key: jax.Array) -> tuple[AgentState, Info]:
    config = problem.config
    alpha = temperature_value(config, state.temperature)
    noise = jax.random.normal(key, item.action.shape)

    def loss(actor: Any) -> tuple[jax.Array, jax.Array]:
        drawn = sample(_policy(config, actor, item.x), noise)
        q = q_values(state.critic, item.x, drawn.action, config.activation)
        return losses.actor_loss(q, drawn.log_prob, alpha), -drawn.log_prob.mean()

    (value, entropy), gradient = jax.value_and_grad(loss, has_aux=True)(state.actor)
    actor, optimiser = descend(problem.optimisers.actor, gradient, state.actor_optimiser, state.actor)
    measured = -item.next_log_prob.mean() if config.temperature_from_next_state else entropy
    slope = jax.grad(
        lambda parameter: losses.temperature_loss(temperature_value(config, parameter), measured, problem.entropy)
    )(state.temperature)
    temperature, temperature_optimiser = descend(
        problem.optimisers.temperature, slope, state.temperature_optimiser, state.temperature
    )
    state = state._replace(
        actor=actor,
        average_actor=polyak(state.average_actor, actor, 1.0 - config.actor_average),
        actor_optimiser=optimiser,
        temperature=temperature,
        temperature_optimiser=temperature_optimiser,
    )
    return state, {"actor_loss": value, "entropy": entropy, "temperature": temperature_value(config, temperature)}
