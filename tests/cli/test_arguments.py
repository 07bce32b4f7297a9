"""How arguments, files and presets become one configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.agents.config import preset
from robot_rl.cli import bench, train
from robot_rl.cli.arguments import spread_pairs, take_option
from robot_rl.cli.compare import grouped
from robot_rl.cli.train import read_arguments
from robot_rl.core.config import write_yaml
from robot_rl.core.errors import ConfigError
from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.run_folder import create_run
from tests.runtime.fakes import ACTIONS, SPEC, tiny_config


def test_without_flags_the_defaults_hold() -> None:
    assert read_arguments(["PickCube"]).train == TrainConfig()


def test_later_sources_win(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("seed: 3\nagent: {utd: 7, tau: 0.01}\ntask: Reach\n")
    args = ["PegInsert", "--preset", "serl_compat", "--config", str(file), "--seed", "4", "--agent.tau", "0.02"]
    got = read_arguments(args).train
    serl = preset("serl_compat")
    assert (got.task, got.seed, got.agent.utd, got.agent.tau) == ("PegInsert", 4, 7, 0.02)
    assert (got.agent.activation, got.agent.gamma) == (serl.activation, serl.gamma)


def test_a_runs_own_configuration_repeats_it(tmp_path: Path) -> None:
    config = tiny_config(task_options={"clearance_mm": 0.5})
    write_yaml(config, tmp_path / "config.yaml")
    assert read_arguments(["--config", str(tmp_path / "config.yaml")]).train == config


def test_resuming_starts_from_the_runs_configuration(tmp_path: Path) -> None:
    run = create_run(tiny_config(out_dir=tmp_path, seed=5), SPEC, ACTIONS, 10.0)
    got = read_arguments(["--resume", str(run.path), "--env-steps", "999"])
    assert got.train == tiny_config(out_dir=tmp_path, seed=5, env_steps=999)
    assert got.resume == run.path


def test_short_forms(tmp_path: Path) -> None:
    got = read_arguments(
        ["PegInsert", "--task-options", "clearance_mm=0.2", "tight=True", "name=x", "n=3", "--demos", "7"]
    )
    assert got.train.task_options == {"clearance_mm": 0.2, "tight": True, "name": "x", "n": 3}
    assert got.train.demos.n == 7
    assert read_arguments(["Reach", "--demos", str(tmp_path)]).train.demos.dir == tmp_path


def test_a_cell_is_a_name_or_a_path_and_no_demonstrations_are_zero() -> None:
    got = read_arguments(["Reach", "--cell", "cells/mine.yaml", "--demos", "0", "--require-healthy"])
    assert (got.train.cell, got.train.demos.n, got.require_healthy) == ("cells/mine.yaml", 0, True)


def test_health_is_looked_at_where_the_cell_is() -> None:
    with pytest.raises(ConfigError, match="give it to robot-rl act, where the cell is"):
        train.run(["Reach", "--cell", "mine.yaml", "--actors", "0", "--require-healthy"])


@given(st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=5), max_size=5))
def test_arguments_without_pairs_pass_unchanged(words: list[str]) -> None:
    argv = [*words, "--seed", "1"]
    assert spread_pairs(argv) == argv
    assert spread_pairs(["--task-options", *[f"{w}=a=b" for w in words], "--seed", "1"]) == [
        "--task-options", *[x for w in words for x in (w, "a=b")], "--seed", "1"
    ]  # fmt: skip


@pytest.mark.parametrize("argv", [["a", "--preset", "x", "b"], ["a", "--preset=x", "b"]])
def test_an_option_is_taken_out(argv: list[str]) -> None:
    assert take_option(argv, "--preset") == "x"
    assert argv == ["a", "b"] and take_option(argv, "--preset") is None
    with pytest.raises(ConfigError, match="--preset needs a value"):
        take_option(["--preset"], "--preset")


def test_runs_are_grouped_by_label(tmp_path: Path) -> None:
    a, b = (create_run(tiny_config(out_dir=tmp_path, seed=s), SPEC, ACTIONS, 10.0).path for s in (0, 1))
    assert grouped([f"x={a}", f"y={a.parent}"]) == {"x": [a], "y": sorted([a, b])}
    for wrong in ("x", "=a", "x="):
        with pytest.raises(ConfigError, match="expected LABEL=RUN"):
            grouped([wrong])
    with pytest.raises(ConfigError, match="there is no run at"):
        grouped([f"x={tmp_path / 'none'}"])


def test_tables_are_aligned() -> None:
    assert bench.table([{"case": "a", "rate": 1234.5}, {"case": "long", "rate": 0.5}, {"other": 1}]).splitlines() == [
        "case   rate", "a     1,234", "long    0.5", "", "other", "1    ",
    ]  # fmt: skip


def test_a_dense_reward_and_clipped_targets_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match=r"dense_reward pays before success too: add --agent\.q-range None"):
        read_arguments(["Reach", "--task-options", "dense_reward=True"])
    assert read_arguments(["Reach", "--task-options", "dense_reward=True", "--agent.q-range", "None"])


def test_a_new_run_fits_the_machine_and_says_so_in_its_configuration() -> None:
    assert read_arguments(["Reach"]).train.agent == preset("auto")
    assert read_arguments(["Reach", "--preset", "rlpd"]).train.agent == preset("rlpd")


def test_a_bench_that_lacks_something_is_left_out_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lacking(peer: object) -> list[dict[str, object]]:
        raise ConfigError("the comparison needs a peer")

    monkeypatch.setitem(bench.BENCHES, "transport", lacking)
    monkeypatch.setitem(bench.BENCHES, "log", lambda peer: [{"case": "log", "ms": 1.0}])
    assert bench.run(["transport", "log"]) == 2
    out = capsys.readouterr().out
    assert "left out: the comparison needs a peer" in out and "== log ==" in out
