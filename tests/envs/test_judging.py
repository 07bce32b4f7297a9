"""A detector in the place of the task's rules, and a progress model beside them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.protocols import Verdict
from robot_rl.core.types import ArmState, Array, Frame, GripperState
from robot_rl.data.rewards import check_components
from robot_rl.envs import make_env


class After:
    """A detector that says yes from its n-th look on."""

    def __init__(self, looks: int, cameras: tuple[str, ...] = (), p: float | None = 0.75) -> None:
        self.looks, self.cameras, self.p = looks, cameras, p
        self.seen: list[tuple[set[str], float]] = []
        self.resets = 0

    def reset(self) -> None:
        self.resets += 1
        self.seen = []

    def judge(self, arm: ArmState, gripper: GripperState, frames: Mapping[str, Frame], t_s: float) -> Verdict:
        self.seen.append((set(frames), t_s))
        return Verdict(len(self.seen) >= self.looks, self.p)


class Height:
    """A progress model that reads the arm."""

    cameras: tuple[str, ...] = ()

    def __init__(self, names: tuple[str, ...] = ("progress",)) -> None:
        self.names = names

    def evaluate(
        self, arm: ArmState, gripper: GripperState, objects: Mapping[str, Array], frames: Mapping[str, Frame]
    ) -> dict[str, float]:
        return dict.fromkeys(self.names, float(arm.pose_base_tcp[2]))


STILL = np.zeros(7, np.float32)


def test_a_detector_ends_the_episode_and_the_truth_is_told_beside_it() -> None:
    detector = After(3)
    env = make_env("PickCube", detector=detector)
    for episode in range(2):
        env.reset(seed=episode)
        steps = [env.step(STILL) for _ in range(3)]
        assert [terminated for _, _, terminated, _, _ in steps] == [False, False, True]
        *_, (_, reward, _, truncated, info) = steps
        assert (reward, truncated, info["success"], info["stop_reason"]) == (1.0, False, True, "success")
        assert info["rewards"] == pytest.approx(
            {
                "success": 1.0,
                "process": 0.0,
                "grasp_penalty": 0.0,
                "force_penalty": 0.0,
                "p_success": 0.75,
                "truth": 0.0,
            }
        ), "the cube lies on the table: the detector is wrong, and that is on record"
        check_components(info["rewards"])
    assert detector.resets == 2
    assert np.diff([t_s for _, t_s in detector.seen]) == pytest.approx([0.1, 0.1])
    env.close()


def test_a_true_success_that_the_detector_misses_goes_on() -> None:
    env = make_env("Reach", detector=After(1000))
    env.reset(seed=0)
    start = env.task.sample_start(np.random.default_rng(0))
    at_goal = type(start)(start.objects["marker"], start.gripper_width_m, start.objects)
    env.reset(seed=0, options={"start": at_goal})
    _, reward, terminated, _, info = env.step(STILL)
    assert info["rewards"]["truth"] == 1.0, "the tool stands where it belongs"
    assert (reward, terminated) == (0.0, False)
    env.close()


def test_a_detector_that_abstains_leaves_its_probability_out() -> None:
    env = make_env("Reach", detector=After(1000, p=None))
    env.reset(seed=0)
    assert "p_success" not in env.step(STILL)[4]["rewards"]
    env.close()


def test_without_a_detector_nothing_is_watched() -> None:
    env = make_env("Reach")
    assert env.reset(seed=0)[1]["rewards"] == {}
    assert set(env.step(STILL)[4]["rewards"]) == {"success", "process", "grasp_penalty", "force_penalty"}
    env.close()


def test_a_progress_model_answers_every_tick_and_weighs_nothing() -> None:
    env = make_env("Reach", progress=Height())
    _, info = env.reset(seed=0)
    assert info["rewards"] == {"progress": pytest.approx(env.snapshot.arm.pose_base_tcp[2])}
    _, reward, _, _, info = env.step(STILL)
    assert info["rewards"]["progress"] == pytest.approx(env.snapshot.arm.pose_base_tcp[2])
    assert reward == 0.0
    env.close()


def test_a_model_that_knows_of_no_progress_is_refused() -> None:
    with pytest.raises(ConfigError, match="answers with 'progress', this one with height"):
        make_env("Reach", progress=Height(("height",)))


def test_a_camera_that_is_not_there_is_named() -> None:
    from robot_rl.envs import CellEnv

    env = make_env("Reach")
    with pytest.raises(ConfigError, match="lacks wrist; it has none"):
        CellEnv(env.cell, env.task, detector=After(1, ("wrist",)))
    env.close()


def test_a_detector_that_cannot_judge_stops_the_step() -> None:
    class Blind(After):
        def judge(self, arm: ArmState, gripper: GripperState, frames: Mapping[str, Frame], t_s: float) -> Verdict:
            raise DataError("the picture of wrist is black")

    env = make_env("Reach", detector=Blind(1))
    env.reset(seed=0)
    with pytest.raises(DataError, match="wrist is black"):
        env.step(STILL)
    env.close()


@pytest.mark.gl
def test_the_cameras_of_a_detector_are_opened() -> None:
    detector = After(2, ("side",))
    env = make_env("Reach", cameras=("wrist",), image_size=(32, 32), detector=detector)
    obs, _ = env.reset(seed=0)
    assert set(obs["images"]) == {"wrist", "side"}
    env.step(STILL)
    assert detector.seen[0][0] == {"side"}
    env.close()
