"""What the critics think of a step: shown to people who watch, never used to learn."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy.typing as npt

from robot_rl.agents.config import SacConfig
from robot_rl.agents.encoders import encode
from robot_rl.agents.networks import Activation, Normaliser, Params, normalise, q_values
from robot_rl.agents.state import AgentState
from robot_rl.core.types import Float32


def step_value(
    config: SacConfig,
    agent: AgentState,
    state: Float32,
    action: Float32,
    views: Mapping[str, npt.NDArray[Any]] | None = None,
) -> jax.Array:
    """Mean over the ensemble of Q of one executed step, a scalar that may not be ready yet.

    Args:
        config: of the agent.
        agent: its parameters; still valid afterwards.
        state: packed state ``[n]``.
        action: executed ``[7]``.
        views: ``[h, w, c]`` of each camera the agent sees.
    """
    seen = (agent.encoder or {}, {name: view[None] for name, view in (views or {}).items()})
    value: jax.Array = _mean_q(config.activation, agent.critic, *seen, agent.normaliser, agent.owned, state, action)
    return value


@partial(jax.jit, static_argnums=0)
def _mean_q(
    activation: Activation,
    critic: Params,
    encoder: Params,
    views: dict[str, jax.Array],
    normaliser: Normaliser,
    owned: jax.Array,
    state: Float32,
    action: Float32,
) -> jax.Array:
    x = encode(encoder, views, normalise(normaliser, jnp.asarray(state))[:, None])
    return q_values(critic, x, jnp.take(action, owned)[:, None], activation).mean()
