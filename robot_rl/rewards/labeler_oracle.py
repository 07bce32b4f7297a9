"""Stand-ins that know the answer: they compare a number that was recorded, and err as often as they are told."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from robot_rl.core.errors import ConfigError
from robot_rl.rewards.labelers import Shown
from robot_rl.rewards.preferences import EQUAL, FIRST, SECOND, Answer, Clip


class OracleLabeler:
    """Prefers the clip with the higher score.

    Args:
        score: of a clip, the higher the nearer to the goal.
        error_rate: share of the preferences that are turned round, in [0, 0.5).
        seed: chooses which; the same pair is always answered alike, in either order.
        margin: scores that differ by no more are called equal.

    Raises:
        ConfigError: the error rate is out of range.
    """

    both_orders = False
    parallel = 1

    def __init__(
        self, score: Callable[[Clip], float], error_rate: float = 0.0, *, seed: int = 0, margin: float = 0.0
    ) -> None:
        if not 0.0 <= error_rate < 0.5:
            raise ConfigError(f"the error rate of an oracle is {error_rate}, expected 0 <= rate < 0.5")
        self._score, self._rate, self._seed, self._margin = score, error_rate, seed, margin

    @property
    def name(self) -> str:
        """With its error rate."""
        return f"oracle:{self._rate:g}"

    def ask(self, shown: Shown) -> Answer:
        """Compare the scores."""
        gap = self._score(shown.pair.second) - self._score(shown.pair.first)
        if abs(gap) <= self._margin:
            return Answer(EQUAL, 0.5)
        digest = hashlib.sha256(f"{self._seed}:{shown.pair.id}".encode()).digest()
        wrong = int.from_bytes(digest[:8]) / 2**64 < self._rate
        second = (gap > 0) != wrong
        return Answer(SECOND if second else FIRST, float(second))

    def close(self) -> None:
        """Nothing is held."""
