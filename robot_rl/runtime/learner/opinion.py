"""What the critics think of each actor's newest step, without the learner ever waiting for it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from robot_rl.core.transition import StepRecord
from robot_rl.runtime.learner.learner import Learner


class Opinion:
    """Asks the critics when `ask` is called, and takes their answer the next time it is ready.

    Args:
        learner: whose critics.
    """

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self._newest: dict[str, StepRecord] = {}
        self._asked: dict[str, Any] = {}
        self._values: dict[str, float] = {}

    def tell(self, actor: str, record: StepRecord) -> None:
        """This is an actor's newest step."""
        self._newest[actor] = record

    def ask(self, actor: str) -> None:
        """Have its newest step valued, unless the answer about the one before is still awaited."""
        if actor not in self._asked and actor in self._newest:
            self._asked[actor] = self._learner.step_value(self._newest.pop(actor))

    def value(self, actor: str) -> float | None:
        """The newest answer; None before the first, and if it is not finite."""
        asked = self._asked.get(actor)
        if asked is not None and asked.is_ready():
            self._values[actor] = float(np.asarray(self._asked.pop(actor)))
        value = self._values.get(actor)
        return value if value is not None and math.isfinite(value) else None
