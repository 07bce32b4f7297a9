"""Behavioural cloning of demonstrations and operator steps with the same actor network, and no critic.

Fed with demonstrations alone it is the plain baseline; fed with the steps of operators who take over from it as well,
it is HG-DAgger (Kelly et al. 2019, arXiv 1810.02890): the novice acts, a person takes over where it errs, and what the
person does there is added to what is cloned. With views the encoder learns from what is cloned, by actor and gripper
together; there is no critic that could teach it. The names are those of `robot_rl.agents.sac`.
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
from robot_rl.agents.compiler import compiler_options, unrolled
from robot_rl.agents.config import SacConfig
from robot_rl.agents.encoders import Views, augment, check_views, encode, encoded_size, init_encoder
from robot_rl.agents.networks import GRIPPER_COMMANDS, Normaliser, Params, gripper_values, init_mlp, normalise
from robot_rl.agents.slices import parts
from robot_rl.agents.state import owned_dimensions
from robot_rl.agents.tanh_normal import distribution, mode
from robot_rl.agents.updates import Info, Update, all_finite, check_shapes, descend, polyak
from robot_rl.core.specs import NO_VIEWS, ActionSpec, StateSpec, ViewSpec
from robot_rl.core.transition import Batch, ReturnsBatch, ViewBatch

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
        encoder: what turns views into inputs of both (`robot_rl.agents.encoders`), or None without views.
        average_encoder: its running average, or None.
        actor_optimiser: Adam moments.
        gripper_optimiser: likewise, or None.
        encoder_optimiser: likewise, or None.
        normaliser: of the packed state.
        owned: indices of the action the actor commands ``int32[d]``.
        views: ``(h, w, c)`` of what each camera gives ``int32[3]``, by name.
        key: random key ``uint32[2]`` of the shifts of pictures, or None without views.
    """

    actor: Params
    average_actor: Params
    gripper: Params | None
    average_gripper: Params | None
    encoder: Params | None
    average_encoder: Params | None
    actor_optimiser: optax.OptState
    gripper_optimiser: optax.OptState | None
    encoder_optimiser: optax.OptState | None
    normaliser: Normaliser
    owned: jax.Array
    views: dict[str, jax.Array]
    key: jax.Array | None


def init(
    config: SacConfig, state_spec: StateSpec, action_spec: ActionSpec, seed: int, views: ViewSpec = NO_VIEWS
) -> BcState:
    """A fresh policy; the same seed gives bit-identical weights.

    Args:
        config: of it, what concerns actor and gripper.
        state_spec: layout and normalisation of the packed state.
        action_spec: which dimensions may be commanded.
        seed: of the weights and shifts.
        views: what is seen of each camera.

    Raises:
        ConfigError: the gripper critic and the active dimensions do not fit.
    """
    owned = owned_dimensions(config, action_spec)
    encoder = key = None
    # Without views the keys are split as if there were none, so that a seed means what it would.
    actor_key, gripper_key, *more = jax.random.split(jax.random.PRNGKey(seed), 4 if views.shapes else 2)
    if views.shapes:
        encoder_key, key = more
        encoder = init_encoder(encoder_key, views, config.vision)
    n = encoded_size(views, config.vision, state_spec.size)
    actor = init_mlp(actor_key, n, config.hidden, 2 * len(owned), config.actor_layer_norm)
    gripper = None
    if config.gripper_critic:
        gripper = init_mlp(gripper_key, n, config.hidden, GRIPPER_COMMANDS, config.actor_layer_norm)
    return BcState(
        actor=actor,
        average_actor=copy_tree(actor),
        gripper=gripper,
        average_gripper=copy_tree(gripper),
        encoder=encoder,
        average_encoder=copy_tree(encoder),
        actor_optimiser=optax.adam(config.lr_actor).init(actor),
        gripper_optimiser=None if gripper is None else optax.adam(config.lr_gripper).init(gripper),
        encoder_optimiser=None if encoder is None else optax.adam(config.lr_actor).init(encoder),
        normaliser=Normaliser(jnp.asarray(state_spec.center), jnp.asarray(state_spec.scale)),
        owned=jnp.asarray(owned, jnp.int32),
        views={name: jnp.asarray(shape, jnp.int32) for name, shape in views.shapes},
        key=key,
    )


class _Rows(NamedTuple):
    """One slice: normalised states ``[n, B]``, views, owned actions ``[d, B]``, gripper commands as classes."""

    x: jax.Array
    views: Views
    action: jax.Array
    gripper_label: jax.Array


def make_update(
    config: SacConfig,
    state_spec: StateSpec,
    action_spec: ActionSpec,
    views: ViewSpec = NO_VIEWS,
    *,
    critic_only: bool = False,
) -> Update:
    """Compile-on-first-use update of one group of minibatches, an actor step on each.

    Args:
        config: of it, what concerns actor and gripper.
        state_spec: layout of the packed state.
        action_spec: which dimensions may be commanded.
        views: what is seen of each camera.
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

    def update(state: BcState, given: Batch | ViewBatch | ReturnsBatch) -> tuple[BcState, Info]:
        batch, seen, _, _ = parts(given)
        check_shapes(batch, state_spec.size)
        check_views(views, seen, batch.reward.shape)
        key = state.key
        if key is not None:
            key, shift_key = jax.random.split(key)
            seen = augment(shift_key, seen, config.vision.augment_px)
        action = jnp.asarray(batch.action)
        rows = _Rows(
            x=normalise(state.normaliser, jnp.asarray(batch.state)).swapaxes(1, 2),
            views=seen,
            action=action[..., owned].swapaxes(1, 2),
            gripper_label=losses.gripper_labels(action),
        )
        new, info = jax.lax.scan(lambda s, item: _step(config, s, item), state, rows, unroll=unrolled(views))
        info = {name: values.mean() for name, values in info.items()}
        finite = all_finite((new.actor, new.gripper, new.encoder, info))
        kept: BcState = jax.lax.cond(finite, lambda new, _: new, lambda _, old: old, new, state)
        return kept._replace(key=key), info | {"skipped": 1.0 - finite.astype(jnp.float32)}

    return jax.jit(update, donate_argnums=0, compiler_options=compiler_options())


class _Trained(NamedTuple):
    """What one step moves."""

    actor: Params
    gripper: Params | None
    encoder: Params | None


def _step(config: SacConfig, state: BcState, item: _Rows) -> tuple[BcState, Info]:
    def loss(trained: _Trained) -> tuple[jax.Array, Info]:
        x = encode(trained.encoder or {}, item.views, item.x)
        policy = distribution(trained.actor, x, config.activation, config.log_std_min, config.log_std_max)
        value = losses.cloning_loss(mode(policy), item.action)
        info = {"actor_loss": value}
        if trained.gripper is not None:
            scores = gripper_values(trained.gripper, x, config.activation)
            info["gripper_loss"] = losses.gripper_cloning_loss(scores, item.gripper_label)
            value = value + info["gripper_loss"]
        return value, info

    trained = _Trained(state.actor, state.gripper, state.encoder)
    gradient, info = jax.grad(loss, has_aux=True)(trained)
    share = 1.0 - config.actor_average
    actor, moments = descend(optax.adam(config.lr_actor), gradient.actor, state.actor_optimiser, state.actor)
    average = polyak(state.average_actor, actor, share)
    state = state._replace(actor=actor, average_actor=average, actor_optimiser=moments)
    if state.gripper is not None:
        adam = optax.adam(config.lr_gripper)
        gripper, moments = descend(adam, gradient.gripper, state.gripper_optimiser, state.gripper)
        average = polyak(state.average_gripper, gripper, share)
        state = state._replace(gripper=gripper, average_gripper=average, gripper_optimiser=moments)
    if state.encoder is not None:
        adam = optax.adam(config.lr_actor)
        encoder, moments = descend(adam, gradient.encoder, state.encoder_optimiser, state.encoder)
        average = polyak(state.average_encoder, encoder, share)
        state = state._replace(encoder=encoder, average_encoder=average, encoder_optimiser=moments)
    return state, info


def actor_params(state: BcState, config: SacConfig) -> Mapping[str, npt.NDArray[np.float32]]:
    """What `robot_rl.policies.gaussian.GaussianPolicy` needs; it will act with the mode and the likeliest command."""
    return acting_params(
        state.average_actor,
        state.normaliser,
        state.owned,
        tanh=config.activation == "tanh",
        log_std_range=(NO_NOISE, NO_NOISE),
        encoder=state.average_encoder,
        views=state.views,
        gripper=state.average_gripper,
        gripper_epsilon=0.0,
    )
