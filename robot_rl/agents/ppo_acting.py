"""How residual PPO acts: what it sees, what it draws, what is executed, and what is saved for acting without JAX."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from robot_rl.agents.networks import normalise
from robot_rl.agents.ppo_config import PpoConfig
from robot_rl.agents.ppo_losses import log_prob
from robot_rl.agents.ppo_state import PpoState, means_of
from robot_rl.core.specs import ActionSpec, StateSpec
from robot_rl.core.types import Float32
from robot_rl.policies.edit import FORMS, SELECTIONS


def join(states: Float32, base: Float32, active: tuple[int, ...]) -> Float32:
    """Rows ``[B, n + d]`` of what the environments told ``[B, n]`` and the base's actions ``[B, 7]``."""
    return np.concatenate([states, base[:, list(active)]], axis=1).astype(np.float32, copy=False)


@jax.jit
def edit_means(state: PpoState, rows: Float32) -> jax.Array:
    """Means of the residual ``[B, m]`` for rows ``[B, n + d]``, before scale and clip."""
    return means_of(state.actor, normalise(state.normaliser, jnp.asarray(rows)))


@jax.jit
def draw_edits(state: PpoState, rows: Float32, noise: Float32, log_std: float) -> tuple[jax.Array, jax.Array]:
    """Draws of the residual ``[B, m]`` made of standard normal `noise` of that shape, and log-probabilities ``[B]``."""
    means = means_of(state.actor, normalise(state.normaliser, jnp.asarray(rows)))
    edits = means + jnp.exp(log_std) * noise
    return edits, log_prob(edits, means, log_std)


def edited(base: Float32, edits: Float32, action_spec: ActionSpec, scale: float) -> Float32:
    """What is executed: the base's actions with scaled edits of the motion, clipped to [-1, 1].

    Args:
        base: ``[B, 7]``.
        edits: of the motion ``[B, m]``; 0 leaves an action as it is, to the bit.
        action_spec: which dimensions are motion; those that are not active become 0.
        scale: see `PpoConfig`.

    Returns:
        ``float32[B, 7]``.
    """
    actions = np.zeros(base.shape, np.float32)
    active, motion = list(action_spec.active), list(action_spec.motion)
    actions[:, active] = base[:, active]
    actions[:, motion] += np.float32(scale) * np.asarray(edits, np.float32)
    return np.clip(actions, -1.0, 1.0)


def actor_params(
    state: PpoState, config: PpoConfig, state_spec: StateSpec, action_spec: ActionSpec
) -> dict[str, npt.NDArray[np.float32]]:
    """What `robot_rl.policies.edit.EditPolicy` acts with: a residual of one step that is neither squashed nor chosen.

    Args:
        state: after any number of updates.
        config: that it was made with.
        state_spec: likewise.
        action_spec: likewise.
    """
    n = state_spec.size
    layers = state.actor.items()
    arrays: dict[str, npt.ArrayLike] = {f"actor/{at}/{k}": v for at, layer in layers for k, v in layer.items()}
    arrays |= {
        "normaliser/center": state.normaliser.center[:n],
        "normaliser/scale": state.normaliser.scale[:n],
        "owned": action_spec.active,
        "tanh": 0.0,
        "edit/chunk": 1.0,
        "edit/form": float(FORMS.index("edit")),
        "edit/select": float(SELECTIONS.index("first")),
        "edit/scale": config.scale,
        "edit/sigma": config.scale * math.exp(config.log_std),
        "edit/log_std_range": (0.0, 0.0),
        "edit/sees_base": 1.0,
        "edit/bases": 0.0,
        "edit/armed": 1.0,
        "edit/critic_sees_base": 0.0,
        "edit/softmax_temperature": 1.0,
        "edit/squashed": 0.0,
    }
    return {name: np.array(value, np.float32) for name, value in arrays.items()}
