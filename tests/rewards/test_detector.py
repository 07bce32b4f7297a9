"""A model at work: what it says live is what it says of the recording, and nothing where nothing can be seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.protocols import Detector, RewardModel
from robot_rl.core.types import ArmState, Frame, GripperState, Image
from robot_rl.envs import CellEnv, make_env, make_expert
from robot_rl.rewards.detector import SuccessDetector, open_detector
from robot_rl.rewards.frames import Clip
from robot_rl.rewards.gate import Bound, GateSpec
from robot_rl.rewards.judge import SuccessJudge
from robot_rl.rewards.model_file import load_reward_model
from robot_rl.rewards.readings import live_readings, logged_readings
from tests.rewards.bright import HOME, bright_model, picture

EVALUATED = {"held_out": True}


def arm_at(x_m: float = 0.5, t_s: float = 0.0) -> ArmState:
    pose = np.array([x_m, 0.0, 0.2, 1.0, 0.0, 0.0, 0.0])
    return ArmState(np.zeros(7), np.zeros(7), pose, np.zeros(6), np.zeros(6), t_s)


GRIPPER = GripperState(0.04, 0.0, 0.08, 0.0)


def see(detector: SuccessDetector, images: list[Image], *, speed_m: float = 0.0) -> list[bool]:
    out = []
    for k, image in enumerate(images):
        t_s = 0.1 * (k + 1)
        frames = {"side": Frame(image, t_s, k)}
        out.append(detector.judge(arm_at(0.5 + speed_m * k, t_s), GRIPPER, frames, t_s).success)
    return out


@pytest.fixture
def detector(tmp_path: Path) -> SuccessDetector:
    return open_detector(bright_model(tmp_path), "PickCube")


def test_it_is_a_detector_and_a_reward_model(detector: SuccessDetector) -> None:
    assert isinstance(detector, Detector) and isinstance(detector, RewardModel)
    assert detector.cameras == ("side",)


def test_several_looks_in_a_row_and_nothing_left_of_the_episode_before(detector: SuccessDetector) -> None:
    bright = [picture(0.7, k) for k in range(4)]
    assert see(detector, bright) == [False, False, True, True]
    detector.reset()
    assert see(detector, bright[:2]) == [False, False]


def test_a_black_picture_is_not_judged_and_soon_stops_the_episode(detector: SuccessDetector) -> None:
    frames = {"side": Frame(np.zeros((24, 32, 3), np.uint8), 0.0, 0)}
    for k in range(10):
        verdict = detector.judge(arm_at(), GRIPPER, frames, 0.1 * k)
        assert (verdict.success, verdict.p_success) == (False, None)
        assert verdict.reason == "side: one flat colour"
    with pytest.raises(DataError, match=r"has not been able to judge for 1\.0 s \(side: one flat colour\)"):
        detector.judge(arm_at(), GRIPPER, frames, 1.0)


def test_a_moment_of_blindness_is_forgiven(detector: SuccessDetector) -> None:
    black = np.zeros((24, 32, 3), np.uint8)
    images = [black if k % 8 == 0 else picture(0.4, k) for k in range(30)]
    assert not any(see(detector, images))


def test_a_frozen_bright_picture_is_no_success(detector: SuccessDetector) -> None:
    assert see(detector, [picture(0.7)] * 3, speed_m=0.03)[-1], "three looks are not enough to know"
    detector.reset()
    assert see(detector, [picture(0.7)] * 8, speed_m=0.03)[4:] == [False] * 4
    detector.reset()
    assert all(see(detector, [picture(0.7)] * 8)[2:]), "a scene in which nothing moves looks the same"


def test_a_picture_unlike_training_is_not_judged(detector: SuccessDetector) -> None:
    strange = np.zeros((24, 32, 3), np.uint8)
    strange[::2] = 255
    frames = {"side": Frame(strange, 0.0, 0)}
    assert detector.judge(arm_at(), GRIPPER, frames, 0.1).p_success is None


def test_a_camera_of_another_size(detector: SuccessDetector) -> None:
    with pytest.raises(DataError, match="set the camera as it was"):
        detector.judge(arm_at(), GRIPPER, {"side": Frame(picture(0.5, shape=(48, 64)), 0.0, 0)}, 0.1)


def test_a_person_takes_a_success_back(detector: SuccessDetector) -> None:
    assert see(detector, [picture(0.7, k) for k in range(3)])[-1]
    detector.veto()
    verdict = detector.judge(arm_at(), GRIPPER, {"side": Frame(picture(0.7, 9), 0.4, 9)}, 0.4)
    assert (verdict.success, verdict.reason) == (False, "vetoed")


def test_as_a_reward_model(detector: SuccessDetector) -> None:
    said = []
    for k in range(4):
        frames = {"side": Frame(picture(0.7, k), 0.1 * k, k)}
        said.append(detector.evaluate(arm_at(t_s=0.1 * k), GRIPPER, {}, frames))
    assert [s["success"] for s in said] == [0.0, 0.0, 1.0, 1.0]
    assert all(s["p_success"] > 0.9 for s in said)
    later = detector.evaluate(arm_at(t_s=9.0), GRIPPER, {}, {"side": Frame(picture(0.7, 9), 9.0, 9)})
    assert later["success"] == 0.0, "after a pause it is another episode"
    with pytest.raises(DataError, match="abstains: side: one flat colour"):
        black = Frame(np.zeros((24, 32, 3), np.uint8), 9.1, 10)
        detector.evaluate(arm_at(t_s=9.1), GRIPPER, {}, {"side": black})


def test_who_may_reward_a_real_robot(tmp_path: Path) -> None:
    model = bright_model(tmp_path / "new")
    open_detector(model, "PickCube")
    with pytest.raises(ConfigError, match=r"may not reward a real robot.*--detector\.unevaluated"):
        open_detector(model, "PickCube", real=True)
    open_detector(model, "PickCube", real=True, unevaluated=True)
    open_detector(bright_model(tmp_path / "judged", evaluation=EVALUATED), "PickCube", real=True)


def test_the_wrong_task_and_the_wrong_home(tmp_path: Path) -> None:
    model = bright_model(tmp_path)
    with pytest.raises(ConfigError, match="judges the task PickCube, not Reach"):
        open_detector(model, "Reach")
    with pytest.raises(ConfigError, match="made for the home"):
        open_detector(model, "PickCube", home_base_tcp=np.array([0.4, *HOME[1:]]))


@pytest.fixture(scope="module")
def env() -> CellEnv:
    return make_env("PickCube")


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(levels=st.lists(st.sampled_from([0.0, 0.3, 0.45, 0.5, 0.55, 0.7]), min_size=12, max_size=12), data=st.data())
def test_live_and_recorded_are_judged_alike(
    env: CellEnv, tmp_path_factory: pytest.TempPathFactory, levels: list[float], data: st.DataObject
) -> None:
    """The same frames and readings give the same verdicts, from devices and from the recorded state row."""
    low = data.draw(st.floats(0.0, 0.05))
    gate = GateSpec(on=0.7, off=0.5, k_on=2, require=(Bound("gripper_width_m", low, 0.1), Bound("tcp_z_m", 0.0, 0.19)))
    model = bright_model(tmp_path_factory.mktemp("m"), home_base_tcp=tuple(env.task.home_base_tcp), gate=gate)
    detector = SuccessDetector(load_reward_model(model), max_blind_s=np.inf)
    obs, _ = env.reset(seed=data.draw(st.integers(0, 99)))
    expert = make_expert(env, np.random.default_rng(0))
    rows, images, times, live = [obs["state"]], [picture(0.4, 99)], [0.0], []
    for k, level in enumerate(levels):
        obs, *_ = env.step(expert.act())
        now = env.snapshot
        image = picture(level, k)
        verdict = detector.judge(now.arm, now.gripper, {"side": Frame(image, now.arm.t_s, k)}, now.arm.t_s)
        live.append((verdict.success, verdict.p_success, verdict.reason))
        rows, images, times = [*rows, obs["state"]], [*images, image], [*times, round(0.1 * (k + 1), 6)]
    home = np.asarray(env.task.home_base_tcp)
    readings = tuple(logged_readings(env.state_spec.unpack(row), home) for row in rows)
    assert readings[-1] == live_readings(env.snapshot.arm, env.snapshot.gripper, home)
    clip = Clip(
        Path("x.mcap"), "x", "PickCube", {"side": np.stack(images)}, np.array(times), readings,
        np.zeros(len(rows), np.int8), ("approach",) * len(rows),
    )  # fmt: skip
    recorded = list(SuccessJudge(load_reward_model(model)).judge_clip(clip))
    assert [j.gate.success for j in recorded] == [s for s, _, _ in live]
    for judged, (_, p, _) in zip(recorded, live, strict=True):
        assert judged.p == (None if p is None else pytest.approx(p, abs=1e-5))
