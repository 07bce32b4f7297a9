"""A run whose success is what a classifier sees: it learns from its word, and a person may take that back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from robot_rl.core.errors import ConfigError, DataError, DeviceError
from robot_rl.core.protocols import Verdict
from robot_rl.core.transition import StepRecord
from robot_rl.core.types import ArmState, Frame, GripperState, TeleopState
from robot_rl.envs import make_env
from robot_rl.envs.tasks import make_task
from robot_rl.rewards.detector_config import DetectorConfig
from robot_rl.rewards.model_file import CameraInfo, write_model
from robot_rl.runtime.acting import ActingConfig
from robot_rl.runtime.collector import Collector
from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.demos import Still
from robot_rl.runtime.detection import check_judge, logged_cameras, open_judge, open_judges, other_side, picture_size
from robot_rl.runtime.operator import keep_open
from robot_rl.runtime.pictures import PictureConfig
from robot_rl.runtime.tasks import open_simulation
from tests.rewards.bright import HOME, SHAPE, SPEC, bright_arrays, bright_info, bright_model


def config(model: Path, **changes: object) -> TrainConfig:
    return TrainConfig(task="PickCube", detector=DetectorConfig(model), **changes)  # type: ignore[arg-type]


class Second:
    """A detector that says yes at its second look, or has gone blind."""

    cameras: tuple[str, ...] = ()

    def __init__(self, problem: str = "") -> None:
        self.looks, self.problem = 0, problem

    def reset(self) -> None:
        self.looks = 0

    def judge(self, arm: ArmState, gripper: GripperState, frames: Mapping[str, Frame], t_s: float) -> Verdict:
        if self.problem:
            raise DataError(self.problem)
        self.looks += 1
        return Verdict(self.looks >= 2, 0.9)


class Presses:
    """A device on which a mark goes down at a certain read."""

    def __init__(self, mark: str, at: int) -> None:
        self.mark, self.at, self.reads = mark, at, 0

    def read(self) -> TeleopState:
        self.reads += 1
        return TeleopState(buttons=frozenset({self.mark}) if self.reads >= self.at else frozenset())

    def close(self) -> None:
        """Nothing to release."""


def episode(collector: Collector) -> list[StepRecord]:
    records = collector.step()
    while not collector.between_episodes:
        records += collector.step()
    return records


@pytest.mark.parametrize(("mark", "vetoed"), [("failure", True), ("success", False)])
def test_a_veto_in_the_grace_window(mark: str, vetoed: bool) -> None:
    env = make_env("Reach", detector=Second())
    acting = ActingConfig(0, "e", veto_s=5.0)
    collector = Collector(env, Still(), acting, make_teleop=keep_open(Presses(mark, 4)))
    last = episode(collector)[-1]
    assert last.rewards["success"] == (0.0 if vetoed else 1.0)
    assert (last.terminated, last.truncated) == (not vetoed, vetoed)
    assert last.stop_reason == ("vetoed" if vetoed else "success")
    assert last.rewards["p_success"] == 0.9, "what was said stays on record"
    env.close()


def test_nobody_is_waited_for_where_nobody_is() -> None:
    env = make_env("Reach", detector=Second())
    assert episode(Collector(env, Still(), ActingConfig(0, "e", veto_s=1e6)))[-1].terminated
    env.close()


def test_a_blind_detector_stops_the_run_and_leaves_nothing_to_learn_from() -> None:
    env = make_env("Reach", detector=Second("the camera is black"))
    collector = Collector(env, Still(), ActingConfig(0, "e"))
    assert [collector.step() for _ in range(3)] == [[], [], []]
    with pytest.raises(DeviceError, match=r"3 episodes in a row were cut .* the camera is black"):
        collector.step()
    env.close()


def test_a_model_of_another_task(tmp_path: Path) -> None:
    model = bright_model(tmp_path, task="Reach")
    with pytest.raises(ConfigError, match="judges the task Reach, not PickCube"):
        open_judge(config(model), real=False)
    assert open_judge(TrainConfig(), real=False) is None


def test_a_run_that_could_not_be_judged_does_not_begin(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no reward model at"):
        check_judge(config(tmp_path / "nowhere"), real=False)
    run = config(bright_model(tmp_path))
    with pytest.raises(ConfigError, match="may not reward a real robot"):
        check_judge(run, real=True)
    check_judge(replace(run, actors=0, detector=DetectorConfig(tmp_path / "nowhere"), listen="tcp://x:1"), real=True)


def pair_config(model: Path | None, pair: Path | None) -> TrainConfig:
    return TrainConfig(task="MoveCubeOut", pair="MoveCubeBack", detector=DetectorConfig(model, pair))


def test_a_pair_has_two_classifiers_or_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"give that of MoveCubeBack, too, with --detector\.pair MODEL"):
        pair_config(tmp_path, None)
    with pytest.raises(ConfigError, match=r"give that of MoveCubeOut, too, with --detector\.model MODEL"):
        pair_config(None, tmp_path)
    with pytest.raises(ConfigError, match=r"--detector\.pair judges the other task of --pair, and there is none"):
        TrainConfig(task="Reach", detector=DetectorConfig(tmp_path, tmp_path))


def test_each_side_of_a_pair_is_told_its_own_classifier(tmp_path: Path) -> None:
    home = tuple(make_task("MoveCubeOut").home_base_tcp.tolist())
    first = bright_model(tmp_path / "a", task="MoveCubeOut", home_base_tcp=home)
    second = bright_model(tmp_path / "b", ("wrist", "side"), task="MoveCubeBack", home_base_tcp=home)
    config = pair_config(first, second)
    other = other_side(config)
    assert (other.task, other.pair, other.detector) == ("MoveCubeBack", "MoveCubeOut", DetectorConfig(second, first))
    assert other_side(other) == config
    assert logged_cameras(other, ()) == ("wrist", "side") and logged_cameras(config, ()) == ("side",)
    check_judge(config, real=False)
    assert picture_size(config) == {"image_size": SHAPE}
    judges = open_judges(config, real=False)
    assert [len(judge.cameras) for judge in judges if judge is not None] == [1, 2]
    assert open_judges(pair_config(None, None), real=False) == (None, None)
    with pytest.raises(ConfigError, match="judges the task MoveCubeOut, not MoveCubeBack"):
        check_judge(pair_config(first, first), real=False)
    with pytest.raises(ConfigError, match="may not reward a real robot"):
        check_judge(config, real=True)
    info = bright_info(task="MoveCubeBack", home_base_tcp=home)
    large = replace(info, cameras={"side": CameraInfo((64, 64), SPEC)})
    write_model(second, large, bright_arrays(("side",)))
    with pytest.raises(ConfigError, match="the simulated cameras have one size"):
        check_judge(config, real=False)


def test_whose_pictures_are_logged(tmp_path: Path) -> None:
    run = config(bright_model(tmp_path))
    assert logged_cameras(run, ("wrist",)) == ("wrist", "side")
    quiet = replace(run, detector=replace(run.detector, keep_frames=False))
    assert logged_cameras(quiet, ("wrist",)) == ("wrist",)


def test_one_size_for_all_simulated_cameras(tmp_path: Path) -> None:
    run = config(bright_model(tmp_path / "a"))
    assert picture_size(run) == {"image_size": SHAPE}
    with pytest.raises(ConfigError, match="want 24 x 32, 128 x 128"):
        picture_size(replace(run, pictures=PictureConfig(cameras=("wrist",))))
    two = {"wrist": CameraInfo((64, 64), SPEC), "side": CameraInfo(SHAPE, SPEC)}
    model = tmp_path / "b"
    write_model(model, replace(bright_info(("wrist", "side")), cameras=two), bright_arrays(("wrist", "side")))
    with pytest.raises(ConfigError, match="the simulated cameras have one size"):
        picture_size(config(model))


@pytest.mark.gl
def test_training_is_judged_by_the_model_and_evaluation_by_the_rules(tmp_path: Path) -> None:
    """The scene is brighter than one half for this model, or it is not: what it says is what the environment says."""
    model = bright_model(tmp_path, watched=False, home_base_tcp=HOME)
    env = open_simulation(config(model), judged=True)
    obs, _ = env.reset(seed=0)
    assert obs["images"]["side"].shape == (*SHAPE, 3)
    *_, info = env.step(np.zeros(7, np.float32))
    assert {"p_success", "truth"} <= set(info["rewards"])
    env.close()
    plain = open_simulation(config(model))
    obs, _ = plain.reset(seed=0)
    assert "images" not in obs
    assert "truth" not in plain.step(np.zeros(7, np.float32))[4]["rewards"]
    plain.close()
