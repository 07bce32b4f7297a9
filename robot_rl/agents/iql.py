"""Implicit Q-learning from stored data, and on from there (IQL, Kostrikov et al. 2021, arXiv 2110.06169).

A state's value is an expectile of what the stored actions are worth there, so no action is ever valued that the data
does not hold. The policy imitates the stored actions, the more the better they are. Each minibatch makes, in this
order, a step of the value towards the target critics, of the actor by target critics and new value, and of the critics
towards the new value. The names are those of `robot_rl.agents.sac`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax

from robot_rl.agents import losses, offline_losses
from robot_rl.agents.arrays import acting_params, copy_tree
from robot_rl.agents.compiler import compiler_options
from robot_rl.agents.config import SacConfig
from robot_rl.agents.networks import Normaliser, Params, init_mlp, mlp, normalise, q_values
from robot_rl.agents.offline_config import IqlConfig
from robot_rl.agents.state import owned_dimensions
from robot_rl.agents.updates import Info, Update, all_finite, check_shapes, descend, polyak
from robot_rl.core.errors import ConfigError
from robot_rl.core.specs import NO_VIEWS, ActionSpec, StateSpec, ViewSpec
from robot_rl.core.transition import Batch


class IqlState(NamedTuple):
    """A pytree; updates take it, give it up to be reused in place, and return the next one.

    Attributes:
        actor: ``net``, a perceptron from states to means before tanh of the owned dimensions, and ``log_std`` ``[d]``,
            the same in every state.
        average_actor: its running average, which is what acts and is evaluated.
        critic: ensemble from states and owned actions to one value each.
        target_critic: its Polyak average.
        value: perceptron from states to their value.
        actor_optimiser: Adam moments, and likewise below.
        critic_optimiser: of the ensemble.
        value_optimiser: of the value.
        normaliser: of the packed state.
        owned: indices of the action the actor commands ``int32[d]``.
    """

    actor: Params
    average_actor: Params
    critic: Params
    target_critic: Params
    value: Params
    actor_optimiser: optax.OptState
    critic_optimiser: optax.OptState
    value_optimiser: optax.OptState
    normaliser: Normaliser
    owned: jax.Array


class _Optimisers(NamedTuple):
    actor: optax.GradientTransformation
    critic: optax.GradientTransformation
    value: optax.GradientTransformation


def _optimisers(config: SacConfig, options: IqlConfig) -> _Optimisers:
    rate: Any = config.lr_actor
    if options.actor_decay_steps:
        rate = optax.cosine_decay_schedule(config.lr_actor, options.actor_decay_steps)
    return _Optimisers(optax.adam(rate), optax.adam(config.lr_critic), optax.adam(config.lr_critic))


def check(config: SacConfig, views: ViewSpec) -> None:
    """Check that implicit Q-learning can do what is asked.

    Raises:
        ConfigError: a gripper critic is asked for, or views.
    """
    if config.gripper_critic:
        raise ConfigError("iql's actor commands the gripper too: leave agent.gripper_critic off")
    if views.cameras:
        raise ConfigError(f"iql learns from the state alone, got views of {list(views.cameras)}: leave them out")


def init(
    config: SacConfig,
    state_spec: StateSpec,
    action_spec: ActionSpec,
    seed: int,
    views: ViewSpec = NO_VIEWS,
    *,
    options: IqlConfig,
) -> IqlState:
    """A fresh agent; the same seed gives bit-identical weights.

    Args:
        config: networks and rates.
        state_spec: layout and normalisation of the packed state.
        action_spec: which dimensions may be commanded.
        seed: of the weights.
        views: of which there can be none.
        options: of implicit Q-learning.

    Raises:
        ConfigError: a gripper critic or views are asked for, or nothing may be commanded.
    """
    check(config, views)
    owned = owned_dimensions(config, action_spec)
    opt = _optimisers(config, options)
    actor_key, critic_key, value_key = jax.random.split(jax.random.PRNGKey(seed), 3)
    n, d = state_spec.size, len(owned)
    net = init_mlp(actor_key, n, config.hidden, d, config.actor_layer_norm)
    actor = {"net": net, "log_std": jnp.zeros(d, jnp.float32)}
    critic = init_mlp(critic_key, n + d, config.hidden, 1, config.critic_layer_norm, config.critics)
    value = init_mlp(value_key, n, config.hidden, 1, config.critic_layer_norm)
    return IqlState(
        actor=actor,
        average_actor=copy_tree(actor),
        critic=critic,
        target_critic=copy_tree(critic),
        value=value,
        actor_optimiser=opt.actor.init(actor),
        critic_optimiser=opt.critic.init(critic),
        value_optimiser=opt.value.init(value),
        normaliser=Normaliser(jnp.asarray(state_spec.center), jnp.asarray(state_spec.scale)),
        owned=jnp.asarray(owned, jnp.int32),
    )


class _Rows(NamedTuple):
    """One slice, features before rows: states ``[n, B]``, owned actions ``[d, B]``, the rest ``[B]``."""

    x: jax.Array
    action: jax.Array
    reward: jax.Array
    discount: jax.Array
    next_x: jax.Array


class _Problem(NamedTuple):
    config: SacConfig
    options: IqlConfig
    optimisers: _Optimisers


def make_update(
    config: SacConfig,
    state_spec: StateSpec,
    action_spec: ActionSpec,
    views: ViewSpec = NO_VIEWS,
    *,
    options: IqlConfig,
    critic_only: bool = False,
) -> Update:
    """Compile-on-first-use update of one group of minibatches: value, actor and critics step on each.

    Args:
        config: networks and rates.
        state_spec: layout of the packed state.
        action_spec: which dimensions may be commanded.
        views: of which there can be none.
        options: of implicit Q-learning.
        critic_only: without meaning here, where warm-up on stored data is the whole of it.

    Returns:
        ``update(state, batch) -> (state, info)``. The given state is consumed. ``info`` holds scalars, means over the
        group: ``value_loss value_mean advantage_mean weight_mean weights_clipped`` (share of rows) ``actor_loss
        critic_loss q_mean q_min q_max target_mean``, and ``skipped``: 1 when a number was not finite and the state
        was left as it was.

    Raises:
        ConfigError: a gripper critic or views are asked for, or nothing may be commanded.
        DataError: from the returned function, the batch does not have the shapes of the specifications.
    """
    check(config, views)
    owned = jnp.array(owned_dimensions(config, action_spec))
    problem = _Problem(config, options, _optimisers(config, options))

    def update(state: IqlState, batch: Batch) -> tuple[IqlState, Info]:
        check_shapes(batch, state_spec.size)
        rows = _Rows(
            x=normalise(state.normaliser, jnp.asarray(batch.state)).swapaxes(1, 2),
            action=jnp.asarray(batch.action)[..., owned].swapaxes(1, 2),
            reward=jnp.asarray(batch.reward),
            discount=jnp.asarray(batch.discount),
            next_x=normalise(state.normaliser, jnp.asarray(batch.next_state)).swapaxes(1, 2),
        )
        new, info = jax.lax.scan(lambda s, item: _step(problem, s, item), state, rows)
        info = {name: values.mean() for name, values in info.items()}
        finite = all_finite((new.actor, new.critic, new.value, info))
        kept: IqlState = jax.lax.cond(finite, lambda new, _: new, lambda _, old: old, new, state)
        return kept, info | {"skipped": 1.0 - finite.astype(jnp.float32)}

    return jax.jit(update, donate_argnums=0, compiler_options=compiler_options())


def _step(problem: _Problem, state: IqlState, item: _Rows) -> tuple[IqlState, Info]:
    config = problem.config
    q = q_values(state.target_critic, item.x, item.action, config.activation).min(axis=0)
    state, info = _value_step(problem, state, item, q)
    value = mlp(state.value, item.x, config.activation)[0]
    state, actor_info = _actor_step(problem, state, item, q - value)
    state, critic_info = _critic_step(problem, state, item)
    return state, info | actor_info | critic_info


def _value_step(problem: _Problem, state: IqlState, item: _Rows, q: jax.Array) -> tuple[IqlState, Info]:
    def loss(params: Params) -> tuple[jax.Array, jax.Array]:
        value = mlp(params, item.x, problem.config.activation)[0]
        return offline_losses.expectile_loss(q - value, problem.options.expectile), value

    (cost, value), gradient = jax.value_and_grad(loss, has_aux=True)(state.value)
    params, moments = descend(problem.optimisers.value, gradient, state.value_optimiser, state.value)
    return state._replace(value=params, value_optimiser=moments), {"value_loss": cost, "value_mean": value.mean()}


def _actor_step(problem: _Problem, state: IqlState, item: _Rows, advantage: jax.Array) -> tuple[IqlState, Info]:
    config, options = problem.config, problem.options
    weights = offline_losses.advantage_weights(advantage, options.temperature, options.highest_weight)

    def loss(actor: Params) -> jax.Array:
        mean = jnp.tanh(mlp(actor["net"], item.x, config.activation))
        log_std = jnp.clip(actor["log_std"], options.log_std_min, options.log_std_max)
        return -(weights * offline_losses.gaussian_log_prob(mean, log_std, item.action)).mean()

    cost, gradient = jax.value_and_grad(loss)(state.actor)
    actor, moments = descend(problem.optimisers.actor, gradient, state.actor_optimiser, state.actor)
    average = polyak(state.average_actor, actor, 1.0 - config.actor_average)
    info = {
        "actor_loss": cost,
        "advantage_mean": advantage.mean(),
        "weight_mean": weights.mean(),
        "weights_clipped": (weights >= 0.999 * options.highest_weight).mean(),
    }
    return state._replace(actor=actor, average_actor=average, actor_optimiser=moments), info


def _critic_step(problem: _Problem, state: IqlState, item: _Rows) -> tuple[IqlState, Info]:
    config = problem.config
    target = item.reward + item.discount * mlp(state.value, item.next_x, config.activation)[0]
    if config.q_range is not None:
        target = jnp.clip(target, *config.q_range)

    def loss(critic: Params) -> tuple[jax.Array, jax.Array]:
        q = q_values(critic, item.x, item.action, config.activation)
        return losses.critic_loss(q, target), q

    (cost, q), gradient = jax.value_and_grad(loss, has_aux=True)(state.critic)
    critic, moments = descend(problem.optimisers.critic, gradient, state.critic_optimiser, state.critic)
    target_critic = polyak(state.target_critic, critic, config.tau)
    info = {
        "critic_loss": cost,
        "q_mean": q.mean(),
        "q_min": q.min(),
        "q_max": q.max(),
        "target_mean": target.mean(),
    }
    return state._replace(critic=critic, target_critic=target_critic, critic_optimiser=moments), info


def actor_params(state: IqlState, config: SacConfig, *, options: IqlConfig) -> Mapping[str, npt.NDArray[np.float32]]:
    """What `robot_rl.policies.gaussian.GaussianPolicy` needs.

    That policy adds its noise before tanh, the one that was fitted after it: the mode is the same, and practice stays
    within the action's bounds.

    Args:
        state: the agent.
        config: its networks.
        options: bounds of the noise.
    """
    actor = state.average_actor
    log_std = jnp.clip(actor["log_std"], options.log_std_min, options.log_std_max)
    out = actor["net"]["out"]
    last = {"w": jnp.concatenate([out["w"], jnp.zeros_like(out["w"])]), "b": jnp.concatenate([out["b"], log_std])}
    return acting_params(
        actor["net"] | {"out": last},
        state.normaliser,
        state.owned,
        tanh=config.activation == "tanh",
        log_std_range=(options.log_std_min, options.log_std_max),
    )
