"""The monitor tells a reward that is farmed from one that helps."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.rewards.monitor import (
    BELIEVED,
    LOITERING,
    OPPOSED,
    RISING,
    EpisodeSummary,
    MonitorConfig,
    MonitorState,
    correlation,
    find_signs,
    observe,
    ranks,
)

CONFIG = MonitorConfig(window=20, check_every=5, patience=3)


def episode(n: int, ret: float, success: bool, high: int = 0, end: float = 0.5, helped: bool = False) -> EpisodeSummary:
    return EpisodeSummary(f"run-a0-{n:06d}", ret, success, high, end, helped)


def follow(episodes: list[EpisodeSummary], config: MonitorConfig = CONFIG) -> list[MonitorState]:
    state, states = MonitorState(), []
    for e in episodes:
        state = observe(state, e, config)
        states.append(state)
    return states


def healthy(n: int = 60) -> list[EpisodeSummary]:
    """Process return and success rise together."""
    rng = np.random.default_rng(0)
    out = []
    for k in range(n):
        success = bool(rng.random() < k / n)
        out.append(episode(k, rng.normal(0.9 if success else 0.4, 0.05), success, end=1.0 if success else 0.4))
    return out


def farmed(n: int = 60) -> list[EpisodeSummary]:
    """Success was never there; the policy finds out that hovering pays."""
    rng = np.random.default_rng(0)
    return [
        episode(k, rng.normal(5.0 + k, 1.0), False, high=int(k * 0.8), end=0.85 if k > 15 else 0.4) for k in range(n)
    ]


def test_a_reward_that_helps_raises_no_alarm() -> None:
    assert {s.last.level for s in follow(healthy())} == {"green"}


def test_a_reward_that_is_farmed_raises_a_red_one() -> None:
    states = follow(farmed())
    first = next(i for i, s in enumerate(states) if s.last.level == "red")
    assert first + 1 == CONFIG.window
    assert {RISING, LOITERING} <= set(states[first].last.signs)
    assert "while success went from 0% to 0%" in states[first].last.reason


def test_a_return_that_rises_before_success_is_never_red() -> None:
    """That is what a process reward is for."""
    episodes = [episode(k, 0.01 * k, False, end=0.01 * k) for k in range(80)]
    states = follow(episodes)
    assert {s.last.level for s in states} == {"green", "amber"}
    assert states[-1].last.signs == (RISING,)


def test_a_single_sign_that_persists_is_red() -> None:
    episodes = [episode(k, 0.5, False, end=0.9) for k in range(40)]
    levels = [s.last.level for s in follow(episodes)]
    assert levels[18] == "green" and levels[19] == levels[28] == "amber" and levels[29] == "red"
    assert follow(episodes)[-1].last.signs == (BELIEVED,)


def test_a_sign_that_comes_and_goes_does_not_persist() -> None:
    fooled = [episode(k, 0.5, False, end=0.9) for k in range(22)]
    solved = [episode(k, 0.5, True, end=0.9) for k in range(40)]
    levels = [s.last.level for s in follow(fooled + solved)]
    assert "red" not in levels and levels[-1] == "green"


def test_failures_that_earn_more_than_successes_are_noticed() -> None:
    mixed = [episode(k, 30.0 if k % 2 else 5.0, not k % 2) for k in range(20)]
    assert set(find_signs(mixed, CONFIG)) == {OPPOSED}
    assert correlation(mixed) == pytest.approx(-1.0)


def test_few_episodes_of_a_kind_say_nothing_of_correlation() -> None:
    assert correlation([episode(k, k, k == 0) for k in range(20)]) is None


@given(arrays(np.float64, st.integers(2, 30), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0])))
def test_ranks_are_those_of_scipy(values: np.ndarray) -> None:
    assert ranks(values) == pytest.approx(stats.rankdata(values))


@given(st.lists(st.tuples(st.floats(-1.0, 1.0), st.booleans()), min_size=10, max_size=40))
def test_correlation_is_that_of_scipy(pairs: list[tuple[float, bool]]) -> None:
    window = [episode(k, ret, success) for k, (ret, success) in enumerate(pairs)]
    got, returns = correlation(window), [p[0] for p in pairs]
    successes = sum(p[1] for p in pairs)
    if min(successes, len(pairs) - successes) < 5:
        assert got is None
    elif len(set(returns)) == 1:
        assert got == 0.0
    else:
        assert got == pytest.approx(stats.spearmanr(returns, [float(p[1]) for p in pairs]).statistic)


def test_helped_episodes_say_nothing() -> None:
    states = follow([episode(k, k, False, high=k, end=0.9, helped=True) for k in range(60)])
    assert states[-1] == MonitorState()


def test_failures_that_the_model_holds_for_done_are_to_be_looked_at() -> None:
    ends = [0.9, 0.3, 0.95]
    states = follow([episode(k, 0.0, k == 2, end=end) for k, end in enumerate(ends)])
    assert states[-1].review == ("run-a0-000000",)


def test_the_state_survives_a_checkpoint() -> None:
    for state in (MonitorState(), follow(farmed())[-1], follow(healthy())[-1]):
        assert MonitorState.from_plain(json.loads(json.dumps(state.to_plain()))) == state


def test_going_on_from_a_checkpoint_finds_the_same() -> None:
    episodes, half = farmed(), 23
    state = MonitorState.from_plain(json.loads(json.dumps(follow(episodes[:half])[-1].to_plain())))
    for e in episodes[half:]:
        state = observe(state, e, CONFIG)
    assert state == follow(episodes)[-1]


@pytest.mark.parametrize("data", [{}, {"window": 3}, {**MonitorState().to_plain(), "last": {}}])
def test_a_broken_state_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        MonitorState.from_plain(data)


def test_a_window_has_two_halves() -> None:
    with pytest.raises(ConfigError, match="even number"):
        MonitorConfig(window=21)
