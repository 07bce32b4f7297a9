"""What residual PPO keeps between two iterations, how it starts, and its two networks."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from robot_rl.agents.networks import Normaliser, Params, init_mlp, mlp
from robot_rl.agents.ppo_config import PpoConfig
from robot_rl.agents.ppo_losses import Scaler, new_scaler
from robot_rl.core.errors import ConfigError
from robot_rl.core.specs import ActionSpec, StateSpec


class PpoState(NamedTuple):
    """All that an iteration starts from; a pytree.

    Attributes:
        normaliser: of the rows.
        actor: perceptron from rows to means of the residual; the bias of its last layer is 0 and stays so.
        critic: perceptron from rows to a value.
        actor_optimiser: Adam moments.
        critic_optimiser: likewise.
        scaler: what rewards are divided by.
        iteration: updates so far ``int32[]``.
        key: what the order of rows in minibatches is drawn from, together with the iteration ``uint32[2]``.
    """

    normaliser: Normaliser
    actor: Params
    critic: Params
    actor_optimiser: optax.OptState
    critic_optimiser: optax.OptState
    scaler: Scaler
    iteration: jax.Array
    key: jax.Array


def init(config: PpoConfig, state_spec: StateSpec, action_spec: ActionSpec, envs: int, seed: int) -> PpoState:
    """A fresh agent, which leaves every action as the base proposes it; equal seeds give bit-identical weights.

    Args:
        config: hyper-parameters.
        state_spec: layout and normalisation of what the environment tells.
        action_spec: which dimensions may be commanded, and which of them are motion.
        envs: how many environments a rollout has.
        seed: of all randomness of the agent.

    Raises:
        ConfigError: there is no motion to correct.
    """
    if not action_spec.motion:
        raise ConfigError(f"of the active dimensions {action_spec.active} none is motion: there is nothing to correct")
    inputs, commanded = state_spec.size + len(action_spec.active), np.zeros(len(action_spec.active), np.float32)

    @jax.jit  # one program: to compile the many small ones takes seconds
    def networks(key: jax.Array) -> tuple[Params, Params, jax.Array]:
        key, actor_key, critic_key = jax.random.split(key, 3)
        actor = init_mlp(actor_key, inputs, config.hidden, len(action_spec.motion), layer_norm=False)
        actor["out"] = jax.tree.map(jnp.zeros_like, actor["out"])
        critic = init_mlp(critic_key, inputs, config.hidden, 1, layer_norm=False)
        critic["out"]["b"] = jnp.full_like(critic["out"]["b"], config.value_bias)
        return actor, critic, key

    actor, critic, key = networks(jax.random.PRNGKey(seed))
    optimiser = make_optimiser(config)
    return PpoState(
        Normaliser(
            jnp.array(np.concatenate([state_spec.center, commanded])),
            jnp.array(np.concatenate([state_spec.scale, commanded + 1.0])),
        ),
        actor,
        critic,
        optimiser.init(actor),
        optimiser.init(critic),
        new_scaler(envs),
        jnp.zeros((), jnp.int32),
        key,
    )


def make_optimiser(config: PpoConfig) -> optax.GradientTransformation:
    """Adam with a step of 1, which `robot_rl.agents.ppo` shortens (Kingma and Ba 2015)."""
    return optax.chain(optax.clip_by_global_norm(config.max_gradient_norm), optax.adam(1.0))


def means_of(actor: Params, x: jax.Array) -> jax.Array:
    """Of normalised rows ``[..., n + d]``: ``[..., m]``."""
    return _batched(actor, x)


def values_of(critic: Params, x: jax.Array) -> jax.Array:
    """Of normalised rows ``[..., n + d]``: ``[...]``."""
    return _batched(critic, x)[..., 0]


def _batched(network: Params, x: jax.Array) -> jax.Array:
    y = mlp(network, x.reshape(-1, x.shape[-1]).T, "relu").T
    return y.reshape(*x.shape[:-1], y.shape[-1])
