"""What an agent that builds on a base policy keeps between two updates, what is fixed meanwhile, and how it starts."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax

from robot_rl.agents.arrays import copy_tree
from robot_rl.agents.config import SacConfig
from robot_rl.agents.edit_config import EditConfig
from robot_rl.agents.networks import Normaliser, Params, init_mlp
from robot_rl.agents.state import temperature_parameter
from robot_rl.core.base import split_plan
from robot_rl.core.errors import ConfigError
from robot_rl.core.specs import GRIPPER, NO_VIEWS, ActionSpec, StateSpec, ViewSpec


class EditState(NamedTuple):
    """A pytree; updates take it, give it up to be reused in place, and return the next one.

    Attributes:
        actor: perceptron from state and proposal to a chunk of actions or of changes, or None.
        average_actor: its running average, which acts and makes the targets, or None.
        critic: ensemble from state, if so wanted proposal, and chunk to one value each.
        target_critic: its Polyak average.
        actor_optimiser: Adam moments, or None.
        critic_optimiser: likewise.
        normaliser: of the state without the plans.
        owned: active dimensions of an action ``int32[d]``.
        key: random key ``uint32[2]``.
        updates: number of critic steps so far ``int32[]``.
        armed: whether the critics were ever used to act or to improve the actor, 0 or 1 ``int32[]``.
        temperature: the unconstrained parameter of the weight of the entropy; unused with exploration of a fixed width.
        temperature_optimiser: Adam moments.
    """

    actor: Params | None
    average_actor: Params | None
    critic: Params
    target_critic: Params
    actor_optimiser: optax.OptState | None
    critic_optimiser: optax.OptState
    normaliser: Normaliser
    owned: jax.Array
    key: jax.Array
    updates: jax.Array
    armed: jax.Array
    temperature: jax.Array
    temperature_optimiser: optax.OptState


class Problem(NamedTuple):
    """What is fixed while an agent trains.

    Attributes:
        config: networks and what concerns critics.
        edit: what is proposed and selected.
        own: values of a state row before the plans, n.
        proposals: of the base, K.
        owned: active dimensions of an action ``[d]``.
        made: which values of a chunk the actor makes, as a matrix of zeros and ones ``[h d, m]``: all, but an edit
            leaves the gripper to the base.
    """

    config: SacConfig
    edit: EditConfig
    own: int
    proposals: int
    owned: tuple[int, ...]
    made: npt.NDArray[np.float32]

    @property
    def size(self) -> int:
        """Values of a chunk, h d."""
        return len(self.made)

    @property
    def outputs(self) -> int:
        """Values that the actor makes, m."""
        return int(self.made.shape[1])

    @property
    def spread(self) -> bool:
        """Whether the actor learns how widely to explore."""
        return self.edit.sigma is None

    @property
    def entropy(self) -> float:
        """The target entropy, nats: of all steps of a chunk."""
        wanted = self.config.target_entropy
        return -0.5 * self.outputs if wanted is None else wanted * self.edit.chunk


def set_up(
    config: SacConfig, edit: EditConfig, state_spec: StateSpec, action_spec: ActionSpec, views: ViewSpec = NO_VIEWS
) -> Problem:
    """What is fixed while an agent trains.

    Raises:
        ConfigError: the state holds no plans, a window is shorter than a chunk, or something is asked for that these
            agents do not do.
    """
    if views.shapes:
        raise ConfigError("edits of a base are learnt from states and its proposals: leave out --pictures.cameras")
    if config.gripper_critic:
        raise ConfigError("the base commands the gripper: add --agent.no-gripper-critic")
    if config.n_step < edit.chunk:
        raise ConfigError(
            f"agent.n_step is {config.n_step}, but values are of chunks of {edit.chunk} actions: add "
            f"--agent.n-step {edit.chunk}"
        )
    own, proposals = split_plan(state_spec, edit.chunk)
    owned = tuple(action_spec.active)
    makes = np.tile([edit.actor == "free" or i != GRIPPER for i in owned], edit.chunk)
    return Problem(config, edit, own, proposals, owned, np.eye(len(makes), dtype=np.float32)[:, makes])


def init(
    config: SacConfig,
    state_spec: StateSpec,
    action_spec: ActionSpec,
    seed: int,
    views: ViewSpec = NO_VIEWS,
    *,
    options: EditConfig,
) -> EditState:
    """A fresh agent, which acts as the base does; the same seed gives bit-identical weights.

    Raises:
        ConfigError: as `set_up`.
    """
    problem = set_up(config, options, state_spec, action_spec, views)
    n, size = problem.own, problem.size
    key, actor_key, critic_key = jax.random.split(jax.random.PRNGKey(seed), 3)
    actor = None
    if options.actor != "none":
        outputs = problem.outputs * (2 if problem.spread else 1)
        actor = init_mlp(actor_key, n + size, config.hidden, outputs, config.actor_layer_norm)
        actor["out"] = jax.tree.map(jnp.zeros_like, actor["out"])
    inputs = n + size + (size if options.critic_sees_base else 0)
    critic = init_mlp(critic_key, inputs, config.hidden, 1, config.critic_layer_norm, config.critics)
    temperature = temperature_parameter(config)
    return EditState(
        actor=actor,
        average_actor=copy_tree(actor),
        critic=critic,
        target_critic=copy_tree(critic),
        actor_optimiser=None if actor is None else optax.adam(options.lr_actor).init(actor),
        critic_optimiser=optax.adam(config.lr_critic).init(critic),
        normaliser=Normaliser(jnp.asarray(state_spec.center[:n]), jnp.asarray(state_spec.scale[:n])),
        owned=jnp.asarray(problem.owned, jnp.int32),
        key=key,
        updates=jnp.zeros((), jnp.int32),
        armed=jnp.zeros((), jnp.int32),
        temperature=temperature,
        temperature_optimiser=optax.adam(config.lr_temperature).init(temperature),
    )
