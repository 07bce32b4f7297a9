"""The settings of imperfect devices: ranges, presets, files, the command line."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from robot_rl.core.config import from_dict, to_dict
from robot_rl.core.errors import ConfigError
from robot_rl.core.imperfections import FRANKA, PRESETS, Imperfections, env_options, read_imperfections
from robot_rl.envs import make_env
from robot_rl.runtime.config import TrainConfig


@pytest.mark.parametrize("name", [f.name for f in fields(Imperfections)])
@pytest.mark.parametrize("value", [-0.1, 1e6])
def test_what_is_out_of_range_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"Imperfections.{name} is"):
        Imperfections(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_the_way_through_a_file(name: str) -> None:
    preset = read_imperfections(name)
    assert from_dict(Imperfections, to_dict(preset)) == preset == read_imperfections(preset)
    options = env_options({"task_options": {"clearance_mm": 0.5}, "imperfections": to_dict(preset)})
    assert options.pop("clearance_mm") == 0.5
    assert read_imperfections(options.get("imperfections", "none")) == preset
    assert (options == {}) is preset.off
    assert env_options({"imperfections": "of a damaged file"}) == {}


def test_wrong_names_say_what_there_is() -> None:
    with pytest.raises(ConfigError, match="did you mean 'franka'"):
        make_env("Reach", imperfections="frenka")
    with pytest.raises(ConfigError, match="did you mean 'imperfections.camera_delay_s'"):
        make_env("Reach", imperfections={"camera_delay": 0.1})
    with pytest.raises(ConfigError, match="no option of the task"):
        TrainConfig(task_options={"imperfections": "franka"})


def test_the_command_line_takes_a_preset_and_single_values(tmp_path: Path) -> None:
    from robot_rl.cli.train import read_arguments

    config = read_arguments(["Reach", "--imperfections", "franka", "--imperfections.camera-delay-s", "0.05"]).train
    assert config.imperfections == replace(FRANKA, camera_delay_s=0.05)
    file = tmp_path / "cell.yaml"
    file.write_text("task: Reach\nimperfections:\n  wrench_bias_n: 0.7\n")
    assert read_arguments(["--config", str(file)]).train.imperfections == Imperfections(wrench_bias_n=0.7)
