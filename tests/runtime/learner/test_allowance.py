"""Actors share what is left without taking more than there is, and without ever waiting for each other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from robot_rl.runtime.learner.allowance import Allowance

NAMES = ("a", "b", "c")


def test_one_actor_gets_everything() -> None:
    assert Allowance().grant({"a": 7}, 50) == {"a": 57}


def test_shares_are_even() -> None:
    assert Allowance().grant(dict.fromkeys("abc", 0), 10) == {"a": 4, "b": 4, "c": 2}


def test_a_fast_actor_does_not_use_up_what_the_others_were_promised() -> None:
    allowance = Allowance()
    allowance.grant({"a": 0, "b": 0}, 10)
    assert allowance.grant({"a": 5, "b": 0}, 5) == {"a": 5, "b": 5}


def test_a_promise_is_kept_when_less_is_left() -> None:
    allowance = Allowance()
    allowance.grant({"a": 0}, 10)
    assert allowance.grant({"a": 2}, 3) == {"a": 10}


def test_what_a_silent_actor_was_promised_is_free_again() -> None:
    allowance = Allowance()
    allowance.grant({"a": 0, "b": 0}, 10)
    assert allowance.grant({"a": 5}, 5) == {"a": 10}


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 9), st.integers(0, 5)), max_size=60))
def test_all_together_never_take_more_than_was_allowed_to_all(events: list[tuple[str, int, int]]) -> None:
    """Actors take as much as they may, in any order, while the limit grows now and then."""
    allowance, own, limit = Allowance(), dict.fromkeys(NAMES, 0), 10
    for name, steps, growth in events:
        limit += growth
        allowed = allowance.grant(own, limit - sum(own.values()))
        own[name] += min(steps, allowed[name] - own[name])
        assert sum(own.values()) <= limit


@given(st.integers(1, 8), st.integers(0, 30), st.data())
def test_somebody_can_always_take_two_more_steps_when_more_than_one_each_is_left(
    actors: int, spare: int, data: st.DataObject
) -> None:
    """An actor holds back its newest step, so it needs two to hand one over."""
    names = [f"a{k}" for k in range(actors)]
    allowance, own = Allowance(), dict.fromkeys(names, 0)
    limit = actors + 1 + spare
    while sum(own.values()) + actors < limit:
        allowed = allowance.grant(own, limit - sum(own.values()))
        able = [name for name in names if allowed[name] - own[name] >= 2]
        assert able
        own[data.draw(st.sampled_from(able))] += 1


def test_equally_fast_actors_end_with_equal_shares_when_the_learner_sets_the_pace() -> None:
    """One step becomes free at a time, as when every step pays for one update."""
    allowance, own, limit = Allowance(), dict.fromkeys(NAMES, 0), 10
    for _ in range(300):
        allowed = allowance.grant(own, limit - sum(own.values()))
        own = allowed
        limit += 1
    assert max(own.values()) - min(own.values()) <= 4
