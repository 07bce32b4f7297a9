"""Composition of components and Monte-Carlo returns."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.core.errors import DataError
from robot_rl.data.rewards import (
    COMPONENTS,
    STORED,
    RewardWeights,
    check_components,
    component_row,
    episode_returns,
    infinite_horizon,
    mc_returns,
    relabel_records,
    step_rewards,
)
from tests.data.episodes import episode


def test_the_gripper_penalty_is_the_grippers_alone() -> None:
    weights = RewardWeights(success=1.0, process=0.5, force_penalty=2.0, grasp_penalty=3.0)
    row = component_row({"success": 1.0, "process": 4.0, "force_penalty": -0.1, "grasp_penalty": -0.01})
    assert row @ weights.motion() == pytest.approx(1.0 + 2.0 - 0.2)
    assert row @ weights.gripper() == pytest.approx(-0.03)


def test_an_unknown_component_is_named() -> None:
    with pytest.raises(DataError, match="unknown reward component 'sucess': did you mean 'success'"):
        component_row({"sucess": 1.0})


@given(st.lists(st.floats(-2, 2), min_size=1, max_size=20), st.floats(0, 1), st.floats(-5, 5))
def test_returns_are_the_discounted_sums(rewards: list[float], gamma: float, tail: float) -> None:
    got = mc_returns(rewards, gamma, tail=tail)
    for t in range(len(rewards)):
        rest = rewards[t:]
        expected = sum(gamma**i * r for i, r in enumerate(rest)) + gamma ** len(rest) * tail
        assert got[t] == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_the_floor_counts_after_truncation_only() -> None:
    weights = RewardWeights(process=0.0, force_penalty=0.0)
    floor = infinite_horizon(-1.0, 0.9)
    assert floor == pytest.approx(-10.0)
    assert episode_returns(episode(0, 2), weights, 0.9, floor=floor) == pytest.approx([-8.1, -9.0])
    assert episode_returns(episode(0, 2, terminated=True), weights, 0.9, floor=floor) == pytest.approx([0.9, 1.0])


def test_relabelling_gives_a_new_version_and_new_returns() -> None:
    records = episode(0, 3)
    weights = RewardWeights(force_penalty=0.0)
    new = relabel_records(records, "process", [0.0, 0.0, 2.0], reward_version=4)
    assert [r.reward_version for r in records] == [0, 0, 0] and [r.reward_version for r in new] == [4, 4, 4]
    assert episode_returns(new, weights, 0.5) == pytest.approx([0.5, 1.0, 2.0])
    assert step_rewards(records, weights) == pytest.approx([r.rewards["process"] for r in records])
    assert all(a.rewards["force_penalty"] == b.rewards["force_penalty"] for a, b in zip(records, new, strict=True))


@pytest.mark.parametrize("values", [[1.0], [1.0, float("nan"), 0.0]])
def test_relabelling_needs_a_finite_value_for_every_step(values: list[float]) -> None:
    with pytest.raises(DataError, match="relabelling needs"):
        relabel_records(episode(0, 3), "process", values, 1)


def test_every_component_has_a_weight() -> None:
    assert (RewardWeights().motion() + RewardWeights().gripper() != 0).all()
    assert len(RewardWeights().gripper()) == len(STORED)
    assert np.flatnonzero(RewardWeights().motion() == 0).tolist() == [STORED.index("grasp_penalty")]


def test_only_what_the_environment_says_may_be_in_a_record() -> None:
    assert set(STORED) - set(COMPONENTS) == {"intervention_penalty"}
    check_components(dict.fromkeys(COMPONENTS, 0.0))
    with pytest.raises(DataError, match="unknown reward component 'intervention_penalty'"):
        check_components({"intervention_penalty": -1.0})
