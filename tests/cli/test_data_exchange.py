"""``robot-rl data export`` and ``robot-rl data import``: arguments to files and one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from robot_rl.cli.data_exchange import run_export, run_import
from robot_rl.core.errors import ConfigError, DataError
from robot_rl.data.episode_log import read_episode
from tests.data.episodes import TASK
from tests.data.exchange.pickles import write_pickle
from tests.data.exchange.samples import assert_same_files, transitions, write_foreign, write_run


def test_out_and_in_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "run")
    assert run_export([str(tmp_path / "run"), "--to", str(tmp_path / "dataset")]) == 0
    assert "3 episodes, 12 frames at 10 Hz; 1 half-written ones left out" in capsys.readouterr().out
    assert run_import([str(tmp_path / "dataset"), "--to", str(tmp_path / "back")]) == 0
    assert "3 episodes, 12 steps, every record as it was exported" in capsys.readouterr().out
    assert_same_files(tmp_path / "run", tmp_path / "back")


def test_a_foreign_dataset_by_flags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_foreign(tmp_path / "dataset", (4, 1))
    flags = ["--task", TASK, "--state", "observation.state", "--action", "action"]
    flags += ["--position-m", "0.02", "--rotation-rad", "0.1"]
    assert run_import([str(tmp_path / "dataset"), "--to", str(tmp_path / "out"), *flags]) == 0
    said = capsys.readouterr().out
    assert "1 episodes, 4 steps; 1 of a single step without a known outcome left out" in said


def test_a_pickle_by_a_file_and_flags_over_it(tmp_path: Path) -> None:
    file = write_pickle(tmp_path / "demos.pkl", transitions((3,)))
    mapping = tmp_path / "serl.yaml"
    mapping.write_text(
        """
task: Other
position_m: 0.01
rotation_rad: 0.06
action_scale: [0.5, 0.5, 0.5, 1, 1, 1, 1]
parts:
  - {name: position, column: state, start: 1, size: 2, unit: m, frame: base}
  - {name: width, column: state, start: 0, unit: m, scale: 0.08}
"""
    )
    assert run_import([str(file), "--to", str(tmp_path / "out"), "--mapping", str(mapping), "--task", TASK]) == 0
    episode = read_episode(tmp_path / "out" / "000000.mcap")
    assert episode.meta.task == TASK
    assert episode.meta.action_spec.position_m == 0.01
    assert [p.name for p in episode.meta.state_spec.parts] == ["position", "width"]


def test_wrong_arguments_are_one_sentence(tmp_path: Path) -> None:
    file = write_pickle(tmp_path / "demos.pkl", transitions((3,)))
    to = ["--to", str(tmp_path / "out")]
    with pytest.raises(ConfigError, match="give --task, --position-m and --rotation-rad"):
        run_import([str(file), *to])
    with pytest.raises(ConfigError, match="lacks a value for task"):
        run_import([str(file), *to, "--position-m", "0.1"])
    with pytest.raises(DataError, match="neither a LeRobot dataset .* nor a SERL pickle"):
        run_import([str(tmp_path / "absent"), *to])
    with pytest.raises(ConfigError, match="--fps is 0"):
        run_export([str(tmp_path), *to, "--fps", "0"])
    (tmp_path / "m.yaml").write_text("tsk: a")
    with pytest.raises(ConfigError, match="did you mean 'mapping.task'"):
        run_import([str(file), *to, "--mapping", str(tmp_path / "m.yaml")])
