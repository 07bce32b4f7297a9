"""A logged episode shows what was true when it was recorded."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import mujoco
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_rl.console.recording import Recording, load_recording
from robot_rl.controllers.se3 import quat_angle
from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.types import Array
from robot_rl.data.episode_log import PARTIAL
from robot_rl.envs.tasks import TASKS
from robot_rl.envs.tasks.peg_insert import PegInsert
from robot_rl.hardware.mujoco import panda
from robot_rl.hardware.mujoco.scene import build_model
from robot_rl.runtime.repeat import repeat_facts
from tests.console.episodes import Logged, log_episode

NAMES = ("Reach", "PickCube", "PegInsert", "GraspInsert", "MoveCubeOut")


@pytest.fixture(scope="module")
def episodes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Logged, Recording]]:
    out = {}
    for name in NAMES:
        logged = log_episode(tmp_path_factory.mktemp(name), name, seed=3, extra=repeat_facts(3, {}))
        out[name] = (logged, load_recording(logged.path))
    return out


def clearance_mm(recording: Recording) -> float:
    assert isinstance(recording.task, PegInsert)
    return recording.task.clearance_mm


@cache
def bare_model() -> mujoco.MjModel:
    return build_model(())


def tool_of(q_rad: Array) -> tuple[Array, Array]:
    data = mujoco.MjData(bare_model())
    data.qpos[:7] = q_rad
    mujoco.mj_kinematics(bare_model(), data)
    site, quat = data.site(panda.TCP_SITE), np.zeros(4)
    mujoco.mju_mat2Quat(quat, site.xmat)
    return site.xpos.copy(), quat[[1, 2, 3, 0]]


@pytest.mark.parametrize("name", NAMES)
def test_robot_is_where_it_was(episodes: dict[str, tuple[Logged, Recording]], name: str) -> None:
    logged, recording = episodes[name]
    assert len(recording.frames) == len(logged.truth) and recording.unreached == 0 and recording.options_known
    for frame, truth, q_rad in zip(recording.frames, logged.truth, logged.q_rad, strict=True):
        arm = truth.arm
        np.testing.assert_allclose(frame.pose_base_tcp[:3], arm.pose_base_tcp[:3], atol=1e-6)
        assert quat_angle(frame.pose_base_tcp[3:], arm.pose_base_tcp[3:]) < 1e-5
        position, quat = tool_of(frame.q_rad)
        assert np.linalg.norm(position - arm.pose_base_tcp[:3]) < 1e-4
        assert quat_angle(quat, arm.pose_base_tcp[3:]) < 1e-3
        # The elbow is free to swing; what is found stays near the way the robot was.
        np.testing.assert_allclose(frame.q_rad, q_rad, atol=0.2)
        np.testing.assert_allclose(frame.wrench_tcp, arm.wrench_tcp, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(frame.pose_base_target[:3], truth.pose_base_target[:3], atol=1e-5)
        assert frame.gripper_width_m == pytest.approx(truth.gripper.width_m, abs=2e-3)


@pytest.mark.parametrize("name", NAMES)
def test_objects_are_where_they_were(episodes: dict[str, tuple[Logged, Recording]], name: str) -> None:
    logged, recording = episodes[name]
    for frame, truth in zip(recording.frames, logged.truth, strict=True):
        assert set(frame.objects) == set(truth.objects)
        for key, pose in truth.objects.items():
            np.testing.assert_allclose(frame.objects[key][:3], pose[:3], atol=1e-5)


def test_a_fixture_stays_although_a_leaning_plug_hides_where_it_is(
    episodes: dict[str, tuple[Logged, Recording]],
) -> None:
    _, recording = episodes["GraspInsert"]
    for key in ("socket", "holder"):
        assert len({frame.objects[key].tobytes() for frame in recording.frames}) == 1


def test_what_happened_is_that_of_the_step_before(episodes: dict[str, tuple[Logged, Recording]]) -> None:
    logged, recording = episodes["PickCube"]
    first, *later = recording.frames
    assert first.rewards == {} and not first.intervention and first.policy_version == -1
    np.testing.assert_array_equal(first.pose_base_target, first.pose_base_tcp)
    for k, (frame, record) in enumerate(zip(later, logged.records, strict=True)):
        assert frame.step_index == k + 1 and frame.episode_id == record.episode_id
        assert dict(frame.rewards) == dict(record.rewards) and frame.intervention == record.intervention
        np.testing.assert_array_equal(frame.action, record.action_executed.astype(np.float64))


def test_time_finds_its_frame(episodes: dict[str, tuple[Logged, Recording]]) -> None:
    _, recording = episodes["PegInsert"]
    assert recording.duration_s == pytest.approx(0.1 * (len(recording.frames) - 1))
    assert [recording.index_at(t) for t in (-1.0, 0.0, 0.0999, 0.1, 0.25, 1e9)] == [
        0, 0, 0, 1, 2, len(recording.frames) - 1
    ]  # fmt: skip
    for k, t_s in enumerate(recording.t_s):
        assert recording.index_at(t_s) == k


def test_pictures_come_along(tmp_path: Path) -> None:
    logged = log_episode(tmp_path, "Reach", steps=4, pictures=True)
    recording = load_recording(logged.path)
    seen = [r.obs for r in logged.records] + [logged.records[-1].final_obs]
    for frame, obs in zip(recording.frames, seen, strict=True):
        assert obs is not None
        np.testing.assert_array_equal(frame.images["side"], obs.images["side"])


def test_options_come_from_the_file_or_its_run_or_nowhere(tmp_path: Path) -> None:
    told = {"clearance_mm": 2.0, "hz": 20.0, "imperfections": {"state_delay_s": 0.01}}
    own = log_episode(tmp_path, "PegInsert", steps=2, extra=repeat_facts(0, told), clearance_mm=2.0)
    assert clearance_mm(load_recording(own.path)) == 2.0
    folder = tmp_path / "run" / "episodes" / "a0"
    folder.mkdir(parents=True)
    moved = log_episode(folder, "PegInsert", steps=2, clearance_mm=2.0)
    (tmp_path / "run" / "config.yaml").write_text(
        yaml.safe_dump({"task": "PegInsert", "task_options": {"clearance_mm": 2.0, "dense_reward": True}})
    )
    found = load_recording(moved.path)
    assert clearance_mm(found) == 2.0 and found.options_known
    (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump({"task": "Reach", "task_options": {}}))
    unknown = load_recording(moved.path)
    assert clearance_mm(unknown) == PegInsert().clearance_mm and not unknown.options_known


def test_without_a_seed_the_holder_is_left_out(tmp_path: Path) -> None:
    logged = log_episode(tmp_path, "GraspInsert", steps=3)
    assert set(load_recording(logged.path).frames[0].objects) == {"plug", "socket"}


@settings(max_examples=15)
@given(cut=st.floats(0.0, 1.0))
def test_a_cut_file_shows_its_complete_steps(
    episodes: dict[str, tuple[Logged, Recording]], tmp_path_factory: pytest.TempPathFactory, cut: float
) -> None:
    logged, whole = episodes["Reach"]
    data = logged.path.read_bytes()
    path = tmp_path_factory.mktemp("cut") / f"000003.mcap{PARTIAL}"
    path.write_bytes(data[: int(cut * len(data))])
    try:
        recording = load_recording(path)
    except DataError as e:
        assert str(path) in str(e)
        return
    assert 1 <= len(recording.frames) <= len(whole.frames)
    for mine, frame in zip(recording.frames, whole.frames, strict=False):
        np.testing.assert_array_equal(mine.pose_base_tcp, frame.pose_base_tcp)


def test_what_cannot_be_shown_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        load_recording(tmp_path / "nothing.mcap")
    (tmp_path / "text.mcap").write_text("not an episode")
    with pytest.raises(DataError):
        load_recording(tmp_path / "text.mcap")


def test_a_task_of_another_program_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logged = log_episode(tmp_path, "Reach", steps=2)
    monkeypatch.delitem(TASKS, "Reach")
    with pytest.raises(ConfigError, match="Reach"):
        load_recording(logged.path)
