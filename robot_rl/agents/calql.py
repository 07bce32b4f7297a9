"""Calibrated conservative Q-learning: soft actor-critic that may start from stored data (Cal-QL, arXiv 2303.05479).

What is trained is the agent of `robot_rl.agents.sac`, whose critics are charged, besides, for valuing actions that the
data does not hold above those that it does; but not for valuing what the policy does as high as what was earned from
there on. Warm-up on stored data trains the actor too. After it the charge goes on, or, as WSRL has it (arXiv
2412.07762), plain soft actor-critic does. The names are those of `robot_rl.agents.sac`.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from robot_rl.agents import offline_losses, sac
from robot_rl.agents.config import SacConfig
from robot_rl.agents.networks import choose_members, q_values
from robot_rl.agents.offline_config import CalqlConfig
from robot_rl.agents.slices import Slices, policy
from robot_rl.agents.state import AgentState
from robot_rl.agents.tanh_normal import Sample, sample
from robot_rl.agents.updates import Update
from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.specs import NO_VIEWS, ActionSpec, StateSpec, ViewSpec

__all__ = ["AgentState", "init", "make_update"]


def check(config: SacConfig) -> None:
    """Check that calibrated Q-learning can do what is asked.

    Raises:
        ConfigError: a gripper critic is asked for, which would learn from stored data without any charge.
    """
    if config.gripper_critic:
        raise ConfigError("calql's actor commands the gripper too: leave agent.gripper_critic off")


def init(
    config: SacConfig, state_spec: StateSpec, action_spec: ActionSpec, seed: int, views: ViewSpec = NO_VIEWS
) -> AgentState:
    """A fresh agent, as `robot_rl.agents.sac.init` makes it.

    Raises:
        ConfigError: a gripper critic is asked for, or nothing may be commanded.
    """
    check(config)
    return sac.init(config, state_spec, action_spec, seed, views)


def make_update(
    config: SacConfig,
    state_spec: StateSpec,
    action_spec: ActionSpec,
    views: ViewSpec = NO_VIEWS,
    *,
    options: CalqlConfig,
    critic_only: bool = False,
) -> Update:
    """Compile-on-first-use update of one group of minibatches.

    Args:
        config: soft actor-critic.
        state_spec: layout of the packed state.
        action_spec: which dimensions may be commanded.
        views: what is seen of each camera.
        options: the charge.
        critic_only: that of warm-up, which charges whatever goes on after it, and trains the actor too.

    Returns:
        As `robot_rl.agents.sac.make_update`; batches must hold returns while the charge is calibrated.

    Raises:
        ConfigError: as `init`.
        DataError: from the returned function, the batch does not have the shapes of the specifications, or lacks the
            returns.
    """
    check(config)
    charged = critic_only or options.online == "calql"

    def penalty(critic: Any, state: AgentState, item: Slices) -> jax.Array:
        return options.alpha * charge(config, options, critic, state, item)

    return sac.make_update(config, state_spec, action_spec, views, penalty=penalty if charged else None)


def charge(config: SacConfig, options: CalqlConfig, critic: Any, state: AgentState, item: Slices) -> jax.Array:
    """The penalty on one slice, a scalar, before it is weighed.

    Of an ensemble, as many members as a target takes are charged at a time, so that the cost does not grow with it; the
    stored and the sampled actions are valued by the same ones.

    Args:
        config: soft actor-critic.
        options: the charge.
        critic: parameters that are charged.
        state: whose policy proposes actions; it gets no gradient.
        item: the slice.

    Raises:
        DataError: calibration is asked for and the slice lacks returns.
    """
    member_key, uniform_key, here_key, next_key = jax.random.split(jax.random.fold_in(item.key, 1), 4)
    members = choose_members(critic, member_key, config.critics, config.subset)
    n, (d, rows) = options.samples, item.action.shape
    uniform = Sample(
        jax.random.uniform(uniform_key, (d, n * rows), minval=-1.0, maxval=1.0),
        jnp.full(n * rows, -d * math.log(2.0)),
    )
    here = _propose(config, state, jnp.tile(item.x, n), here_key)
    following = _propose(config, state, jnp.tile(item.next_x, n), next_key)
    action = jnp.concatenate([uniform.action, here.action, following.action], axis=1)
    log_density = jnp.concatenate([uniform.log_prob, here.log_prob, following.log_prob]).reshape(3 * n, rows)
    q = q_values(members, jnp.tile(item.x, 3 * n), action, config.activation).reshape(-1, 3 * n, rows)
    if options.calibrate:
        if item.mc_return is None:
            raise DataError("the batch holds no returns, which a calibrated charge compares with: sample with them")
        q = jnp.concatenate([q[:, :n], offline_losses.calibrated(q[:, n:], item.mc_return)], axis=1)
    q_data = q_values(members, item.x, item.action, config.activation)
    return offline_losses.conservative_penalty(q, log_density, q_data, options.temperature)


def _propose(config: SacConfig, state: AgentState, x: jax.Array, key: jax.Array) -> Sample:
    proposed = policy(config, state.actor, x)
    return jax.lax.stop_gradient(sample(proposed, jax.random.normal(key, proposed.mean.shape)))
