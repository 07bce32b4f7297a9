"""Everything a learner must keep between two updates, and how it starts."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax

from robot_rl.agents.arrays import acting_params, copy_tree
from robot_rl.agents.config import SacConfig
from robot_rl.agents.encoders import encoded_size, init_encoder
from robot_rl.agents.networks import GRIPPER_COMMANDS, Normaliser, Params, init_mlp
from robot_rl.core.errors import ConfigError
from robot_rl.core.specs import NO_VIEWS, ActionSpec, StateSpec, ViewSpec


class AgentState(NamedTuple):
    """A pytree; updates take it, give it up to be reused in place, and return the next one.

    Attributes:
        actor: perceptron from states to means and log standard deviations of the owned action dimensions.
        average_actor: its running average, which is what acts and is evaluated.
        critic: ensemble from states and owned actions to one value each.
        target_critic: its Polyak average.
        encoder: what turns views into inputs of all networks (`robot_rl.agents.encoders`), or None without views.
        target_encoder: its Polyak average, which the targets see with, or None.
        average_encoder: its average over the actor's steps, with which the averaged actor acts, or None.
        temperature: the unconstrained parameter; `temperature_value` maps it to alpha.
        gripper: discrete gripper critic, or None.
        target_gripper: its Polyak average, or None.
        average_gripper: its average over the actor's steps, which acts where there are views, else None.
        actor_optimiser: Adam moments, and likewise below.
        critic_optimiser: of the ensemble.
        encoder_optimiser: of the encoder, or None.
        temperature_optimiser: of the temperature.
        gripper_optimiser: of the gripper critic, or None.
        normaliser: of the packed state.
        owned: indices of the action the continuous actor commands ``int32[d]``.
        views: ``(h, w, c)`` of what each camera gives ``int32[3]``, by name.
        key: random key ``uint32[2]``.
        updates: number of critic steps so far ``int32[]``.
    """

    actor: Params
    average_actor: Params
    critic: Params
    target_critic: Params
    encoder: Params | None
    target_encoder: Params | None
    average_encoder: Params | None
    temperature: jax.Array
    gripper: Params | None
    target_gripper: Params | None
    average_gripper: Params | None
    actor_optimiser: optax.OptState
    critic_optimiser: optax.OptState
    encoder_optimiser: optax.OptState | None
    temperature_optimiser: optax.OptState
    gripper_optimiser: optax.OptState | None
    normaliser: Normaliser
    owned: jax.Array
    views: dict[str, jax.Array]
    key: jax.Array
    updates: jax.Array


def owned_dimensions(config: SacConfig, action_spec: ActionSpec) -> tuple[int, ...]:
    """Indices of the action the continuous actor commands: the motion only when a gripper critic does the rest.

    Raises:
        ConfigError: nothing is left to command, or a gripper critic is asked for without an active gripper.
    """
    if config.gripper_critic and not action_spec.gripper_active:
        raise ConfigError(f"gripper_critic is on, but the gripper is not among the active {action_spec.active}")
    owned = action_spec.motion if config.gripper_critic else action_spec.active
    if not owned:
        raise ConfigError(f"the continuous actor owns no dimension of the active ones {action_spec.active}")
    return tuple(owned)


def target_entropy(config: SacConfig, action_spec: ActionSpec) -> float:
    """The configured one, or minus half the number of owned dimensions."""
    if config.target_entropy is not None:
        return config.target_entropy
    return -len(owned_dimensions(config, action_spec)) / 2.0


def temperature_value(config: SacConfig, parameter: jax.Array) -> jax.Array:
    """Alpha, positive, from its unconstrained parameter."""
    return jnp.exp(parameter) if config.temperature_form == "exp" else jax.nn.softplus(parameter)


def temperature_parameter(config: SacConfig) -> jax.Array:
    """The unconstrained parameter at the start."""
    alpha = config.initial_temperature
    value = math.log(alpha) if config.temperature_form == "exp" else math.log(math.expm1(alpha))
    return jnp.asarray(value, jnp.float32)


class Optimisers(NamedTuple):
    """One Adam for each network, so that a network whose turn it is not does not move."""

    actor: optax.GradientTransformation
    critic: optax.GradientTransformation
    encoder: optax.GradientTransformation
    temperature: optax.GradientTransformation
    gripper: optax.GradientTransformation


def optimisers(config: SacConfig) -> Optimisers:
    """The optimisers of a configuration (Kingma and Ba 2015)."""
    rates = (config.lr_actor, config.lr_critic, config.lr_critic, config.lr_temperature, config.lr_gripper)
    return Optimisers(*(optax.adam(rate) for rate in rates))


def init(
    config: SacConfig, state_spec: StateSpec, action_spec: ActionSpec, seed: int, views: ViewSpec = NO_VIEWS
) -> AgentState:
    """A fresh agent; the same seed gives bit-identical weights.

    Args:
        config: hyper-parameters.
        state_spec: layout and normalisation of the packed state.
        action_spec: which dimensions may be commanded.
        seed: of all randomness of the agent.
        views: what is seen of each camera.

    Raises:
        ConfigError: the gripper critic and the active dimensions do not fit.
    """
    owned = owned_dimensions(config, action_spec)
    opt = optimisers(config)
    encoder = None
    # Without views the keys are split as if there were none, so that a seed means what it would.
    key, actor_key, critic_key, gripper_key, *more = jax.random.split(
        jax.random.PRNGKey(seed), 5 if views.shapes else 4
    )
    if views.shapes:
        encoder = init_encoder(more[0], views, config.vision)
    n, d = encoded_size(views, config.vision, state_spec.size), len(owned)
    actor = init_mlp(actor_key, n, config.hidden, 2 * d, config.actor_layer_norm)
    critic = init_mlp(critic_key, n + d, config.hidden, 1, config.critic_layer_norm, config.critics)
    gripper = None
    if config.gripper_critic:
        gripper = init_mlp(gripper_key, n, config.hidden, GRIPPER_COMMANDS, config.critic_layer_norm)
    temperature = temperature_parameter(config)
    return AgentState(
        actor=actor,
        average_actor=copy_tree(actor),
        critic=critic,
        target_critic=copy_tree(critic),
        encoder=encoder,
        target_encoder=copy_tree(encoder),
        average_encoder=copy_tree(encoder),
        temperature=temperature,
        gripper=gripper,
        target_gripper=copy_tree(gripper),
        average_gripper=copy_tree(gripper) if views.shapes else None,
        actor_optimiser=opt.actor.init(actor),
        critic_optimiser=opt.critic.init(critic),
        encoder_optimiser=None if encoder is None else opt.encoder.init(encoder),
        temperature_optimiser=opt.temperature.init(temperature),
        gripper_optimiser=None if gripper is None else opt.gripper.init(gripper),
        normaliser=Normaliser(jnp.asarray(state_spec.center), jnp.asarray(state_spec.scale)),
        owned=jnp.asarray(owned, jnp.int32),
        views={name: jnp.asarray(shape, jnp.int32) for name, shape in views.shapes},
        key=key,
        updates=jnp.zeros((), jnp.int32),
    )


def actor_params(state: AgentState, config: SacConfig) -> dict[str, npt.NDArray[np.float32]]:
    """What `robot_rl.policies.gaussian.GaussianPolicy` needs, as flat float32 arrays.

    With views everything that acts is averaged alike, encoder, actor and gripper critic, so that they fit each other:
    an averaged actor would misread the features of the newest encoder.

    Args:
        state: the agent.
        config: its hyper-parameters.

    Returns:
        As `robot_rl.agents.arrays.acting_params`.
    """
    return acting_params(
        state.average_actor,
        state.normaliser,
        state.owned,
        tanh=config.activation == "tanh",
        log_std_range=(config.log_std_min, config.log_std_max),
        encoder=state.average_encoder,
        views=state.views,
        gripper=state.gripper if state.average_gripper is None else state.average_gripper,
        gripper_epsilon=config.gripper_epsilon,
    )
