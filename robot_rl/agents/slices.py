"""A batch as soft actor-critic takes it: normalised, feature-major, pictures shifted, next actions drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from robot_rl.agents import losses
from robot_rl.agents.config import SacConfig
from robot_rl.agents.encoders import Views, augment, check_views, encode
from robot_rl.agents.networks import normalise
from robot_rl.agents.state import AgentState, Optimisers
from robot_rl.agents.tanh_normal import TanhNormal, distribution, sample
from robot_rl.agents.updates import check_shapes
from robot_rl.core.specs import ViewSpec
from robot_rl.core.transition import Batch, ReturnsBatch, ViewBatch


class Slices(NamedTuple):
    """The batch as the networks take it, leading axis ``utd``, features before rows.

    Attributes:
        x: normalised states ``[utd, n, B]``; an encoder makes network inputs of them and `views`.
        views: what was seen of each camera, pictures shifted ``[utd, B, h, w, c]``; no entry without views.
        action: owned dimensions ``[utd, d, B]``.
        gripper_label: executed gripper commands ``int32[utd, B]``.
        reward: ``[utd, B]``.
        gripper_reward: reward plus what only the gripper answers for ``[utd, B]``.
        discount: ``[utd, B]``.
        next_x: network inputs after the window ``[utd, m, B]``, by the encoder with which the group began; their last
            rows are the normalised states.
        next_views: as `views`, after the window.
        next_action: drawn from the policy ``[utd, d, B]``.
        next_log_prob: ``[utd, B]``.
        key: one per slice.
        mc_return: of the stored episode from the state on ``[utd, B]``, where the batch has it.
    """

    x: jax.Array
    views: Views
    action: jax.Array
    gripper_label: jax.Array
    reward: jax.Array
    gripper_reward: jax.Array
    discount: jax.Array
    next_x: jax.Array
    next_views: Views
    next_action: jax.Array
    next_log_prob: jax.Array
    key: jax.Array
    mc_return: jax.Array | None


Penalty = Callable[[Any, AgentState, Slices], jax.Array]
"""What else critics are charged for: of their parameters, the state and one slice, whose `Slices.x` are network inputs
through which the encoder learns, a scalar that their loss is raised by."""


class Problem(NamedTuple):
    """What is fixed while an agent trains.

    Attributes:
        config: hyper-parameters.
        owned: action indices of the continuous actor.
        entropy: the target entropy, nats.
        optimisers: one for each network.
        state_size: values in a packed state.
        views: what is seen of each camera.
        penalty: added to the loss of the critics, or None.
    """

    config: SacConfig
    owned: tuple[int, ...]
    entropy: float
    optimisers: Optimisers
    state_size: int
    views: ViewSpec
    penalty: Penalty | None


def policy(config: SacConfig, actor: Any, x: jax.Array) -> TanhNormal:
    """What the actor proposes for network inputs ``[m, B]``."""
    return distribution(actor, x, config.activation, config.log_std_min, config.log_std_max)


def parts(given: Batch | ViewBatch | ReturnsBatch) -> tuple[Batch, Any, Any, Any]:
    """A batch of any kind as rows, views, next views and returns; empty or None for what it does not hold."""
    within, mc_return = given if isinstance(given, ReturnsBatch) else (given, None)
    batch, views, next_views = within if isinstance(within, ViewBatch) else (within, {}, {})
    return batch, views, next_views, mc_return


def cut(
    problem: Problem, state: AgentState, given: Batch | ViewBatch | ReturnsBatch, key: jax.Array, shift_key: jax.Array
) -> Slices:
    """Prepare a group of minibatches and draw all its next actions, by the encoder and actor with which it begins.

    Args:
        problem: what is fixed.
        state: the agent before the group.
        given: the group ``[utd, B, ...]``.
        key: of the actions and of what is drawn for each slice.
        shift_key: of the shifts of pictures.

    Raises:
        DataError: the batch does not have the shapes of the specifications.
    """
    batch, views, next_views, mc_return = parts(given)
    check_shapes(batch, problem.state_size)
    lead = utd, rows = batch.reward.shape
    for seen in (views, next_views):
        check_views(problem.views, seen, lead)
    here_key, next_key = jax.random.split(shift_key)
    views = augment(here_key, views, problem.config.vision.augment_px)
    next_views = augment(next_key, next_views, problem.config.vision.augment_px)
    noise_key, subset_key = jax.random.split(key)
    next_rows = normalise(state.normaliser, jnp.asarray(batch.next_state)).reshape(utd * rows, -1).T
    flat = {name: view.reshape(utd * rows, *view.shape[2:]) for name, view in next_views.items()}
    next_x = encode(state.encoder or {}, flat, next_rows)
    noise = jax.random.normal(noise_key, (len(problem.owned), utd * rows))
    following = sample(policy(problem.config, state.actor, next_x), noise)
    action = jnp.asarray(batch.action)

    def sliced(flat: jax.Array) -> jax.Array:
        return flat.reshape(-1, utd, rows).swapaxes(0, 1)

    return Slices(
        x=normalise(state.normaliser, jnp.asarray(batch.state)).swapaxes(1, 2),
        views=views,
        action=action[..., jnp.array(problem.owned)].swapaxes(1, 2),
        gripper_label=losses.gripper_labels(action),
        reward=jnp.asarray(batch.reward),
        gripper_reward=jnp.asarray(batch.reward) + batch.gripper_reward,
        discount=jnp.asarray(batch.discount),
        next_x=sliced(next_x),
        next_views=next_views,
        next_action=sliced(following.action),
        next_log_prob=following.log_prob.reshape(utd, rows),
        key=jax.random.split(subset_key, utd),
        mc_return=mc_return,
    )
