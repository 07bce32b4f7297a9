"""A run folder says what made it; a broken one says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from robot_rl.core.errors import ConfigError
from robot_rl.core.specs import StateSpec
from robot_rl.runtime.run_folder import create_run, find_latest, open_run
from tests.runtime.fakes import ACTIONS, SPEC, tiny_config


def test_a_run_can_be_opened_again(tmp_path: Path) -> None:
    config = tiny_config(out_dir=tmp_path, task_options={"clearance_mm": 0.5, "dense": True, "n": 3, "name": "x"})
    run = create_run(config, SPEC, ACTIONS, 10.0)
    again = open_run(run.path)
    assert again.config() == config
    info = again.info()
    assert StateSpec.from_list(info["state_spec"]) == SPEC
    assert info["action_spec"]["active"] == [0, 1]
    assert {"versions", "git_commit", "argv", "start", "end", "machine", "counters", "hz"} <= set(info)
    again.update_info(status="finished")
    assert again.info()["status"] == "finished" and again.run_id == run.run_id


def test_two_runs_of_one_second_do_not_share_a_folder(tmp_path: Path) -> None:
    runs = {create_run(tiny_config(out_dir=tmp_path), SPEC, ACTIONS, 10.0).path for _ in range(3)}
    assert len(runs) == 3
    assert find_latest(tmp_path, "Point").path in runs


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a run folder"):
        open_run(tmp_path)
    with pytest.raises(ConfigError, match="there is no run of Point"):
        find_latest(tmp_path, "Point")
    run = create_run(tiny_config(out_dir=tmp_path), SPEC, ACTIONS, 10.0)
    run.run_file.write_text("{")
    with pytest.raises(ConfigError, match=r"run\.json cannot be read"):
        run.info()
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ConfigError, match="cannot make the run folder"):
        create_run(tiny_config(out_dir=blocked), SPEC, ACTIONS, 10.0)
