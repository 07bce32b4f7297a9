"""The settings of domain randomisation and of crops: ranges, presets, files, the command line."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.core.config import from_dict, to_dict
from robot_rl.core.crops import CROP_HEIGHT, CROP_WIDTH, check_crops
from robot_rl.core.errors import ConfigError
from robot_rl.core.imperfections import env_options
from robot_rl.core.randomisation import LAB, PRESETS, Randomisation, read_randomisation
from robot_rl.envs import make_env
from robot_rl.runtime.config import TrainConfig


@pytest.mark.parametrize("name", [f.name for f in fields(Randomisation)])
@pytest.mark.parametrize("value", [-0.1, 1e6])
def test_what_is_out_of_range_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"Randomisation.{name} is"):
        Randomisation(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_the_way_through_a_file(name: str) -> None:
    preset = read_randomisation(name)
    assert from_dict(Randomisation, to_dict(preset)) == preset == read_randomisation(preset)
    options = env_options({"task_options": {"hz": 20.0}, "randomise": to_dict(preset)})
    assert options.pop("hz") == 20.0
    assert read_randomisation(options.get("randomise", "none")) == preset
    assert (options == {}) is preset.off is (name == "none")


def test_wrong_names_say_what_there_is() -> None:
    with pytest.raises(ConfigError, match="did you mean 'lights'"):
        make_env("Reach", randomise="light")
    with pytest.raises(ConfigError, match="did you mean 'randomise.light_stops'"):
        make_env("Reach", randomise={"light_stop": 0.1})
    with pytest.raises(ConfigError, match="camera of crops 'sid'.*did you mean 'side'"):
        make_env("Reach", crops={"sid": (0, 0, 100, 100)})
    for name in ("randomise", "crops"):
        with pytest.raises(ConfigError, match=f"use --{name}"):
            TrainConfig(task_options={name: "lab"})


def test_the_command_line_takes_a_preset_single_values_and_crops(tmp_path: Path) -> None:
    from robot_rl.cli.train import read_arguments

    given_ = ["Reach", "--randomise", "lab", "--randomise.light-stops", "0.2", "--crops", "side", "1", "2", "30", "40"]
    config = read_arguments(given_).train
    assert config.randomise == replace(LAB, light_stops=0.2) and config.crops == {"side": (1, 2, 30, 40)}
    assert read_randomisation(config.env_options["randomise"]) == config.randomise
    assert check_crops(config.env_options["crops"]) == config.crops
    file = tmp_path / "run.yaml"
    file.write_text("task: Reach\nrandomise: {extra_lights: 2}\ncrops: {wrist: [10, 20, 300, 200]}\n")
    config = read_arguments(["--config", str(file)]).train
    assert config.randomise == Randomisation(extra_lights=2) and config.crops == {"wrist": (10, 20, 300, 200)}


def test_another_cell_decides_itself() -> None:
    for options, why in (({"randomise": "lab"}, "use the cell sim"), ({"crops": {"side": (0, 0, 99, 99)}}, "its YAML")):
        with pytest.raises(ConfigError, match=why):
            make_env("Reach", cell="ros", **options)


@given(st.lists(st.integers(-50, 700), min_size=3, max_size=5))
def test_crops_lie_in_the_picture_or_are_refused(crop: list[int]) -> None:
    left, top, width, height = (*crop, 0)[:4]
    inside = min(left, top) >= 0 and left + width <= CROP_WIDTH and top + height <= CROP_HEIGHT
    if len(crop) == 4 and inside and min(width, height) >= 16:
        assert check_crops({"side": crop}) == {"side": tuple(crop)}
    else:
        with pytest.raises(ConfigError, match="crops: side is"):
            check_crops({"side": crop})
