"""Returns of stored episodes are those of the rewards as they are labelled now, whatever the replay went through."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.core.transition import ReturnsBatch, StepRecord
from robot_rl.data.replay import MixtureSampler, ReplayBuffer, RewardWeights
from robot_rl.data.rewards import episode_returns, infinite_horizon
from tests.data.episodes import SPEC, episode
from tests.data.reference import identity

GAMMA = 0.9


def returns(buffer: ReplayBuffer, floor: float = 0.0) -> dict[tuple[int, int], float]:
    """Of every slot that may be drawn, by episode and step."""
    sampler = MixtureSampler(buffer, 64, 8, 0.5, np.random.default_rng(0))
    found: dict[tuple[int, int], float] = {}
    for _ in range(6):
        batch = sampler.sample_with_returns(floor)
        rows, values = batch.batch, batch.mc_return
        assert not isinstance(rows, ReturnsBatch) and values.shape == rows.reward.shape  # type: ignore[union-attr]
        for state, value in zip(rows.state.reshape(-1, 3), values.reshape(-1), strict=True):  # type: ignore[union-attr]
            found[identity(state)] = float(value)
    return found


@given(
    st.lists(st.tuples(st.integers(1, 8), st.booleans(), st.booleans()), min_size=1, max_size=5),
    st.floats(-5.0, 0.0),
    st.integers(1, 3),
)
def test_they_are_the_returns_of_the_episodes(shapes: list[tuple[int, bool, bool]], floor: float, n_step: int) -> None:
    buffer = ReplayBuffer(SPEC, 200, pinned=200, gamma=GAMMA, n_step=n_step)
    expected: dict[tuple[int, int], float] = {}
    for number, (steps, terminated, demo) in enumerate(shapes):
        records = episode(number, steps, terminated=terminated)
        for record in records:
            buffer.add(record, demo=demo)
        values = episode_returns(records, RewardWeights(), GAMMA, floor=floor)
        expected |= {(number, i): float(v) for i, v in enumerate(values)}
    got = returns(buffer, floor)
    assert got.keys() <= expected.keys() and len(got) > 0.8 * len(expected)
    for at, value in got.items():
        assert value == pytest.approx(expected[at], rel=1e-4, abs=1e-5)


def test_relabelled_rewards_and_new_weights_count_at_once() -> None:
    records = episode(0, 4, terminated=True)
    buffer = ReplayBuffer(SPEC, 50, pinned=50, gamma=GAMMA, weights=RewardWeights(0.0, 1.0, 0.0, 0.0, 0.0))
    buffer.add_demos([records])
    buffer.relabel(records[0].episode_id, "process", [0.0, 0.0, 0.0, 1.0])
    assert returns(buffer) == pytest.approx({(0, i): GAMMA ** (3 - i) for i in range(4)}, rel=1e-5)
    buffer.weights = RewardWeights(0.0, 2.0, 0.0, 0.0, 0.0)
    assert returns(buffer)[0, 3] == pytest.approx(2.0)


def test_what_is_under_way_cut_or_behind_a_gap_earns_the_floor() -> None:
    floor = infinite_horizon(-1.0, GAMMA)
    buffer = ReplayBuffer(SPEC, 50, pinned=0, gamma=GAMMA, weights=RewardWeights(0.0, 1.0, 0.0, 0.0, 0.0))

    def minus_one(records: list[StepRecord]) -> None:
        for r in records:
            buffer.add(r)
        buffer.relabel(records[0].episode_id, "process", np.full(records[-1].step_index + 1, -1.0))

    minus_one(episode(0, 5, ended=False))
    minus_one(episode(1, 5))
    records = episode(2, 6)
    minus_one([r for r in records if r.step_index != 3])
    got = returns(buffer, floor)
    # a reward of -1 for ever is the floor itself, so every one of them is
    assert all(value == pytest.approx(floor, rel=1e-5) for value in got.values())
    assert (2, 2) not in got, "what followed it was never seen"


def test_the_ring_overwrites_without_mixing_episodes() -> None:
    buffer = ReplayBuffer(SPEC, 11, pinned=0, gamma=1.0, weights=RewardWeights(0.0, 1.0, 0.0, 0.0, 0.0))
    for number in range(6):
        records = episode(number, 4, terminated=True)
        for r in records:
            buffer.add(r)
        buffer.relabel(records[0].episode_id, "process", [number + 1.0] * 4)
    for (number, step), value in returns(buffer).items():
        assert value == pytest.approx((number + 1.0) * (4 - step))


def test_the_draws_are_those_without_returns() -> None:
    def buffer() -> ReplayBuffer:
        made = ReplayBuffer(SPEC, 50, pinned=50)
        made.add_demos([episode(0, 5)])
        return made

    one = MixtureSampler(buffer(), 16, 2, 0.5, np.random.default_rng(4))
    two = MixtureSampler(buffer(), 16, 2, 0.5, np.random.default_rng(4))
    for _ in range(3):
        for a, b in zip(one.sample(), two.sample_with_returns(0.0).batch, strict=True):
            np.testing.assert_array_equal(a, b)


def test_dropped_demonstrations_are_drawn_no_more_and_corrections_are() -> None:
    buffer = ReplayBuffer(SPEC, 50, pinned=50)
    buffer.add_demos([episode(100, 5)])
    for record in episode(0, 5, interventions=[1, 2]):
        buffer.add(record)
    buffer.drop_demos()
    assert len(buffer.demo) == 2
    batch = MixtureSampler(buffer, 200, 1, 0.5, np.random.default_rng(0)).sample()
    assert (batch.state[..., 0] == 0.0).all()  # type: ignore[union-attr]
    assert not buffer.add(episode(100, 5)[0], demo=True), "they stay known"
