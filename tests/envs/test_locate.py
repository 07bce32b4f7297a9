"""Objects found again in the state: the inverse of what a task observes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.controllers.se3 import pose_compose, quat_rotate, rotvec_to_quat
from robot_rl.core.types import ArmState, Array, GripperState
from robot_rl.envs import make_env
from robot_rl.envs.make import make_expert
from robot_rl.envs.tasks import TASKS, make_task, task_names
from robot_rl.envs.tasks.base import Snapshot, Task, square_yaw, yaw_of

# What float32 leaves of a position of half a metre, and of an angle of a quarter turn.
LOSS = 3e-7
OWN = tuple(name for name in task_names() if TASKS[name].__module__.startswith("robot_rl.envs"))


def values_of(task: Task, now: Snapshot) -> dict[str, Array]:
    """As a policy gets them: single precision."""
    return {k: np.atleast_1d(np.asarray(v, np.float32)).astype(np.float64) for k, v in task.observe(now).items()}


def snapshot(pose_base_tcp: Array, objects: dict[str, Array]) -> Snapshot:
    zero = np.zeros(6)
    arm = ArmState(np.zeros(7), np.zeros(7), pose_base_tcp, zero, zero, 0.0)
    return Snapshot(arm, GripperState(0.02, 0.0, 0.08, 0.0), objects)


def check(task: Task, now: Snapshot) -> dict[str, Array]:
    seen = values_of(task, now)
    found = task.locate(seen, now.arm.pose_base_tcp)
    assert set(found) <= {o.name for o in task.objects}
    again = values_of(task, snapshot(now.arm.pose_base_tcp, {**now.objects, **found}))
    for part in task.parts:
        apart = again[part.name] - seen[part.name]
        if part.name.endswith("_yaw"):
            apart = np.array([square_yaw(float(v)) for v in apart])
        # The angle to the vertical is an arc cosine, which is blunt near the vertical.
        assert np.abs(apart).max() < (1e-3 if part.name.endswith("_tilt") else LOSS), part.name
    return found


def random_episode(name: str, seed: int, steps: int) -> Iterator[tuple[Task, Snapshot]]:
    env = make_env(name)
    rng = np.random.default_rng(seed)
    env.reset(seed=seed)
    expert = make_expert(env, rng)
    expert.reset()
    try:
        yield env.task, env.snapshot
        for step in range(steps):
            action = expert.act() if step % 4 else rng.uniform(-1, 1, 7).astype(np.float32)
            _, _, terminated, truncated, _ = env.step(action)
            yield env.task, env.snapshot
            if terminated or truncated:
                return
    finally:
        env.close()


@pytest.mark.parametrize("name", OWN)
def test_what_is_found_looks_as_what_was_seen(name: str) -> None:
    for seed in range(3):
        for task, now in random_episode(name, seed, 60):
            check(task, now)


@pytest.mark.parametrize("name", OWN)
def test_objects_are_where_they_were_when_an_episode_begins(name: str) -> None:
    task = make_task(name)
    for seed in range(20):
        start = task.sample_start(np.random.default_rng(seed))
        objects = {o.name: start.pose_base_tcp for o in task.objects} | start.objects
        now = snapshot(start.pose_base_tcp, objects)
        found = check(task, now)
        assert found
        for key, pose in found.items():
            np.testing.assert_allclose(pose[:3], now.objects[key][:3], atol=1e-5)
            apart = abs(square_yaw(yaw_of(pose) - yaw_of(now.objects[key])))
            assert key == "marker" or apart < 1e-5


@given(
    st.sampled_from(OWN),
    st.integers(0, 2**31),
    st.floats(-0.24, 0.24),
    st.floats(-0.24, 0.24),
    st.floats(-0.8, 0.8),
    st.floats(0.0, 1.5),
)
def test_any_tool_and_any_lean(name: str, seed: int, roll: float, pitch: float, spin: float, lean: float) -> None:
    task = make_task(name)
    start = task.sample_start(np.random.default_rng(seed))
    turn = np.concatenate([[0.01, -0.02, 0.03], rotvec_to_quat(np.array([roll, pitch, spin]))])
    tool = pose_compose(start.pose_base_tcp, turn)
    objects = {o.name: tool for o in task.objects} | start.objects
    if "plug" in objects:
        rotvec = np.array([np.cos(seed), np.sin(seed), 0.0]) * lean
        objects["plug"] = pose_compose(objects["plug"], np.concatenate([np.zeros(3), rotvec_to_quat(rotvec)]))
    check(task, snapshot(tool, objects))


def test_a_held_plug_leans_as_the_tool_does() -> None:
    task = make_task("GraspInsert")
    start = task.sample_start(np.random.default_rng(3))
    for rotvec in ([0.2, 0.0, 0.0], [0.0, -0.2, 0.0], [-0.15, 0.0, 0.0]):
        turn = np.concatenate([np.zeros(3), rotvec_to_quat(np.array(rotvec))])
        tool = pose_compose(start.pose_base_tcp, turn)
        upside_down = np.array([0.0, 0.0, 0.01, 1.0, 0.0, 0.0, 0.0])
        held = pose_compose(tool, upside_down)
        now = snapshot(tool, {**start.objects, "plug": held})
        found = task.locate(values_of(task, now), tool)
        axis, found_axis = (quat_rotate(pose[3:], [0.0, 0.0, 1.0]) for pose in (held, found["plug"]))
        assert axis @ found_axis > np.cos(0.02)
        np.testing.assert_allclose(found["socket"][:3], start.objects["socket"][:3], atol=1e-3)
