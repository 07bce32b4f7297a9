"""Resets: who puts the objects back, what a person is asked, and what is done when something is off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from robot_rl.core.errors import ConfigError, DataError, DeviceError
from robot_rl.core.protocols import Cell, World
from robot_rl.core.types import Array
from robot_rl.envs import CellEnv, EnvOptions, make_env, make_expert, make_task
from robot_rl.envs.preparation import SEEN_S
from robot_rl.envs.tasks.base import flat_pose
from robot_rl.hardware.mujoco.devices import make_sim_cell

FAR = flat_pose((0.5, 0.35, 0.02))
INSIDE = flat_pose((0.52, 0.03, 0.02))


class Crooked:
    """A world whose first resets end somewhere else."""

    def __init__(self, world: World, misses: int) -> None:
        self._world, self.misses = world, misses
        self.resets = 0

    def object_pose(self, name: str) -> Array:
        return self._world.object_pose(name)

    def place(self, name: str, pose_base_object: Array) -> None:
        self._world.place(name, pose_base_object)

    def reset(self, pose_base_tcp: Array, gripper_width_m: float, object_poses: dict[str, Array]) -> None:
        self.resets += 1
        aside = np.array([0.0, 0.03, 0.0, 0.0, 0.0, 0.0, 0.0])
        missed = pose_base_tcp + aside if self.resets <= self.misses else pose_base_tcp
        self._world.reset(missed, gripper_width_m, object_poses)


def crooked_cell(task: str, misses: int, **facts: object) -> tuple[Cell, Crooked]:
    built = make_task(task)
    cell, _ = make_sim_cell(built.objects, built.impedance)
    world = Crooked(cell.world, misses)
    return replace(cell, world=world, **facts), world  # type: ignore[arg-type]


@contextmanager
def pick(cell: Cell | None = None, **options: object) -> Iterator[CellEnv]:
    """`PickCube` on a cell, by default the simulated one."""
    chosen: dict[str, Any] = dict(options)
    on = cell if cell is not None else crooked_cell("PickCube", misses=0)[0]
    env = CellEnv(on, make_task("PickCube"), EnvOptions(**chosen))
    try:
        yield env
    finally:
        env.close()


def cube(env: CellEnv) -> Array:
    return env.cell.world.object_pose("cube")


def test_a_reset_that_misses_is_tried_again() -> None:
    cell, world = crooked_cell("PickCube", misses=2)
    with pick(cell) as env:
        env.reset(seed=0)
        assert world.resets == 3
        assert np.linalg.norm(env.snapshot.arm.pose_base_tcp[:3] - env.task.home_base_tcp[:3]) < 0.08


def test_what_stays_off_is_named_with_its_size() -> None:
    cell, world = crooked_cell("PickCube", misses=9)
    with pick(cell, reset_tries=2) as env, pytest.raises(DataError, match=r"after 2 resets the tool is (29|30)\.\d mm"):
        env.reset(seed=0)
    assert world.resets == 2


def test_the_gripper_is_looked_at_where_the_task_moves_it() -> None:
    class Stuck:
        def __init__(self, cell: Cell) -> None:
            self._gripper = cell.gripper
            self.command, self.close = cell.gripper.command, cell.gripper.close

        def state(self):  # type: ignore[no-untyped-def]
            return replace(self._gripper.state(), width_m=0.031)

    cell, _ = crooked_cell("PickCube", misses=0)
    problem = r"open by 31\.0 mm instead of 80"
    with pick(replace(cell, gripper=Stuck(cell))) as env, pytest.raises(DataError, match=problem):
        env.reset(seed=0)
    held, _ = crooked_cell("PegInsert", misses=0)
    env = CellEnv(replace(held, gripper=Stuck(held)), make_task("PegInsert"), EnvOptions())
    env.reset(seed=0)
    env.close()


@pytest.mark.parametrize("reset_by", ["auto", "program"])
def test_looking_costs_no_bit(reset_by: str) -> None:
    """The verified reset leaves the start state of a seed as the simulator's reset makes it."""
    with pick(reset_by=reset_by) as env:
        obs, _ = env.reset(seed=5)
        start = env.task.sample_start(np.random.default_rng(5))
        again, _ = env.reset(seed=99, options={"start": start})
        assert obs["state"].tobytes() == again["state"].tobytes()
        assert env.wanted() == "" and env.put_back == 0


def test_a_person_is_asked_only_for_what_lies_wrong() -> None:
    with pick(reset_by="person") as env:
        env.reset(seed=0, options={"reset_by": "program"})
        env.cell.world.place("cube", INSIDE)
        env.reset(seed=1)
        assert env.wanted() == ""
        np.testing.assert_allclose(cube(env), INSIDE, atol=1e-6)
        env.cell.world.place("cube", FAR)
        env.reset(seed=2)
        assert env.wanted().startswith("Put the cube anywhere in the marked square of 20 cm")
        assert "outside the square" in env.wanted()
        np.testing.assert_allclose(cube(env), FAR, atol=1e-6)
        env.confirm()
        assert env.wanted() == "" and env.put_back == 1
        assert env.task.misplaced(env_now(env)) == "", "in simulation the program does it in the person's place"


def env_now(env: CellEnv):  # type: ignore[no-untyped-def]
    env.look()
    return env.snapshot


def test_what_a_person_moved_is_no_progress() -> None:
    with pick(reset_by="person", dense_reward=True) as env:
        env.reset(seed=0)
        env.confirm()
        env.look()
        _, _, _, _, info = env.step(np.zeros(7, np.float32))
        assert abs(info["rewards"]["process"]) < 1e-3
        assert info["t_control_s"] == pytest.approx(0.1)


def test_nobody_is_asked_and_the_object_stays_unless_out_of_reach() -> None:
    with pick(reset_by="nobody") as env:
        env.reset(seed=0)
        assert env.put_back == 1, "at first it is nowhere"
        env.cell.world.place("cube", INSIDE)
        env.reset(seed=1)
        np.testing.assert_allclose(cube(env), INSIDE, atol=1e-6)
        env.give_up()
        env.reset(seed=2)
        assert env.put_back == 2 and np.linalg.norm(cube(env) - INSIDE) > 1e-3
        env.reset(seed=3)
        assert env.put_back == 2
        assert env.wanted() == ""


def test_what_is_held_falls_before_the_arm_leaves() -> None:
    with pick(reset_by="nobody") as env:
        env.reset(seed=0)
        expert, done = make_expert(env, np.random.default_rng(0)), False
        while not done:
            _, _, terminated, truncated, _ = env.step(expert.act())
            done = terminated or truncated
        assert cube(env)[2] > 0.08
        env.reset(seed=1)
        assert abs(cube(env)[2] - 0.02) < 2e-3


def test_where_nothing_is_seen_only_the_word_of_a_person_counts() -> None:
    cell, _ = crooked_cell("PickCube", misses=0, placed_by_person=True, unseen=frozenset({"cube"}))
    with pick(cell) as env:
        env.reset(seed=0)
        for _ in range(3):
            assert env.wanted().endswith("then press ready")
        before = cube(env)
        env.confirm()
        assert env.wanted() == ""
        np.testing.assert_array_equal(cube(env), before)


def test_what_a_tracker_sees_in_place_for_a_second_needs_no_word() -> None:
    cell, _ = crooked_cell("PickCube", misses=0, placed_by_person=True, lockstep=False)
    with pick(cell, max_state_age_s=0.0) as env:
        env.reset(seed=0)
        assert env.wanted() != ""
        env.confirm()
        assert "outside the square" in env.wanted(), "it is seen to lie elsewhere, so the word does not count"
        cell.world.place("cube", INSIDE)
        assert env.wanted() != ""
        cell.clock.sleep_until(cell.clock.now_s() + 0.6 * SEEN_S)
        cell.world.place("cube", FAR)
        assert env.wanted() != ""
        cell.world.place("cube", INSIDE)
        assert env.wanted() != "", "the second begins anew"
        cell.clock.sleep_until(cell.clock.now_s() + SEEN_S)
        assert env.wanted() == ""


def test_a_hand_that_hides_the_object_stops_nothing() -> None:
    class Hidden(Crooked):
        hidden = False

        def object_pose(self, name: str) -> Array:
            if self.hidden:
                raise DeviceError("the pose of cube was last heard 1.2 s ago")
            return super().object_pose(name)

    cell, _ = crooked_cell("PickCube", misses=0, placed_by_person=True)
    world = Hidden(cell.world, misses=0)
    with pick(replace(cell, world=world)) as env:
        env.reset(seed=0)
        world.hidden = True
        assert "last heard" in env.wanted()
        env.confirm()
        assert env.wanted() != ""
        world.hidden = False
        world.place("cube", INSIDE)
        assert env.wanted() == ""


def test_a_person_frees_an_arm_that_does_not_arrive() -> None:
    cell, world = crooked_cell("PickCube", misses=4, placed_by_person=True)
    with pick(cell) as env:
        env.reset(seed=0)
        assert "mm" in env.wanted() and "free the arm" in env.wanted()
        env.confirm()
        assert world.resets == 5
        assert "free the arm" not in env.wanted()


def test_an_option_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="reset_by must be one of auto, program, person, nobody"):
        make_env("PickCube", reset_by="me")
    with pytest.raises(ConfigError, match="reset_by of the environment must be str"):
        make_env("PickCube", reset_by=3)


def test_where_nobody_sees_the_objects_a_person_is_asked_once_a_policy_has_given_up() -> None:
    cell, _ = crooked_cell("PickCube", misses=0, placed_by_person=True, unseen=frozenset({"cube"}))
    with pick(cell, reset_by="nobody") as env:
        env.reset(seed=0)
        assert env.wanted() == ""
        env.give_up()
        env.reset(seed=1)
        assert env.wanted().startswith("Put the cube")
        env.confirm()
        assert (env.wanted(), env.put_back) == ("", 1)
        env.reset(seed=2)
        assert env.wanted() == ""
