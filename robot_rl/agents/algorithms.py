"""The algorithms a run can be trained with, behind the three functions that a learner calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from robot_rl.agents import bc, sac
from robot_rl.agents.config import SacConfig
from robot_rl.agents.updates import Update
from robot_rl.core.specs import ActionSpec, StateSpec


@dataclass(frozen=True)
class Algorithm:
    """What a learner needs of an algorithm; states are pytrees of its own.

    Attributes:
        init: a fresh state, given configuration, layouts and seed.
        make_update: one update call, given configuration and layouts; with ``critic_only=True`` that of warm-up.
        actor_params: arrays of the policy that acts, given state and configuration.
    """

    init: Callable[[SacConfig, StateSpec, ActionSpec, int], Any]
    make_update: Callable[..., Update]
    actor_params: Callable[[Any, SacConfig], Mapping[str, npt.NDArray[np.float32]]]


ALGORITHMS: Mapping[str, Algorithm] = {
    "rlpd": Algorithm(sac.init, sac.make_update, sac.actor_params),
    "bc": Algorithm(bc.init, bc.make_update, bc.actor_params),
}
"""By the name in `robot_rl.runtime.config.TrainConfig`."""
