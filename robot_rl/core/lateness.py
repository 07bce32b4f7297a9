"""How late control steps begin on a cell whose time passes by itself, as a small histogram that can be added up."""

from __future__ import annotations

import math
import reprlib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from robot_rl.core.errors import DataError

EDGES_MS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
BINS = len(EDGES_MS) + 1
BIN_NAMES = (
    f"<{EDGES_MS[0]:g}",
    *(f"{a:g}-{b:g}" for a, b in pairwise(EDGES_MS)),
    f">{EDGES_MS[-1]:g}",
)


@dataclass(frozen=True)
class LatenessHistogram:
    """Lateness of control steps: how long after its tick a step woke up.

    Attributes:
        counts: steps by lateness in the bins `BIN_NAMES`, in ms; a bin holds its lower edge.
        missed: steps that were commanded too late for their tick, after which the ticks were counted anew.
        worst_s: the greatest lateness.

    Example:
        >>> seen = LatenessHistogram().add(0.0004).add(0.003).add(0.12, missed=True)
        >>> seen.counts, seen.missed, seen.worst_s
        ((1, 0, 1, 0, 0, 0, 0, 1), 1, 0.12)
    """

    counts: tuple[int, ...] = (0,) * BINS
    missed: int = 0
    worst_s: float = 0.0

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            DataError: they cannot be those of a histogram.
        """
        whole = all(type(n) is int and n >= 0 for n in (*self.counts, self.missed))
        timed = isinstance(self.worst_s, int | float) and 0.0 <= self.worst_s < math.inf
        if len(self.counts) != BINS or not whole or not timed:
            got = f"{len(self.counts)} counts, {reprlib.repr(self.missed)} and {reprlib.repr(self.worst_s)}"
            raise DataError(
                f"a histogram of lateness is {BINS} counts, missed steps and the worst in seconds, got {got}"
            )

    @property
    def total(self) -> int:
        """Steps counted."""
        return sum(self.counts)

    def add(self, late_s: float, *, missed: bool = False) -> LatenessHistogram:
        """With one more step; one that is early counts as punctual."""
        k = bisect_right(EDGES_MS, 1e3 * late_s)
        counts = tuple(n + (i == k) for i, n in enumerate(self.counts))
        return LatenessHistogram(counts, self.missed + missed, max(self.worst_s, late_s))

    def merge(self, other: LatenessHistogram) -> LatenessHistogram:
        """Of the steps of both."""
        counts = tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        return LatenessHistogram(counts, self.missed + other.missed, max(self.worst_s, other.worst_s))

    def quantile_s(self, q: float) -> float:
        """Lateness that a share `q` in [0, 1] of the steps did not exceed, as far as the bins tell; NaN without any.

        Within a bin steps count as evenly spread; none lies above the worst.
        """
        if not self.total:
            return math.nan
        wanted, below = q * self.total, 0
        edges_s = [0.0, *(edge / 1e3 for edge in EDGES_MS), max(self.worst_s, EDGES_MS[-1] / 1e3)]
        for k, n in enumerate(self.counts):
            if n and below + n >= wanted:
                share = (wanted - below) / n
                return min(edges_s[k] + share * (edges_s[k + 1] - edges_s[k]), self.worst_s)
            below += n
        return self.worst_s

    def to_dict(self) -> dict[str, Any]:
        """Plain data that `from_dict` turns into an equal histogram."""
        return {"counts": list(self.counts), "missed": self.missed, "worst_s": self.worst_s}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> LatenessHistogram:
        """Inverse of `to_dict`.

        Raises:
            DataError: the data is not that of a histogram.
        """
        if set(data) != {"counts", "missed", "worst_s"} or not isinstance(data["counts"], list):
            raise DataError("a histogram of lateness is a list of counts, missed and worst_s, got something else")
        return LatenessHistogram(tuple(data["counts"]), data["missed"], data["worst_s"])
