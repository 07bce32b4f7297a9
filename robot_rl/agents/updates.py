"""Steps that the update calls of all algorithms are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import optax

from robot_rl.core.errors import DataError
from robot_rl.core.specs import ACTION_SIZE
from robot_rl.core.transition import Batch, ReturnsBatch, ViewBatch

State = TypeVar("State")
Info = dict[str, jax.Array]
Update = Callable[[Any, Batch | ViewBatch | ReturnsBatch], tuple[Any, Info]]
"""Takes an agent's state, which it consumes, and a batch ``[utd, B, ...]``, with views where the agent sees; gives the
new state and scalars."""


def check_shapes(batch: Batch, state_size: int) -> None:
    """Check the shapes of a batch. Runs while tracing, so it costs nothing per call.

    Raises:
        DataError: naming the array that does not have ``[utd, B]`` rows of the right size.
    """
    lead = jnp.shape(batch.reward)
    expected = {"state": (state_size,), "next_state": (state_size,), "action": (ACTION_SIZE,)}
    for name, value in zip(Batch._fields, batch, strict=True):
        wanted = (*lead, *expected.get(name, ()))
        if len(lead) != 2 or jnp.shape(value) != wanted:
            raise DataError(f"batch.{name} has shape {jnp.shape(value)}, expected [utd, B] rows of {wanted[2:]}")


def descend(optimiser: optax.GradientTransformation, gradient: Any, moments: Any, params: Any) -> tuple[Any, Any]:
    """One step of an optimiser: new parameters and moments."""
    change, moments = optimiser.update(gradient, moments, params)
    return optax.apply_updates(params, change), moments


def polyak(average: Any, params: Any, tau: float) -> Any:
    """A running average moved by the share `tau` towards `params`."""
    return jax.tree.map(lambda a, p: a + tau * (p - a), average, params)


def all_finite(tree: Any) -> jax.Array:
    """Whether every floating-point number of a tree is finite, a scalar."""
    floats = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in floats]).all()


def move_if_finite(sound: jax.Array | None, gradient: Any, move: Callable[[State], State], state: State) -> State:
    """``move(state)`` if the rows are `sound` and the gradient is finite, otherwise the state as it was.

    Known before the move, so that XLA moves in place. To choose between two states that exist it copies both, which
    takes longer than all that is computed where networks are large.

    Args:
        sound: a scalar, or None where the caller chooses later: then the move is made.
        gradient: along which it goes.
        move: what to do.
        state: from where.
    """
    if sound is None:
        return move(state)
    kept: State = jax.lax.cond(sound & all_finite(gradient), move, lambda old: old, state)
    return kept
