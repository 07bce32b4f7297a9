"""What the critics think of a step: shown to people who watch, never used to learn."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from robot_rl.agents.config import SacConfig
from robot_rl.agents.networks import Activation, Normaliser, Params, normalise, q_values
from robot_rl.agents.state import AgentState
from robot_rl.core.types import Float32


def step_value(config: SacConfig, agent: AgentState, state: Float32, action: Float32) -> jax.Array:
    """Mean over the ensemble of Q of one executed step, a scalar that may not be ready yet.

    Args:
        config: of the agent.
        agent: its parameters; still valid afterwards.
        state: packed state ``[n]``.
        action: executed ``[7]``.
    """
    value: jax.Array = _mean_q(config.activation, agent.critic, agent.normaliser, agent.owned, state, action)
    return value


@partial(jax.jit, static_argnums=0)
def _mean_q(
    activation: Activation, critic: Params, normaliser: Normaliser, owned: jax.Array, state: Float32, action: Float32
) -> jax.Array:
    x = normalise(normaliser, jnp.asarray(state))[:, None]
    return q_values(critic, x, jnp.take(action, owned)[:, None], activation).mean()
