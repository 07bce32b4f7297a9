"""How many updates belong to how many steps: the ratio keeps its bounds and nobody waits for ever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.core.errors import ConfigError
from robot_rl.runtime.config import PaceConfig
from robot_rl.runtime.learner.pace import UNLIMITED_STEPS, allowed_steps, due_updates, most_updates

paces = st.builds(
    PaceConfig,
    env_steps_per_update=st.integers(1, 40),
    utd_floor=st.floats(0.05, 1.0),
    utd_cap=st.floats(1.0, 5.0),
    learning_starts=st.integers(1, 60),
    slack=st.integers(4, 60),
)


@pytest.mark.parametrize(("steps", "due", "most"), [(0, 0, 0), (300, 0, 0), (301, 0, 1), (302, 1, 2), (400, 50, 100)])
def test_by_hand(steps: int, due: int, most: int) -> None:
    pace = PaceConfig(env_steps_per_update=2, utd_cap=2.0)
    assert (due_updates(pace, steps), most_updates(pace, steps)) == (due, most)


def test_the_floor_says_how_far_acting_may_go() -> None:
    assert [allowed_steps(PaceConfig(), n) for n in (0, 1, 100)] == [350, 351, 450]
    assert [allowed_steps(PaceConfig(utd_floor=0.5), n) for n in (0, 1, 100)] == [350, 352, 550]
    assert allowed_steps(PaceConfig(utd_floor=0.0), 0) == UNLIMITED_STEPS


@given(pace=paces, actors=st.integers(1, 70), updates=st.integers(0, 10_000))
def test_what_is_allowed_always_pays_for_the_next_update(pace: PaceConfig, actors: int, updates: int) -> None:
    """Every actor keeps its newest step back, so so many of the allowed steps have not arrived."""
    assert due_updates(pace, allowed_steps(pace, updates, actors) - actors) > updates


@given(pace=paces, turns=st.lists(st.integers(0, 30), max_size=60), eager=st.booleans())
def test_whoever_is_faster_the_ratio_stays_between_floor_and_cap(
    pace: PaceConfig, turns: list[int], eager: bool
) -> None:
    """The actor tries to take so many steps a turn, the learner makes one update call a turn, or all that it may."""
    steps = updates = 0
    for wanted in turns:
        steps = max(steps, min(steps + wanted, allowed_steps(pace, updates)))
        while updates < (most_updates if eager else due_updates)(pace, steps):
            updates += 1
            if not eager:
                break
        learned_from = max(0, steps - pace.learning_starts)
        ahead = max(pace.slack, pace.env_steps_per_update + 1)
        assert updates <= max(pace.utd_cap * learned_from / pace.env_steps_per_update, due_updates(pace, steps))
        assert updates >= pace.utd_floor * (learned_from - ahead) / pace.env_steps_per_update - 1e-6


def test_floor_and_cap_enclose_the_target() -> None:
    for wrong in ({"utd_floor": 1.1}, {"utd_floor": -0.1}, {"utd_cap": 0.9}, {"max_policy_age_s": 0.0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            PaceConfig(**wrong)
