"""Two tasks that undo each other: fields, what counts as arrived, and one robot for both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.core.errors import ConfigError
from robot_rl.core.types import Array
from robot_rl.envs import CellEnv, make_expert
from robot_rl.envs.pair import PairEnv, make_pair
from robot_rl.envs.tasks.base import flat_pose
from robot_rl.envs.tasks.move_cube import CENTRES_M, FIELD_M, MoveCubeBack, MoveCubeOut

PAIR = ("MoveCubeOut", "MoveCubeBack")


@pytest.fixture
def pair() -> Iterator[tuple[PairEnv, PairEnv]]:
    envs = make_pair(*PAIR)
    yield envs
    envs[0].close()


def solve(env: CellEnv, seed: int) -> bool:
    env.reset(seed=seed)
    expert = make_expert(env, np.random.default_rng(seed))
    while True:
        _, _, terminated, truncated, _ = env.step(expert.act())
        if terminated or truncated:
            return terminated


def test_one_task_begins_where_the_other_ended(pair: tuple[PairEnv, PairEnv]) -> None:
    out, back = pair
    assert out.cell is back.cell
    for seed in range(4):
        mover = pair[seed % 2]
        assert solve(mover, seed) and mover.undone() is False and pair[1 - seed % 2].undone()
        left: Array = mover.cell.world.object_pose("cube")
        pair[1 - seed % 2].reset(seed=100 + seed)
        np.testing.assert_allclose(mover.cell.world.object_pose("cube")[:2], left[:2], atol=2e-3)
    assert out.put_back + back.put_back == 1, "only before the first episode was the cube nowhere"


def test_a_cube_out_of_reach_is_put_into_the_field_of_whose_turn_it_is(pair: tuple[PairEnv, PairEnv]) -> None:
    for env in pair:
        env.cell.world.place("cube", flat_pose((0.5, 0.4, 0.02)))
        env.reset(seed=3)
        assert env.task.misplaced(env.snapshot) == "" and not env.task.success(env.snapshot)
        assert env.put_back == 1


def test_no_start_is_done_already_and_each_is_within_reach(pair: tuple[PairEnv, PairEnv]) -> None:
    for env in pair:
        for seed in range(40):
            env.reset(seed=seed, options={"reset_by": "program"})
            assert not env.task.arrived(env.snapshot) and env.task.misplaced(env.snapshot) == ""
        assert env.put_back == 0


@given(st.floats(0.3, 0.7), st.floats(-0.3, 0.3))
def test_a_place_is_at_most_one_goal(x: float, y: float) -> None:
    def inside(task: MoveCubeOut) -> bool:
        return bool(np.abs(np.array([x, y]) - task.goal_m).max() < FIELD_M)

    assert not (inside(MoveCubeOut()) and inside(MoveCubeBack()))


def test_the_two_undo_each_other() -> None:
    out, back = MoveCubeOut(), MoveCubeBack()
    np.testing.assert_array_equal(out.goal_m, back.source_m)
    np.testing.assert_array_equal(out.source_m, back.goal_m)
    assert out.objects == back.objects
    assert np.abs(CENTRES_M[0] - CENTRES_M[1]).max() > 2 * FIELD_M, "the fields do not touch"
    assert "right" in out.request and "left" in back.request


def test_what_is_no_pair_is_refused() -> None:
    with pytest.raises(ConfigError, match="MoveCubeOut and PickCube are no pair"):
        make_pair("MoveCubeOut", "PickCube")


def test_what_cannot_be_seen_is_neither_done_nor_undone(pair: tuple[PairEnv, PairEnv]) -> None:
    out, _ = pair
    out.reset(seed=1)
    assert out.undone() is True
    out.cell = replace(out.cell, unseen=frozenset({"cube"}))
    assert out.undone() is None


@pytest.mark.parametrize(("options", "reason"), [({"imperfections": "franka"}, "imperfections are in its YAML")])
def test_a_cell_outside_this_process_decides_for_both(options: dict[str, str], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        make_pair(*PAIR, cell="ros", **options)
