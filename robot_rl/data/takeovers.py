"""Charging the policy for what it did just before an operator took over: worked out while learning, never logged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robot_rl.core.errors import DataError
from robot_rl.core.transition import StepRecord
from robot_rl.core.types import Float32


def takeover_penalties(intervened: Sequence[bool], steps: int, penalty: float) -> Float32:
    """What each step of an episode is charged.

    Args:
        intervened: whether an operator was in command, by step ``[T]``.
        steps: how many of the policy's own steps before each take-over are charged, fewer if the operator had let go
            later than that.
        penalty: charge of one step, not positive.

    Returns:
        ``float32[T]``: `penalty` or 0.
    """
    out = np.zeros(len(intervened), np.float32)
    for start in range(1, len(intervened)):
        if intervened[start] and not intervened[start - 1]:
            before = start
            while before > max(0, start - steps) and not intervened[before - 1]:
                before -= 1
            out[before:start] = penalty
    return out


class TakeOvers:
    """Follows unfinished episodes and says what to charge when an operator takes over.

    Args:
        steps: of the policy before each take-over that are charged.
        penalty: charge of one step.

    Raises:
        DataError: there are fewer than 0 steps, or the penalty is positive.
    """

    def __init__(self, steps: int, penalty: float) -> None:
        if steps < 0 or penalty > 0.0:
            raise DataError(f"got {steps} steps before a take-over at {penalty:g} each, expected >= 0 at <= 0")
        self._steps, self._penalty = steps, penalty
        self._open: dict[str, list[bool]] = {}

    def add(self, record: StepRecord) -> Float32 | None:
        """Take the next step of an episode.

        Returns:
            When a take-over begins with it, the charge of every step so far ``float32[step_index + 1]``, else None.
        """
        if not self._steps:
            return None
        past = self._open.setdefault(record.episode_id, [])
        past += [False] * (record.step_index - len(past))
        begins = record.intervention and bool(past) and not past[-1]
        past.append(record.intervention)
        if record.last:
            del self._open[record.episode_id]
        return takeover_penalties(past, self._steps, self._penalty) if begins else None

    def abandon(self, episode_id: str) -> None:
        """Forget an episode of which no further step will come."""
        self._open.pop(episode_id, None)
