"""The seams of one control step: frames, limits, what is recorded, what is refused."""

from __future__ import annotations

from collections.abc import Iterator

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_rl.controllers.se3 import quat_rotate, tool_delta
from robot_rl.core.errors import DataError
from robot_rl.core.specs import GRIPPER
from robot_rl.envs import CellEnv, make_env, task_names
from robot_rl.envs.tasks.base import Start, down_pose, flat_pose


@pytest.fixture(scope="module")
def env() -> Iterator[CellEnv]:
    env = make_env("Reach")
    yield env
    env.close()


def from_centre(env: CellEnv, yaw_rad: float = 0.0) -> None:
    start = Start(down_pose((0.5, 0.0, 0.2), yaw_rad), 0.04, {"marker": flat_pose((0.6, 0.2, 0.3))})
    env.reset(seed=0, options={"start": start})


@pytest.mark.parametrize("yaw_rad", [0.0, 0.7])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_translation_moves_along_the_tool_axis(env: CellEnv, axis: int, yaw_rad: float) -> None:
    from_centre(env, yaw_rad)
    before = env.snapshot.arm.pose_base_tcp
    action = np.zeros(7, np.float32)
    action[axis] = 1.0
    for _ in range(3):
        env.step(action)
    moved = tool_delta(before, env.snapshot.arm.pose_base_tcp)
    assert moved[axis] > 0.02
    assert np.abs(np.delete(moved[:3], axis)).max() < 0.15 * moved[axis]
    assert np.abs(moved[3:]).max() < 0.05, "a pure translation must not turn the tool"


@pytest.mark.parametrize("axis", [3, 4, 5])
def test_rotation_turns_about_the_tool_axis(env: CellEnv, axis: int) -> None:
    from_centre(env)
    before = env.snapshot.arm.pose_base_tcp
    action = np.zeros(7, np.float32)
    action[axis] = 1.0
    for _ in range(3):
        env.step(action)
    moved = tool_delta(before, env.snapshot.arm.pose_base_tcp)
    assert moved[axis] > 0.08
    assert np.abs(moved[:3]).max() < 0.01


def test_delta_counts_from_the_measured_pose_so_nothing_winds_up(env: CellEnv) -> None:
    """After pressing into the box limit for a while, one step back moves back at once."""
    from_centre(env)
    down = np.array([0, 0, 1, 0, 0, 0, 0], np.float32)
    for _ in range(30):
        env.step(down)
    low = env.snapshot.arm.pose_base_tcp[2]
    env.step(-down)
    assert env.snapshot.arm.pose_base_tcp[2] > low + 0.005


def test_limits_hold_and_the_executed_action_is_what_was_done(env: CellEnv) -> None:
    from_centre(env)
    down = np.array([0, 0, 1, 0, 0, 0, 0], np.float32)
    for _ in range(40):
        executed = env.step(down)[4]["action_executed"]
    floor = 0.03
    assert env.snapshot.arm.pose_base_tcp[2] > floor - 2e-3
    assert abs(executed[2]) < 0.2, "at the floor of the box nothing is left of the request"


def test_executed_equals_requested_when_nothing_limits(env: CellEnv) -> None:
    from_centre(env)
    action = np.array([0.3, -0.2, 0.1, 0.05, 0.0, -0.1, 0.0], np.float32)
    np.testing.assert_array_equal(env.step(action)[4]["action_executed"], action)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-3, 3, width=32), min_size=7, max_size=7))
def test_executed_actions_stay_in_range(env: CellEnv, action: list[float]) -> None:
    from_centre(env)
    executed = env.step(np.array(action, np.float32))[4]["action_executed"]
    assert executed.dtype == np.float32 and (np.abs(executed) <= 1.0).all()


@pytest.mark.parametrize("bad", [np.full(7, np.nan), np.zeros(6), np.array([np.inf, 0, 0, 0, 0, 0, 0])])
def test_bad_actions_are_refused_and_the_robot_stays(env: CellEnv, bad: np.ndarray) -> None:
    from_centre(env)
    t_s = env.cell.clock.now_s()
    with pytest.raises(DataError, match="seven|7 finite numbers"):
        env.step(bad)
    assert env.cell.clock.now_s() == t_s


def test_velocity_is_expressed_in_the_tool_frame(env: CellEnv) -> None:
    from_centre(env, 0.7)
    action = np.array([1, 0, 0, 0, 0, 0, 0], np.float32)
    for _ in range(2):
        obs = env.step(action)[0]
    parts = env.state_spec.unpack(obs["state"])
    arm = env.snapshot.arm
    np.testing.assert_allclose(
        quat_rotate(arm.pose_base_tcp[3:], parts["tcp_velocity"]), arm.twist_base_tcp[:3], atol=1e-6
    )
    assert parts["tcp_velocity"][0] > 0.05


def test_ten_hertz_means_a_hundred_milliseconds(env: CellEnv) -> None:
    from_centre(env)
    t_s = env.snapshot.arm.t_s
    env.step(np.zeros(7, np.float32))
    assert env.snapshot.arm.t_s - t_s == pytest.approx(0.1, abs=1e-9)


def test_gripper_thresholds_and_penalty_only_on_real_toggles() -> None:
    env = make_env("PickCube")
    env.reset(seed=0)

    def grip(value: float) -> tuple[float, float]:
        action = np.zeros(7, np.float32)
        action[GRIPPER] = value
        info = env.step(action)[4]
        return env.snapshot.gripper.target_m, info["rewards"]["grasp_penalty"]

    assert grip(0.4) == (0.08, 0.0)
    assert grip(0.9) == (0.08, 0.0), "opening an open gripper is no toggle"
    assert grip(-0.9) == (0.0, -1.0)
    assert grip(-0.9) == (0.0, 0.0)
    assert grip(-0.2) == (0.0, 0.0), "between the thresholds the gripper keeps"
    assert grip(0.9) == (0.08, -1.0)
    env.close()
    env.close()


def test_pressing_feels_stiffness_times_clip() -> None:
    """Peg on the socket's rim, pushed down for 2 s: the sensor feels 2000 N/m x 6 mm."""
    env = make_env("PegInsert", force_limit_n=0.0)
    beside = flat_pose((0.5, 0.02, 0.0))
    env.reset(seed=0, options={"start": Start(down_pose((0.5, 0.0, 0.1)), 0.02, {"socket": beside})})
    for _ in range(20):
        obs = env.step(np.array([0, 0, 1, 0, 0, 0, 0], np.float32))[0]
    force = env.state_spec.unpack(obs["state"])["tcp_force"]
    assert force[2] == pytest.approx(-12.0, abs=1.5), "the table pushes against the tool's z axis"
    env.close()


def test_overload_ends_the_episode_as_truncated() -> None:
    env = make_env("PegInsert", force_limit_n=5.0)
    env.reset(
        seed=0, options={"start": Start(down_pose((0.5, 0.0, 0.1)), 0.02, {"socket": flat_pose((0.5, 0.02, 0.0))})}
    )
    for _ in range(20):
        _, _, terminated, truncated, info = env.step(np.array([0, 0, 1, 0, 0, 0, 0], np.float32))
        if truncated:
            break
    assert (terminated, truncated, info["stop_reason"]) == (False, True, "force_limit")
    assert info["rewards"]["force_penalty"] == -1.0
    env.close()


def test_gym_make_finds_every_task() -> None:
    env = gym.make("robot_rl/PegInsert-v0", clearance_mm=0.2)
    assert env.unwrapped.task.clearance_mm == 0.2  # type: ignore[attr-defined]
    env.close()


@pytest.mark.gl
def test_images_on_request() -> None:
    env = make_env("PickCube", cameras=("wrist", "side"), image_size=(64, 96))
    obs, _ = env.reset(seed=0)
    assert env.observation_space.contains(obs)
    assert {n: i.shape for n, i in obs["images"].items()} == {"wrist": (64, 96, 3), "side": (64, 96, 3)}
    red = obs["images"]["side"].astype(int)
    assert ((red[..., 0] > 150) & (red[..., 1] < 110) & (red[..., 2] < 110)).sum() > 10, (
        "the side camera sees the red cube"
    )
    env.close()


@pytest.mark.gl
def test_render_gives_a_picture() -> None:
    env = make_env("Reach", render_mode="rgb_array", render_size=(120, 160))
    env.reset(seed=0)
    picture = env.render()
    assert picture is not None and picture.shape == (120, 160, 3) and picture.std() > 10
    env.close()


@pytest.mark.parametrize("task", task_names())
def test_a_state_without_objects_holds_the_robot_alone(task: str) -> None:
    whole, blind = make_env(task), make_env(task, observe_objects=False)
    try:
        told = {p.name for p in whole.task.parts}
        assert [p.name for p in blind.state_spec.parts] == [
            p.name for p in whole.state_spec.parts if p.name not in told
        ]
        seen, _ = whole.reset(seed=3)
        obs, _ = blind.reset(seed=3)
        for name, value in blind.state_spec.unpack(obs["state"]).items():
            np.testing.assert_array_equal(value, whole.state_spec.unpack(seen["state"])[name])
        assert blind.observation_space.contains(blind.step(np.zeros(7, np.float32))[0])
    finally:
        whole.close()
        blind.close()
