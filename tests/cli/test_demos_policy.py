"""`robot-rl demos record --policy RUN`: a corrected base demonstrates, with pictures of a scene that varies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from robot_rl.cli.demos import RecordArguments, run
from robot_rl.core.errors import ConfigError
from robot_rl.data.demos import read_demos
from robot_rl.envs.observation import make_state_spec
from robot_rl.envs.tasks import make_task
from robot_rl.runtime.config import EvalConfig
from robot_rl.runtime.residual_ppo.loop import train_residual_ppo
from tests.runtime.residual_ppo.small import save_small_base, small_config


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    told = small_config(save_small_base(out / "base"), out)
    told = replace(told, env_steps=100, evaluation=EvalConfig(every=0, final_episodes=0))
    return train_residual_ppo(replace(told, task_options={"tolerance_m": 0.1}), live=False).run.path


def test_what_is_recorded_can_be_cloned_by_a_policy_that_sees(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--policy", str(trained), "--cameras", "wrist", "--randomise", "lab", "--out", str(tmp_path)]
    flags += ["--task-options", "observe_objects=False"]
    assert run(["record", "Reach", "--n", "2", "--seed", "5", *flags]) == 0
    assert "2 demonstrations" in capsys.readouterr().out
    spec = make_state_spec(make_task("Reach"), objects=False)
    for episode in read_demos(tmp_path, spec, "Reach"):
        assert episode.success and '"tolerance_m": 0.1' in episode.meta.extra["task_options"]
        assert "randomise" in episode.meta.extra["task_options"]
        assert all(r.obs.images["wrist"].dtype == np.uint8 for r in episode.records)


def test_a_policy_of_another_task_is_refused(trained: Path) -> None:
    with pytest.raises(ConfigError, match="was trained on Reach, not PickCube"):
        run(["record", "PickCube", "--policy", str(trained)])


@pytest.mark.parametrize("changes", [{"careless": 0.5}, {"device": "keyboard"}])
def test_a_policy_demonstrates_alone(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="a policy demonstrates alone"):
        RecordArguments("Reach", policy=Path("run"), **changes)  # type: ignore[arg-type]
