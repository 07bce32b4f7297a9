"""Sets of slots against a plain list, and how often the newer ones are drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.core.errors import DataError
from robot_rl.data.index_set import IndexSet, RecencySet

SLOTS = 12
CHANGES = st.lists(st.tuples(st.booleans(), st.integers(0, SLOTS - 1)), max_size=60)


def after(changes: list[tuple[bool, int]], tested: IndexSet) -> list[int]:
    """The members in the order in which they came."""
    plain: list[int] = []
    for insert, slot in changes:
        if insert:
            tested.add(slot)
            plain += [slot] if slot not in plain else []
        else:
            tested.discard(slot)
            plain = [s for s in plain if s != slot]
    return plain


@pytest.mark.parametrize("half_life", [None, 1.0, 3.0, 1e6])
@given(changes=CHANGES, seed=st.integers(0, 99))
def test_only_members_are_drawn(half_life: float | None, changes: list[tuple[bool, int]], seed: int) -> None:
    tested = IndexSet(SLOTS) if half_life is None else RecencySet(SLOTS, half_life)
    plain = after(changes, tested)
    assert sorted(tested.members) == sorted(plain) and len(tested) == len(plain)
    assert all((slot in tested) == (slot in plain) for slot in range(SLOTS))
    rng = np.random.default_rng(seed)
    if not plain:
        with pytest.raises(DataError, match="nothing to draw from"):
            tested.draw(1, rng)
        return
    drawn = tested.draw((3, 5), rng)
    assert drawn.shape == (3, 5) and set(drawn.ravel()) <= set(plain)


def shares(tested: IndexSet, draws: int = 60_000) -> np.ndarray:
    """How often each slot is drawn."""
    return np.bincount(tested.draw(draws, np.random.default_rng(0)), minlength=SLOTS) / draws


def test_the_chance_halves_with_every_half_life() -> None:
    tested = RecencySet(SLOTS, 2.0)
    for slot in (4, 0, 7, 2, 9, 1):
        tested.add(slot)
    expected = np.zeros(SLOTS)
    expected[[4, 0, 7, 2, 9, 1]] = 2.0 ** (-np.arange(5, -1, -1) / 2.0)
    # 0.002 is the standard deviation of the largest share
    np.testing.assert_allclose(shares(tested), expected / expected.sum(), atol=0.01)


def test_a_slot_is_as_old_as_its_newest_insertion_and_removed_ones_count_as_age() -> None:
    tested = RecencySet(SLOTS, 1.0)
    for slot in (0, 1, 2, 3):
        tested.add(slot)
    for slot in (0, 2):
        tested.discard(slot)
    tested.add(0)
    tested.add(0)
    expected = np.zeros(SLOTS)
    expected[[0, 3, 1]] = 1.0, 0.5, 0.125
    np.testing.assert_allclose(shares(tested), expected / expected.sum(), atol=0.01)


def test_long_forgotten_members_are_drawn_when_everything_newer_is_gone() -> None:
    """A thousand half-lives lie between what is left and the newest: no proposal of an age would ever hit it."""
    tested = RecencySet(SLOTS, 1.0)
    tested.add(0)
    tested.add(1)
    for _ in range(200):
        for slot in range(2, 8):
            tested.add(slot)
        for slot in range(2, 8):
            tested.discard(slot)
    np.testing.assert_allclose(shares(tested)[:2], [1 / 3, 2 / 3], atol=0.01)


def test_an_endless_half_life_is_uniform() -> None:
    tested = RecencySet(SLOTS, 1e9)
    for slot in range(SLOTS):
        tested.add(slot)
    np.testing.assert_allclose(shares(tested), np.full(SLOTS, 1 / SLOTS), atol=0.01)


@pytest.mark.parametrize("half_life", [0.0, 0.5, -1.0, float("nan")])
def test_a_half_life_below_a_step_is_refused(half_life: float) -> None:
    with pytest.raises(DataError, match="expected at least 1"):
        RecencySet(SLOTS, half_life)
