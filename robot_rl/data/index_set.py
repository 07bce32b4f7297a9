"""Sets of slots that may be drawn: uniformly, or the newer the likelier."""

from __future__ import annotations

import math

import numpy as np

from robot_rl.core.errors import DataError
from robot_rl.core.types import Array
from robot_rl.data.windows import Slots


class IndexSet:
    """Slots with insertion, removal and uniform draws in constant time each."""

    def __init__(self, slots: int) -> None:
        self._members = np.empty(slots, np.int64)
        self._position = np.full(slots, -1, np.int64)
        self._size = 0

    def __len__(self) -> int:
        """Number of members."""
        return self._size

    def __contains__(self, slot: int) -> bool:
        """Whether the slot is a member."""
        return bool(self._position[slot] >= 0)

    @property
    def members(self) -> Slots:
        """The members in the order that draws refer to; a view."""
        return self._members[: self._size]

    def add(self, slot: int) -> None:
        """Insert a slot; nothing happens if it is in."""
        if slot not in self:
            self._members[self._size] = slot
            self._position[slot] = self._size
            self._size += 1

    def discard(self, slot: int) -> None:
        """Remove a slot; nothing happens if it is not in."""
        at = self._position[slot]
        if at >= 0:
            self._size -= 1
            last = self._members[self._size]
            self._members[at] = last
            self._position[last] = at
            self._position[slot] = -1

    def draw(self, count: int | tuple[int, ...], rng: np.random.Generator) -> Slots:
        """Draws with replacement.

        Raises:
            DataError: the set is empty.
        """
        self._check_not_empty()
        # several times faster than indexing, and the numbers drawn are in range
        return np.take(self._members, rng.integers(self._size, size=count), mode="clip")

    def _check_not_empty(self) -> None:
        if not self._size:
            raise DataError("nothing to draw from: the buffer holds no transition of this kind yet")


class RecencySet(IndexSet):
    """As `IndexSet`, but the chance of a slot halves with every half-life of its age.

    A slot's age is how many were inserted after it, those removed since included: environment steps, where each step
    is inserted once. A draw proposes an age and is repeated where no member has it any more, which takes constant time
    as long as most of the newer ones are still in; what is left after some rounds is drawn from the list of all.

    Args:
        slots: how many there are.
        half_life_steps: insertions after which a slot's chance is half, at least 1.
    """

    _ROUNDS = 8

    def __init__(self, slots: int, half_life_steps: float) -> None:
        if not half_life_steps >= 1.0:
            raise DataError(f"the half-life of recency is {half_life_steps} steps, expected at least 1")
        super().__init__(slots)
        self._log_decay = -math.log(2.0) / half_life_steps
        self._slot_of = np.zeros(slots, np.int64)
        self._number_of = np.full(slots, -1, np.int64)
        self._inserted = 0

    def add(self, slot: int) -> None:
        """Insert a slot as the newest; nothing happens if it is in."""
        if slot not in self:
            self._slot_of[self._inserted % len(self._slot_of)] = slot
            self._number_of[slot] = self._inserted
            self._inserted += 1
        super().add(slot)

    def discard(self, slot: int) -> None:
        """Remove a slot; nothing happens if it is not in."""
        super().discard(slot)
        self._number_of[slot] = -1

    def draw(self, count: int | tuple[int, ...], rng: np.random.Generator) -> Slots:
        """Draws with replacement, each with a chance proportional to ``2^(-age / half_life)``.

        Raises:
            DataError: the set is empty.
        """
        self._check_not_empty()
        out = np.empty(count, np.int64)
        flat = out.reshape(-1)
        missing = np.arange(len(flat))
        for _ in range(self._ROUNDS):
            numbers = self._inserted - 1 - self._ages(rng.random(len(missing)))
            slots = self._slot_of[numbers % len(self._slot_of)]
            there = self._number_of[slots] == numbers
            flat[missing[there]] = slots[there]
            missing = missing[~there]
            if not len(missing):
                return out
        flat[missing] = self._draw_from_all(rng.random(len(missing)))
        return out

    def _ages(self, uniform: Array) -> Slots:
        """Ages below the number of those remembered, geometrically distributed, from numbers in [0, 1)."""
        remembered = min(self._inserted, len(self._slot_of))
        ages = np.log1p(uniform * math.expm1(remembered * self._log_decay)) / self._log_decay
        return np.minimum(ages.astype(np.int64), remembered - 1)

    def _draw_from_all(self, uniform: Array) -> Slots:
        numbers = self._number_of[self.members]
        total = np.cumsum(np.exp((numbers.max() - numbers) * self._log_decay))
        at = np.searchsorted(total, uniform * total[-1], side="right")
        slots: Slots = np.take(self._members, np.minimum(at, self._size - 1))
        return slots
