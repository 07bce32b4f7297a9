"""Behavioural cloning of demonstrations and operator steps with the same actor network, and no critic.

Fed with demonstrations alone it is the plain baseline; fed with the steps of operators who take over from it as well,
it is HG-DAgger (Kelly et al. 2019, arXiv 1810.02890): the novice acts, a person takes over where it errs, and what the
person does there is added to what is cloned. The names are those of `robot_rl.agents.sac`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax

from robot_rl.agents import losses
from robot_rl.agents.arrays import acting_params, copy_tree
from robot_rl.agents.compiler import compiler_options
from robot_rl.agents.config import SacConfig
from robot_rl.agents.networks import GRIPPER_COMMANDS, Normaliser, Params, gripper_values, init_mlp, normalise
from robot_rl.agents.state import owned_dimensions
from robot_rl.agents.tanh_normal import distribution, mode
from robot_rl.agents.updates import Info, Update, all_finite, check_shapes, descend, polyak
from robot_rl.core.specs import ActionSpec, StateSpec
from robot_rl.core.transition import Batch

NO_NOISE = -20.0
"""Log standard deviation of a cloned policy: it acts with its mode, also while it practises."""


class BcState(NamedTuple):
    """A pytree; updates take it, give it up to be reused in place, and return the next one.

    Attributes:
        actor: perceptron from states to means and log standard deviations of the owned dimensions; the latter, which
            the network of `robot_rl.policies.gaussian` has, are not trained.
        average_actor: its running average, which is what acts and is evaluated.
        gripper: perceptron from states to a score for each gripper command, or None.
        average_gripper: its running average, or None.
        actor_optimiser: Adam moments.
        gripper_optimiser: likewise, or None.
        normaliser: of the packed state.
        owned: indices of the action the actor commands ``int32[d]``.
    """

    actor: Params
    average_actor: Params
    gripper: Params | None
    average_gripper: Params | None
    actor_optimiser: optax.OptState
    gripper_optimiser: optax.OptState | None
    normaliser: Normaliser
    owned: jax.Array


def init(config: SacConfig, state_spec: StateSpec, action_spec: ActionSpec, seed: int) -> BcState:
    """A fresh policy; the same seed gives bit-identical weights.

    Args:
        config: of it, what concerns actor and gripper.
        state_spec: layout and normalisation of the packed state.
        action_spec: which dimensions may be commanded.
        seed: of the weights.

    Raises:
        ConfigError: the gripper critic and the active dimensions do not fit.
    """
    owned = owned_dimensions(config, action_spec)
    actor_key, gripper_key = jax.random.split(jax.random.PRNGKey(seed))
    n = state_spec.size
    actor = init_mlp(actor_key, n, config.hidden, 2 * len(owned), config.actor_layer_norm)
    gripper = None
    if config.gripper_critic:
        gripper = init_mlp(gripper_key, n, config.hidden, GRIPPER_COMMANDS, config.actor_layer_norm)
    return BcState(
        actor=actor,
        average_actor=copy_tree(actor),
        gripper=gripper,
        average_gripper=copy_tree(gripper),
        actor_optimiser=optax.adam(config.lr_actor).init(actor),
        gripper_optimiser=None if gripper is None else optax.adam(config.lr_gripper).init(gripper),
        normaliser=Normaliser(jnp.asarray(state_spec.center), jnp.asarray(state_spec.scale)),
        owned=jnp.asarray(owned, jnp.int32),
    )


class _Rows(NamedTuple):
    """One slice: normalised states ``[n, B]``, owned actions ``[d, B]``, gripper commands as classes ``int32[B]``."""

    x: jax.Array
    action: jax.Array
    gripper_label: jax.Array


def make_update(
    config: SacConfig, state_spec: StateSpec, action_spec: ActionSpec, *, critic_only: bool = False
) -> Update:
    """Compile-on-first-use update of one group of minibatches, an actor step on each.

    Args:
        config: of it, what concerns actor and gripper.
        state_spec: layout of the packed state.
        action_spec: which dimensions may be commanded.
        critic_only: without meaning here, where warm-up is nothing else.

    Returns:
        ``update(state, batch) -> (state, info)``. The given state is consumed. ``info`` holds scalars, means over the
        group: ``actor_loss``, with a gripper critic ``gripper_loss``, and ``skipped``: 1 when a number was not finite
        and the state was left as it was.

    Raises:
        ConfigError: the gripper critic and the active dimensions do not fit.
        DataError: from the returned function, the batch does not have the shapes of the specifications.
    """
    owned = jnp.array(owned_dimensions(config, action_spec))

    def update(state: BcState, batch: Batch) -> tuple[BcState, Info]:
        check_shapes(batch, state_spec.size)
        action = jnp.asarray(batch.action)
        rows = _Rows(
            x=normalise(state.normaliser, jnp.asarray(batch.state)).swapaxes(1, 2),
            action=action[..., owned].swapaxes(1, 2),
            gripper_label=losses.gripper_labels(action),
        )
        new, info = jax.lax.scan(lambda s, item: _step(config, s, item), state, rows)
        info = {name: values.mean() for name, values in info.items()}
        finite = all_finite((new.actor, new.gripper, info))
        kept: BcState = jax.lax.cond(finite, lambda new, _: new, lambda _, old: old, new, state)
        return kept, info | {"skipped": 1.0 - finite.astype(jnp.float32)}

    return jax.jit(update, donate_argnums=0, compiler_options=compiler_options())


def _step(config: SacConfig, state: BcState, item: _Rows) -> tuple[BcState, Info]:
    def loss(actor: Params) -> jax.Array:
        policy = distribution(actor, item.x, config.activation, config.log_std_min, config.log_std_max)
        return losses.cloning_loss(mode(policy), item.action)

    value, gradient = jax.value_and_grad(loss)(state.actor)
    actor, moments = descend(optax.adam(config.lr_actor), gradient, state.actor_optimiser, state.actor)
    average = polyak(state.average_actor, actor, 1.0 - config.actor_average)
    state = state._replace(actor=actor, average_actor=average, actor_optimiser=moments)
    info = {"actor_loss": value}
    if config.gripper_critic:
        state, info["gripper_loss"] = _gripper_step(config, state, item)
    return state, info


def _gripper_step(config: SacConfig, state: BcState, item: _Rows) -> tuple[BcState, jax.Array]:
    def loss(gripper: Params) -> jax.Array:
        return losses.gripper_cloning_loss(gripper_values(gripper, item.x, config.activation), item.gripper_label)

    value, gradient = jax.value_and_grad(loss)(state.gripper)
    gripper, moments = descend(optax.adam(config.lr_gripper), gradient, state.gripper_optimiser, state.gripper)
    average = polyak(state.average_gripper, gripper, 1.0 - config.actor_average)
    return state._replace(gripper=gripper, average_gripper=average, gripper_optimiser=moments), value


def actor_params(state: BcState, config: SacConfig) -> Mapping[str, npt.NDArray[np.float32]]:
    """What `robot_rl.policies.gaussian.GaussianPolicy` needs; it will act with the mode and the likeliest command."""
    return acting_params(
        state.average_actor,
        state.normaliser,
        state.owned,
        tanh=config.activation == "tanh",
        log_std_range=(NO_NOISE, NO_NOISE),
        gripper=state.average_gripper,
        gripper_epsilon=0.0,
    )
