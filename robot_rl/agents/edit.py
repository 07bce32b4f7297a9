"""Propose and select on top of a frozen base policy: edits of its plans, the best of several, chunks of actions.

A state row ends with what the base proposes there (`robot_rl.core.base.plan_part`), so that this needs no base. In a
state the candidates are, in this order, the actor's and the base's own; `EditConfig.select` says which is done, here in
the target of the critics, by their Polyak averages, and in `robot_rl.policies.edit` in the cell, by the critics
themselves. The names are those of `robot_rl.agents.sac`.

Until the actor has made a step the base acts: its last layer begins at zero, and so a change of a proposal is zero to
the bit (Ankile et al. 2025, arXiv 2509.19301, section 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax

from robot_rl.agents import losses
from robot_rl.agents.arrays import named_arrays
from robot_rl.agents.compiler import compiler_options
from robot_rl.agents.config import SacConfig
from robot_rl.agents.edit_config import EditConfig
from robot_rl.agents.edit_proposals import acted, candidates, chunk_values, selected_value
from robot_rl.agents.edit_state import EditState, Problem, init, set_up
from robot_rl.agents.networks import Params, choose_members, normalise
from robot_rl.agents.state import temperature_value
from robot_rl.agents.updates import Info, Update, all_finite, check_shapes, descend, polyak
from robot_rl.core.errors import DataError
from robot_rl.core.specs import NO_VIEWS, ActionSpec, StateSpec, ViewSpec
from robot_rl.core.transition import Batch, ChunkBatch

__all__ = ["EditState", "actor_params", "init", "make_update"]


class _Rows(NamedTuple):
    """One slice of a batch, features before rows."""

    x: jax.Array  # [n, B]
    plans: jax.Array  # [K, h d, B]
    action: jax.Array  # [h d, B]
    valid: jax.Array  # [h d, B]
    guided: jax.Array  # [h d, B]
    reward: jax.Array  # [B]
    discount: jax.Array  # [B]
    next_x: jax.Array  # [n, B]
    next_plans: jax.Array  # [K, h d, B]
    key: jax.Array


def make_update(
    config: SacConfig,
    state_spec: StateSpec,
    action_spec: ActionSpec,
    views: ViewSpec = NO_VIEWS,
    *,
    options: EditConfig,
    critic_only: bool = False,
) -> Update:
    """Compile-on-first-use update of one group of minibatches: a critic step on each, actor steps on the last.

    Args:
        config: networks and what concerns critics.
        state_spec: layout of the state row, which ends with the plans.
        action_spec: which dimensions may be commanded.
        views: must be none.
        options: what is proposed and selected.
        critic_only: leave the actor exactly as it is, and let the base act: the first two phases of the warm-up.

    Returns:
        ``update(state, batch) -> (state, info)``, where the batch is a `ChunkBatch`. ``info`` holds scalars, means over
        the group: ``q_mean q_min q_max target_mean td_error critic_loss q_outside target_clipped base_chosen`` (share
        of target actions that are the base's own), of the actor ``actor_loss edit_size anchor_loss entropy
        temperature``, 0 where it did not move, and ``skipped``: 1 when a number was not finite and the state was left
        as it was.

    Raises:
        ConfigError: as `set_up`.
        DataError: from the returned function, the batch does not have the shapes of the specifications.
    """
    problem = set_up(config, options, state_spec, action_spec, views)

    def update(state: EditState, given: ChunkBatch) -> tuple[EditState, Info]:
        before = state
        key, group_key, actor_key = jax.random.split(state.key, 3)
        rows = cut(problem, state, given, group_key, state_spec.size)
        if len(rows.reward) < config.actor_steps:
            raise DataError(
                f"the batch has {len(rows.reward)} slices, expected actor_steps={config.actor_steps} or more"
            )
        state, info = jax.lax.scan(lambda s, item: _critic_step(problem, s, item), state, rows)
        info = {name: values.mean() for name, values in info.items()}
        info |= dict.fromkeys(_ACTOR_INFO, jnp.zeros(())) if state.actor is not None else {}
        if not critic_only:
            state = state._replace(armed=jnp.ones((), jnp.int32))
            if state.actor is not None:
                last = jax.tree.map(lambda leaf: leaf[-config.actor_steps :], rows)
                keys = jax.random.split(actor_key, config.actor_steps)
                state, more = jax.lax.scan(lambda s, item: _actor_step(problem, s, *item), state, (last, keys))
                info |= {name: values.mean() for name, values in more.items()}
        finite = all_finite((state.actor, state.critic, info))
        kept: EditState = jax.lax.cond(finite, lambda new, _: new, lambda _, old: old, state, before)
        return kept._replace(key=key), info | {"skipped": 1.0 - finite.astype(jnp.float32)}

    return jax.jit(update, donate_argnums=0, compiler_options=compiler_options())


def cut(problem: Problem, state: EditState, given: ChunkBatch, key: jax.Array, state_size: int) -> _Rows:
    """Prepare a group of minibatches.

    Raises:
        DataError: it does not have the shapes of the specifications.
    """
    if not isinstance(given, ChunkBatch) or not isinstance(given.batch, Batch):
        raise DataError(f"got a {type(given).__name__}, expected a ChunkBatch of states: draw with chunk=h")
    batch, owned, h = given.batch, jnp.array(problem.owned), problem.edit.chunk
    check_shapes(batch, state_size)
    utd, rows = batch.reward.shape
    if given.actions.shape[:3] != (utd, rows, h):
        raise DataError(f"batch.actions has shape {given.actions.shape}, expected {(utd, rows, h, 7)}")

    def own(state_rows: Any) -> jax.Array:
        return normalise(state.normaliser, jnp.asarray(state_rows)[..., : problem.own]).swapaxes(1, 2)

    def plans(state_rows: Any) -> jax.Array:
        shaped = jnp.asarray(state_rows)[..., problem.own :].reshape(utd, rows, problem.proposals, h, -1)[..., owned]
        return shaped.reshape(utd, rows, problem.proposals, problem.size).transpose(0, 2, 3, 1)

    def each(marks: Any) -> jax.Array:
        """One mark a step ``[utd, B, h]`` as one a value ``[utd, h d, B]``."""
        return jnp.repeat(jnp.asarray(marks), len(problem.owned), axis=-1).swapaxes(1, 2)

    return _Rows(
        x=own(batch.state),
        plans=plans(batch.state),
        action=jnp.asarray(given.actions)[..., owned].reshape(utd, rows, problem.size).swapaxes(1, 2),
        valid=each(given.valid),
        guided=each(given.guided),
        reward=jnp.asarray(batch.reward),
        discount=jnp.asarray(batch.discount),
        next_x=own(batch.next_state),
        next_plans=plans(batch.next_state),
        key=jax.random.split(key, utd),
    )


def _critic_step(problem: Problem, state: EditState, item: _Rows) -> tuple[EditState, Info]:
    config, edit = problem.config, problem.edit
    member_key, noise_key = jax.random.split(item.key)
    chunks = candidates(problem, state.average_actor, item.next_x, item.next_plans, noise_key)
    members = choose_members(state.target_critic, member_key, config.critics, config.subset)
    following, chance = selected_value(problem, chunk_values(problem, members, item.next_x, item.next_plans, chunks))
    target = losses.td_target(
        item.reward, item.discount, following[None], jnp.zeros_like(item.reward), jnp.zeros(()),
        backup_entropy=False, q_range=config.q_range,
    )  # fmt: skip

    def loss(critic: Params) -> tuple[jax.Array, jax.Array]:
        q = chunk_values(problem, critic, item.x, item.plans, item.action[None])[:, 0]
        return losses.critic_loss(q, target), q

    (value, q), gradient = jax.value_and_grad(loss, has_aux=True)(state.critic)
    critic, moments = descend(optax.adam(config.lr_critic), gradient, state.critic_optimiser, state.critic)
    state = state._replace(
        critic=critic,
        critic_optimiser=moments,
        target_critic=polyak(state.target_critic, critic, config.tau),
        updates=state.updates + 1,
    )
    own = problem.proposals if edit.bases else 0
    low, high = config.q_range if config.q_range is not None else (-jnp.inf, jnp.inf)
    return state, {
        "critic_loss": value,
        "q_mean": q.mean(),
        "q_min": q.min(),
        "q_max": q.max(),
        "target_mean": target.mean(),
        "td_error": jnp.abs(q - target).mean(),
        "q_outside": ((q < low) | (q > high)).mean(),
        "target_clipped": ((target <= low) | (target >= high)).mean(),
        "base_chosen": chance[chance.shape[0] - own :].sum(axis=0).mean() if own else jnp.zeros(()),
    }


def _actor_step(problem: Problem, state: EditState, item: _Rows, key: jax.Array) -> tuple[EditState, Info]:
    edit, config = problem.edit, problem.config
    which_key, drop_key, noise_key = jax.random.split(key, 3)
    which = jax.random.randint(which_key, item.reward.shape, 0, problem.proposals)
    plan = jnp.take_along_axis(item.plans, which[None, None, :], axis=0)
    seen = (jax.random.uniform(drop_key, item.reward.shape) >= edit.reference_dropout).astype(jnp.float32)
    noise = jax.random.normal(noise_key, (problem.outputs, len(item.reward))) if problem.spread else None
    reference = jnp.where(item.guided > 0.0, item.action, plan[0])
    counts = item.valid * problem.made.sum(axis=1, keepdims=True)
    alpha = temperature_value(config, state.temperature)

    def loss(actor: Params) -> tuple[jax.Array, Info]:
        made = acted(problem, actor, item.x, plan, seen=seen, noise=noise)
        q = chunk_values(problem, state.critic, item.x, item.plans, made.chunks)[:, 0].mean(axis=0)
        scale = jax.lax.stop_gradient(1.0 / (jnp.abs(q).mean() + 1e-3)) if edit.normalise_q else 1.0
        anchor = (jnp.square(made.chunks[0] - reference) * counts).sum() / jnp.maximum(counts.sum(), 1.0)
        log_prob = made.log_prob.mean()
        value = -scale * q.mean() + edit.anchor * anchor + jax.lax.stop_gradient(alpha) * log_prob
        size = jnp.abs(made.chunks - plan).mean()
        return value, {"anchor_loss": anchor, "edit_size": size, "actor_loss": value, "entropy": -log_prob}

    gradient, info = jax.grad(loss, has_aux=True)(state.actor)
    actor, moments = descend(optax.adam(edit.lr_actor), gradient, state.actor_optimiser, state.actor)
    average = polyak(state.average_actor, actor, 1.0 - config.actor_average)
    state = state._replace(actor=actor, average_actor=average, actor_optimiser=moments)
    if problem.spread:
        slope = jax.grad(
            lambda parameter: losses.temperature_loss(
                temperature_value(config, parameter), info["entropy"], problem.entropy
            )
        )(state.temperature)
        by = optax.adam(config.lr_temperature)
        temperature, moments = descend(by, slope, state.temperature_optimiser, state.temperature)
        state = state._replace(temperature=temperature, temperature_optimiser=moments)
    return state, info | {"temperature": alpha}


_ACTOR_INFO = ("actor_loss", "anchor_loss", "edit_size", "entropy", "temperature")


def actor_params(state: EditState, config: SacConfig, *, options: EditConfig) -> Mapping[str, npt.NDArray[np.float32]]:
    """What `robot_rl.policies.edit.EditPolicy` needs, as flat float32 arrays."""
    trees: dict[str, Any] = {
        "normaliser": state.normaliser,
        "owned": state.owned,
        "edit/chunk": options.chunk,
        "edit/scale": options.scale,
        "edit/sigma": -1.0 if options.sigma is None else options.sigma,
        "edit/log_std_range": np.array([config.log_std_min, config.log_std_max]),
        "edit/form": ("edit", "free", "none").index(options.actor),
        "edit/sees_base": float(options.reference_dropout < 1.0),
        "edit/bases": options.bases,
        "edit/select": ("first", "argmax", "softmax").index(options.select),
        "edit/softmax_temperature": options.softmax_temperature,
        "edit/critic_sees_base": options.critic_sees_base,
        "edit/armed": state.armed,
        "tanh": config.activation == "tanh",
    }
    if state.average_actor is not None:
        trees["actor"] = state.average_actor
    if options.select != "first":
        trees["critic"] = state.critic
    return named_arrays(trees)
