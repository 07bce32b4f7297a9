"""RLPD: soft actor-critic with an ensemble, many critic steps per environment step, in one compiled call.

`make_update` returns the call. It takes one batch of shape ``[utd, B, ...]`` and does, in this order: next actions for
the whole batch (the actor does not change while the critics learn), one critic step per slice, then actor and
temperature steps on the last slices (RLPD, arXiv 2302.02948, algorithm 1).

With views one encoder serves every network. The losses of the critics and of the gripper critic train it together; the
actor takes what it sees without training it; targets see with the encoder's own Polyak average. Next actions, and the
gripper critic's choice among the next commands, come from the encoder with which the group began.

A number that is not finite in the batch leaves the whole state as it was. One that arises later undoes the group; with
views, whose networks are large, only the step in which it arises is left out, for which nothing has to be copied.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from robot_rl.agents import losses
from robot_rl.agents.arrays import flatten_state, unflatten_state
from robot_rl.agents.compiler import compiler_options, unrolled
from robot_rl.agents.config import SacConfig
from robot_rl.agents.encoders import encode
from robot_rl.agents.networks import Params, choose_members, gripper_values, q_values
from robot_rl.agents.slices import Penalty, Problem, Slices, cut, policy
from robot_rl.agents.state import (
    AgentState,
    actor_params,
    init,
    optimisers,
    owned_dimensions,
    target_entropy,
    temperature_value,
)
from robot_rl.agents.tanh_normal import sample
from robot_rl.agents.updates import Info, Update, all_finite, descend, move_if_finite, polyak
from robot_rl.core.errors import DataError
from robot_rl.core.specs import NO_VIEWS, ActionSpec, StateSpec, ViewSpec
from robot_rl.core.transition import Batch, ReturnsBatch, ViewBatch

__all__ = [
    "AgentState",
    "Info",
    "Penalty",
    "Slices",
    "Update",
    "actor_params",
    "flatten_state",
    "init",
    "make_update",
    "unflatten_state",
]


def make_update(
    config: SacConfig,
    state_spec: StateSpec,
    action_spec: ActionSpec,
    views: ViewSpec = NO_VIEWS,
    *,
    critic_only: bool = False,
    penalty: Penalty | None = None,
) -> Update:
    """Compile-on-first-use update of one group of minibatches.

    Args:
        config: hyper-parameters; the batch's leading axis, not ``config.utd``, sets the number of critic steps.
        state_spec: layout of the packed state.
        action_spec: which dimensions may be commanded.
        views: what is seen of each camera.
        critic_only: leave actor and temperature exactly as they are, for warm-up.
        penalty: added to the loss of the critics, or None.

    Returns:
        ``update(state, batch) -> (state, info)``. The given state is consumed; the batch is a `ViewBatch` where there
        are views. ``info`` holds scalars, means over the group: ``q_mean q_min q_max target_mean td_error
        td_error/<member> critic_loss q_outside target_clipped`` (shares of rows), ``entropy temperature actor_loss``
        where the actor moved, ``gripper_loss gripper_q_mean`` with a gripper critic, ``penalty`` with one, and
        ``skipped``, the share of critic steps that were left out because a number was not finite.

    Raises:
        ConfigError: the gripper critic and the active dimensions do not fit.
        DataError: from the returned function, the batch does not have the shapes of the specifications.
    """
    owned = owned_dimensions(config, action_spec)
    entropy = target_entropy(config, action_spec)
    unroll = unrolled(views)
    problem = Problem(config, owned, entropy, optimisers(config), state_spec.size, views, penalty)

    def update(state: AgentState, given: Batch | ViewBatch | ReturnsBatch) -> tuple[AgentState, Info]:
        # Without views the keys are split as if there were none, so that a seed means what it would.
        key, group_key, actor_key, *more = jax.random.split(state.key, 4 if views.shapes else 3)
        slices = cut(problem, state, given, group_key, more[0] if more else group_key)
        if len(slices.reward) < config.actor_steps:
            raise DataError(
                f"the batch has {len(slices.reward)} slices, expected at least actor_steps={config.actor_steps}"
            )
        before, sound = state, all_finite(slices) if views.shapes else None
        state, info = jax.lax.scan(lambda s, item: _critic_step(problem, s, item, sound), state, slices, unroll=unroll)
        info = {name: values.mean(axis=0) for name, values in info.items()}
        info.update({f"td_error/{e}": v for e, v in enumerate(info.pop("td_error_by_member"))})
        if not critic_only:
            state, actor_info = _actor_steps(problem, state, slices, actor_key, sound)
            info |= actor_info
        if sound is None:
            # Optimiser moments need no look of their own: a moment that is not finite makes its parameter so too.
            finite = all_finite((state.actor, state.critic, state.temperature, state.gripper, info))
            state = jax.lax.cond(finite, lambda new, _: new, lambda _, old: old, state, before)
        steps = state.updates - before.updates
        return state._replace(key=key), info | {"skipped": 1.0 - steps / len(slices.reward)}

    return jax.jit(update, donate_argnums=0, compiler_options=compiler_options())


class _Trained(NamedTuple):
    """What one critic step moves."""

    critic: Params
    encoder: Params | None
    gripper: Params | None


def _critic_step(problem: Problem, state: AgentState, item: Slices, sound: jax.Array | None) -> tuple[AgentState, Info]:
    """One step of the ensemble, the encoder, the gripper critic and all their targets on one slice of a sound group."""
    config = problem.config
    next_x = item.next_x
    if state.target_encoder is not None:
        next_x = encode(state.target_encoder, item.next_views, item.next_x[-problem.state_size :])
    members = choose_members(state.target_critic, item.key, config.critics, config.subset)
    target = losses.td_target(
        item.reward,
        item.discount,
        q_values(members, next_x, item.next_action, config.activation),
        item.next_log_prob,
        temperature_value(config, state.temperature),
        backup_entropy=config.backup_entropy,
        q_range=config.q_range,
    )
    gripper_target = _gripper_target(config, state, item, next_x)

    def loss(trained: _Trained) -> tuple[jax.Array, tuple[jax.Array, Info]]:
        seen = item._replace(x=encode(trained.encoder or {}, item.views, item.x))
        q = q_values(trained.critic, seen.x, item.action, config.activation)
        value = losses.critic_loss(q, target)
        info = {"critic_loss": value}
        if problem.penalty is not None:
            info["penalty"] = problem.penalty(trained.critic, state, seen)
            value = value + info["penalty"]
        if trained.gripper is not None:
            values = gripper_values(trained.gripper, seen.x, config.activation)
            info["gripper_loss"] = losses.gripper_loss(values, item.gripper_label, gripper_target)
            info["gripper_q_mean"] = values.mean()
            value = value + info["gripper_loss"]
        return value, (q, info)

    trained = _Trained(state.critic, state.encoder, state.gripper)
    (_, (q, info)), gradient = jax.value_and_grad(loss, has_aux=True)(trained)
    state = move_if_finite(sound, gradient, lambda s: _moved(problem, s, gradient), state)
    return state, info | _q_statistics(q, target, config.q_range)


def _gripper_target(config: SacConfig, state: AgentState, item: Slices, next_x: jax.Array) -> jax.Array:
    """What the gripper critic regresses to ``[B]``; zeros without one. `next_x` is what the targets see."""
    if state.gripper is None or state.target_gripper is None:
        return jnp.zeros_like(item.reward)
    next_online = gripper_values(state.gripper, item.next_x, config.activation)
    next_target = gripper_values(state.target_gripper, next_x, config.activation)
    return losses.gripper_target(item.gripper_reward, item.discount, next_online, next_target)


def _moved(problem: Problem, state: AgentState, gradient: _Trained) -> AgentState:
    """The agent after a step along the gradient of the critics' losses."""
    by, tau = problem.optimisers, problem.config.tau
    critic, critic_moments = descend(by.critic, gradient.critic, state.critic_optimiser, state.critic)
    state = state._replace(
        critic=critic,
        critic_optimiser=critic_moments,
        target_critic=polyak(state.target_critic, critic, tau),
        updates=state.updates + 1,
    )
    if state.encoder is not None:
        encoder, moments = descend(by.encoder, gradient.encoder, state.encoder_optimiser, state.encoder)
        target = polyak(state.target_encoder, encoder, tau)
        state = state._replace(encoder=encoder, encoder_optimiser=moments, target_encoder=target)
    if state.gripper is not None:
        gripper, moments = descend(by.gripper, gradient.gripper, state.gripper_optimiser, state.gripper)
        target = polyak(state.target_gripper, gripper, tau)
        state = state._replace(gripper=gripper, gripper_optimiser=moments, target_gripper=target)
    return state


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


def _actor_steps(
    problem: Problem, state: AgentState, slices: Slices, key: jax.Array, sound: jax.Array | None
) -> tuple[AgentState, Info]:
    """Actor and temperature steps on the last slices of a sound group."""
    steps = problem.config.actor_steps
    last = jax.tree.map(lambda leaf: leaf[-steps:], slices)
    keys = jax.random.split(key, steps)
    unroll = unrolled(problem.views)
    state, info = jax.lax.scan(
        lambda s, item: _actor_step(problem, s, *item, sound), state, (last, keys), unroll=unroll
    )
    return state, {name: values.mean(axis=0) for name, values in info.items()}


def _actor_step(
    problem: Problem, state: AgentState, item: Slices, key: jax.Array, sound: jax.Array | None
) -> tuple[AgentState, Info]:
    config = problem.config
    alpha = temperature_value(config, state.temperature)
    noise = jax.random.normal(key, item.action.shape)
    x = encode(state.encoder or {}, item.views, item.x)

    def loss(actor: Any) -> tuple[jax.Array, jax.Array]:
        drawn = sample(policy(config, actor, x), noise)
        q = q_values(state.critic, x, drawn.action, config.activation)
        return losses.actor_loss(q, drawn.log_prob, alpha), -drawn.log_prob.mean()

    (value, entropy), gradient = jax.value_and_grad(loss, has_aux=True)(state.actor)
    measured = -item.next_log_prob.mean() if config.temperature_from_next_state else entropy
    slope = jax.grad(
        lambda parameter: losses.temperature_loss(temperature_value(config, parameter), measured, problem.entropy)
    )(state.temperature)
    state = move_if_finite(sound, (gradient, slope), lambda s: _actor_moved(problem, s, gradient, slope), state)
    return state, {"actor_loss": value, "entropy": entropy, "temperature": temperature_value(config, state.temperature)}


def _actor_moved(problem: Problem, state: AgentState, gradient: Params, slope: jax.Array) -> AgentState:
    """The agent after a step of the actor, the temperature and the averages that act."""
    by, share = problem.optimisers, 1.0 - problem.config.actor_average
    actor, moments = descend(by.actor, gradient, state.actor_optimiser, state.actor)
    temperature, temperature_moments = descend(by.temperature, slope, state.temperature_optimiser, state.temperature)
    return state._replace(
        actor=actor,
        average_actor=polyak(state.average_actor, actor, share),
        average_encoder=polyak(state.average_encoder, state.encoder, share),
        average_gripper=polyak(state.average_gripper, state.gripper, share) if state.average_gripper else None,
        actor_optimiser=moments,
        temperature=temperature,
        temperature_optimiser=temperature_moments,
    )
