"""What agents on top of a base policy may do in a state, what it is worth, and which of it is done."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from robot_rl.agents.edit_state import Problem
from robot_rl.agents.networks import Params, mlp
from robot_rl.agents.tanh_normal import distribution, mode, sample


class Acted(NamedTuple):
    """What the actor makes of K proposals.

    Attributes:
        chunks: in [-1, 1] ``[K, h d, B]``.
        log_prob: of what was drawn ``[K, B]``; 0 where nothing was.
    """

    chunks: jax.Array
    log_prob: jax.Array


def acted(
    problem: Problem,
    actor: Params,
    x: jax.Array,
    plans: jax.Array,
    *,
    seen: jax.Array | float = 1.0,
    noise: jax.Array | None = None,
) -> Acted:
    """What the actor makes of K proposals; the mode without noise.

    Args:
        problem: what is fixed.
        actor: its parameters.
        x: normalised states ``[n, B]``.
        plans: proposals ``[K, h d, B]``.
        seen: 0 where the actor does not see them, whatever it does with them ``[B]``.
        noise: standard normal ``[m, K B]``.
    """
    k, size, rows = plans.shape
    flat = (plans * seen).transpose(1, 0, 2).reshape(size, k * rows)
    inputs, config = jnp.concatenate([jnp.tile(x, (1, k)), flat]), problem.config
    log_prob = jnp.zeros(k * rows)
    if problem.spread:
        policy = distribution(actor, inputs, config.activation, config.log_std_min, config.log_std_max)
        made = mode(policy)
        if noise is not None:
            made, log_prob = sample(policy, noise)
    else:
        made = jnp.tanh(mlp(actor, inputs, config.activation))
    made = _spread_out(problem, made, (k, size, rows))
    if problem.edit.actor == "edit":
        made = plans + problem.edit.scale * made
    if problem.edit.sigma is not None and noise is not None:
        made = made + problem.edit.sigma * _spread_out(problem, jnp.clip(noise, -2.0, 2.0), (k, size, rows))
    return Acted(jnp.clip(made, -1.0, 1.0), log_prob.reshape(k, rows))


def _spread_out(problem: Problem, values: jax.Array, shape: tuple[int, int, int]) -> jax.Array:
    """The actor's values ``[m, K B]`` in their places of the chunks ``[K, h d, B]``, zeros in the others."""
    k, size, rows = shape
    return (jnp.asarray(problem.made) @ values).reshape(size, k, rows).transpose(1, 0, 2)


def candidates(
    problem: Problem, actor: Params | None, x: jax.Array, plans: jax.Array, key: jax.Array | None = None
) -> jax.Array:
    """Everything that might be done ``[C, h d, B]``: the actor's, drawn with `key` if given, then the base's own."""
    found = []
    if actor is not None:
        here = plans[:1] if problem.edit.actor == "free" else plans
        noise = None
        if key is not None:
            noise = jax.random.normal(key, (problem.outputs, here.shape[0] * here.shape[2]))
        seen = float(problem.edit.reference_dropout < 1.0)
        found.append(acted(problem, actor, x, here, seen=seen, noise=noise).chunks)
    if problem.edit.bases:
        found.append(plans)
    return jnp.concatenate(found)


def chunk_values(problem: Problem, critic: Params, x: jax.Array, plans: jax.Array, chunks: jax.Array) -> jax.Array:
    """Q of every member for chunks ``[C, h d, B]`` in states ``[n, B]``: ``[E, C, B]``."""
    count, size, rows = chunks.shape
    seen = jnp.concatenate([x, plans[0]]) if problem.edit.critic_sees_base else x
    flat = chunks.transpose(1, 0, 2).reshape(size, count * rows)
    wide = jnp.concatenate([jnp.tile(seen, (1, count)), flat])
    return mlp(critic, wide, problem.config.activation)[:, 0, :].reshape(-1, count, rows)


def selected_value(problem: Problem, q: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Value of what would be done next, by the least of the members, and the chance of each candidate.

    Args:
        problem: what is fixed.
        q: target values ``[M, C, B]``.

    Returns:
        ``[B]`` and ``[C, B]``.
    """
    least = q.min(axis=0)
    if problem.edit.select == "first":
        chance = jnp.zeros_like(least).at[0].set(1.0)
    elif problem.edit.select == "argmax":
        chance = jax.nn.one_hot(least.argmax(axis=0), least.shape[0], axis=0)
    else:
        chance = jax.nn.softmax(least / problem.edit.softmax_temperature, axis=0)
    return (chance * least).sum(axis=0), chance
