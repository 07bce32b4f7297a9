"""The reward that the demonstration farms is one that can be farmed, and the forms of the contract are not."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from robot_rl.core.protocols import RewardModel
from robot_rl.rewards.process import shape

SCRIPTS = Path(__file__).parents[2] / "scripts"
GAMMA = 0.97


@pytest.fixture(scope="module")
def hacking() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hacking", SCRIPTS / "hacking.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def episode_return(hacking: ModuleType, condition: str, phi: np.ndarray, *, success: bool) -> float:
    """What the learner is paid for an episode that begins now, discounted."""
    process = hacking.CONDITIONS[condition][1]
    values = process.beta * shape(phi, process.shaping(GAMMA), terminated=success, success=success)
    values[-1] += success
    return float(values @ GAMMA ** np.arange(len(values)))


@pytest.mark.parametrize(("condition", "loitering_pays"), [("naive", True), ("potential", False), ("min-form", False)])
def test_only_the_naive_sum_pays_more_for_loitering_than_for_success(
    hacking: ModuleType, condition: str, loitering_pays: bool
) -> None:
    way = np.linspace(0.2, 0.85, 10)
    loiter = episode_return(hacking, condition, np.append(way, np.full(40, 0.85)), success=False)
    finish = episode_return(hacking, condition, np.append(way, [0.95, 1.0]), success=True)
    assert (loiter > finish) == loitering_pays


def test_the_fooled_model_is_content_beside_the_marker(hacking: ModuleType) -> None:
    from robot_rl.envs import make_env

    env = make_env("Reach")
    env.reset(seed=0)
    now, model = env.snapshot, hacking.Nearness()
    env.close()
    assert isinstance(model, RewardModel)
    beside = now.arm.pose_base_tcp + np.array([0.03, 0, 0, 0, 0, 0, 0])
    score = model.evaluate(now.arm, now.gripper, {"marker": beside}, {})["progress"]
    assert score > 0.8
    assert vars(env.task)["tolerance_m"] < 0.03


def test_every_condition_is_a_run_that_may_be_configured(hacking: ModuleType, tmp_path: Path) -> None:
    for condition in hacking.CONDITIONS:
        config = hacking.configure(condition, 0, tmp_path)
        assert config.process.on and config.lockstep


def test_the_shell_script_is_sound() -> None:
    assert subprocess.run(["sh", "-n", SCRIPTS / "hacking.sh"], check=False).returncode == 0
    text = (SCRIPTS / "hacking.sh").read_text()
    for condition in ("naive", "sparse", "naive-monitor", "potential", "min-form"):
        assert condition in text
