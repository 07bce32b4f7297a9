"""What acting needs of an environment; `robot_rl.envs.CellEnv` provides it."""

from __future__ import annotations

from typing import Any, Protocol

from robot_rl.core.specs import ActionSpec, StateSpec
from robot_rl.core.types import Float32


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

    def hold(self) -> None:
        """Stand still because the next step may be long in coming; nothing in lock-step."""
        ...

    def close(self) -> None:
        """Release the cell."""
        ...
