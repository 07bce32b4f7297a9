"""Two tasks on a point on a line that undo each other, and the actor process on them.

``python -m tests.runtime.pair_point`` takes the real actor's arguments.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from robot_rl.runtime.actor import process as actor
from tests.runtime.fakes import PointEnv


class PairPoint(PointEnv):
    """`PointEnv` that says what a pair wants to know."""

    def __init__(self, task_id: str, limit: int = 12) -> None:
        super().__init__(limit)
        self.task_id = task_id
        self.put_back, self.given_up, self.done = 0, True, False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self.put_back += self.given_up
        self.given_up = self.done = False
        return super().reset(seed=seed, options=options)

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        answer = super().step(action)
        self.done = bool(answer[2])
        return answer

    def give_up(self) -> None:
        self.given_up = True

    def undone(self, *, succeeded: bool = False) -> bool | None:
        return not self.done

    def already_done(self) -> bool:
        return False


actor.open_pair = lambda config: (PairPoint(config.task), PairPoint(config.pair))  # type: ignore[assignment]

if __name__ == "__main__":
    sys.exit(actor.main())
