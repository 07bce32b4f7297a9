"""The algorithms a run can be trained with, behind the three functions that a learner calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from robot_rl.agents import bc, calql, edit, iql, sac
from robot_rl.agents.config import SacConfig
from robot_rl.agents.edit_config import EditConfig
from robot_rl.agents.offline_config import CalqlConfig, IqlConfig
from robot_rl.agents.updates import Update


@dataclass(frozen=True)
class Algorithm:
    """What a learner needs of an algorithm; states are pytrees of its own.

    Attributes:
        init: a fresh state, given configuration, layouts of state and action, seed, and of those that see the layout of
            ``views``.
        make_update: one update call, given configuration, layouts of state and action and, of those that see, of
            ``views``; with ``critic_only=True`` that of warm-up.
        actor_params: arrays of the policy that acts, given state and configuration.
    """

    init: Callable[..., Any]
    make_update: Callable[..., Update]
    actor_params: Callable[[Any, SacConfig], Mapping[str, npt.NDArray[np.float32]]]


ALGORITHMS: Mapping[str, Algorithm] = {
    "rlpd": Algorithm(sac.init, sac.make_update, sac.actor_params),
    "bc": Algorithm(bc.init, bc.make_update, bc.actor_params),
    "noise": Algorithm(sac.init, sac.make_update, sac.actor_params),
}
"""Those without hyper-parameters of their own, by the name in `robot_rl.runtime.config.TrainConfig`."""


def find_algorithm(name: str, options: IqlConfig | CalqlConfig | EditConfig | None = None) -> Algorithm:
    """An algorithm by name.

    Args:
        name: as in `robot_rl.runtime.config.TrainConfig`.
        options: what it has beside `SacConfig`, if it does.
    """
    if isinstance(options, IqlConfig):
        return Algorithm(
            partial(iql.init, options=options),
            partial(iql.make_update, options=options),
            partial(iql.actor_params, options=options),
        )
    if isinstance(options, CalqlConfig):
        return Algorithm(calql.init, partial(calql.make_update, options=options), sac.actor_params)
    if isinstance(options, EditConfig):
        return Algorithm(
            partial(edit.init, options=options),
            partial(edit.make_update, options=options),
            partial(edit.actor_params, options=options),
        )
    return ALGORITHMS[name]
