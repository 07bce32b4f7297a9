"""What acting needs of an environment; `robot_rl.envs.CellEnv` provides it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from robot_rl.core.errors import DataError
from robot_rl.core.specs import ActionSpec, StateSpec
from robot_rl.core.transition import Observation
from robot_rl.core.types import CellReadings, Float32


class Env(Protocol):
    """The part of `robot_rl.envs.CellEnv` that acting needs."""

    hz: float

    @property
    def state_spec(self) -> StateSpec:
        """Layout of ``obs["state"]``."""
        ...

    @property
    def action_spec(self) -> ActionSpec:
        """Meaning of the action."""
        ...

    @property
    def task_id(self) -> str:
        """Id of the task."""
        ...

    @property
    def lockstep(self) -> bool:
        """Whether time stands still between two steps; otherwise a step can be late, and an episode not be repeated."""
        ...

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        ...

    def step(self, action: Float32) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Act for one control period."""
        ...

    def wanted(self) -> str:
        """What a person has to see to before the first step of an episode, as one sentence; empty for nothing."""
        ...

    def confirm(self) -> None:
        """A person says that he has done what was `wanted`."""
        ...

    def look(self) -> Any:
        """What there is to see now, without a step: after a wait the last observation may be old."""
        ...

    def readings(self) -> CellReadings | None:
        """What is known about the cell since the last reset, step or look; None if it cannot be looked into."""
        ...

    def hold(self) -> None:
        """Stand still because the next step may be long in coming; nothing in lock-step."""
        ...

    def close(self) -> None:
        """Release the cell."""
        ...


def read_observation(raw: Mapping[str, Any], spec: StateSpec) -> Observation:
    """What an environment answered, checked.

    Raises:
        DataError: the state has another shape than `spec`, or is not finite; names the parts.
    """
    # A copy, because an environment may reuse its arrays and the record outlives the step.
    state = np.array(raw["state"], np.float32)
    if state.shape != (spec.size,):
        raise DataError(f"the observed state has shape {list(state.shape)}, expected [{spec.size}]")
    if not np.isfinite(state).all():
        bad = [n for n, v in spec.unpack(state).items() if not np.isfinite(v).all()]
        raise DataError(f"the observed state is not finite in {', '.join(bad)}")
    return Observation(state, {k: np.array(v) for k, v in raw.get("images", {}).items()})
