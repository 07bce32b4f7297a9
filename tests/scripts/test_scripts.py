"""What the Makefile calls, run with doubles of the slow programs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from robot_rl.cli.bc import read_arguments as read_bc_arguments
from robot_rl.cli.train import read_arguments

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"

# Notes its arguments; `train` leaves the report that a finished run leaves, unless the seed is the one to fail.
ROBOT_RL = """#!/bin/sh
echo "$@" >> "$NOTES"
[ "$1" = train ] || exit 0
task=$2
while [ $# -gt 0 ]; do
    case $1 in --seed) seed=$2 ;; --out-dir) out=$2 ;; esac
    shift
done
if [ "$seed" = "${FAIL:-none}" ]; then echo "broken"; exit 2; fi
mkdir -p "$out/$task/now_seed$seed" && touch "$out/$task/now_seed$seed/report.html"
echo '  "status": "finished",' >"$out/$task/now_seed$seed/run.json"
echo "$task: n=100"
"""


def run(*command: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=os.environ | env, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def doubles(tmp_path: Path) -> dict[str, str]:
    program = tmp_path / "bin" / "robot-rl"
    program.parent.mkdir()
    program.write_text(ROBOT_RL)
    program.chmod(0o755)
    notes = tmp_path / "notes"
    notes.touch()
    return {"PATH": f"{program.parent}:{os.environ['PATH']}", "NOTES": str(notes), "JOBS": "2"}


def noted(doubles: dict[str, str], verb: str) -> list[str]:
    return [x for x in Path(doubles["NOTES"]).read_text().splitlines() if x.startswith(verb)]


def test_set_up_without_a_usable_python_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    for name in ("scripts/setup.sh", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    done = run(str(tmp_path / "scripts" / "setup.sh"), PYTHON="false")
    assert done.returncode == 1
    assert "Python 3.11 or 3.12" in done.stderr
    assert "apt install python3 python3-venv" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_demo_trains_and_names_the_report(tmp_path: Path, doubles: dict[str, str]) -> None:
    done = run(str(SCRIPTS / "demo.sh"), "PickCube", "3", str(tmp_path / "runs"), **doubles)
    assert done.returncode == 0, done.stderr
    assert f"{tmp_path}/runs/PickCube/now_seed3/report.html" in done.stdout
    (command,) = noted(doubles, "train")
    assert command.startswith("train PickCube ")
    assert " --seed 3 " in command


def test_demo_fails_when_training_fails(tmp_path: Path, doubles: dict[str, str]) -> None:
    done = run(str(SCRIPTS / "demo.sh"), "PickCube", "3", str(tmp_path / "runs"), **doubles, FAIL="3")
    assert done.returncode != 0
    assert "report of the run" not in done.stdout


def test_demo_refuses_an_unknown_task(doubles: dict[str, str]) -> None:
    done = run(str(SCRIPTS / "demo.sh"), "Juggle", **doubles)
    assert done.returncode == 2
    assert "Juggle" in done.stderr
    assert not noted(doubles, "train")


def test_study_runs_every_seed_once_and_compares_what_finished(tmp_path: Path, doubles: dict[str, str]) -> None:
    command = (str(SCRIPTS / "results.sh"), str(tmp_path / "runs"))
    done = run(*command, **doubles, SEEDS="0 1", FAIL="1")
    assert done.returncode == 0, done.stderr
    trained = noted(doubles, "train")
    assert len(trained) == len(set(trained)) == 10
    assert all("--lockstep" in t for t in trained)
    assert "FAILED peg-alone seed 1" in done.stdout
    pick, peg, grasp = noted(doubles, "compare")
    assert pick.count("=") == 2
    assert peg.count("=") == 2
    assert grasp.count("=") == 1

    Path(doubles["NOTES"]).write_text("")
    run(*command, **doubles, SEEDS="0 1")
    again = noted(doubles, "train")
    assert len(again) == 5
    assert all("--seed 1" in t for t in again)


def test_the_study_of_corrections_trains_six_conditions_and_compares_them_twice(
    tmp_path: Path, doubles: dict[str, str]
) -> None:
    command = (str(SCRIPTS / "corrections.sh"), str(tmp_path / "runs"))
    done = run(*command, **doubles, SEEDS="0 1")
    assert done.returncode == 0, done.stderr
    trained = noted(doubles, "train")
    assert len(trained) == len(set(trained)) == 12
    assert all("PegInsert" in t and "clearance_mm=0.2" in t and "--lockstep" in t for t in trained)
    assert sum("--algorithm bc" in t for t in trained) == 4
    baselines, options = noted(doubles, "compare")
    assert baselines.count("_seed") == 8 and options.count("_seed") == 6


def test_the_study_from_pictures_trains_three_seeds_on_features_of_both_cameras(
    tmp_path: Path, doubles: dict[str, str]
) -> None:
    done = run(str(SCRIPTS / "pixels.sh"), str(tmp_path / "runs"), **doubles)
    assert done.returncode == 0, done.stderr
    configs = [read_arguments(line.split()[1:]).train for line in noted(doubles, "train")]
    assert sorted((c.task, c.seed) for c in configs) == [(t, s) for t in ("PegInsert", "PickCube") for s in range(3)]
    for config in configs:
        assert config.lockstep and config.pictures.encoder == "random:small"
        assert set(config.crops) == set(config.pictures.cameras) == {"wrist", "side"}
    assert [line.count("_seed") for line in noted(doubles, "compare")] == [3, 3]


@pytest.mark.parametrize("algorithm", ["iql", "calql"])
def test_two_judges_are_trained_and_reward_a_pair_that_goes_on_from_stored_episodes(
    algorithm: str, tmp_path: Path, doubles: dict[str, str]
) -> None:
    doubles["ALGORITHM"] = algorithm
    program = tmp_path / "bin" / "robot-rl"
    program.write_text(ROBOT_RL.replace('[ "$1" = train ] ||', '[ "$1 $2" = "train MoveCubeOut" ] ||'))
    done = run(str(SCRIPTS / "robofume.sh"), str(tmp_path), **doubles)
    assert done.returncode == 0, done.stderr
    for verb, times in (("collect", 4), ("train", 2), ("evaluate", 2), ("relabel", 2)):
        assert len(noted(doubles, f"reward {verb}")) == times
    before, after = noted(doubles, "train")
    config = read_arguments(before.split()[1:]).train
    judge = tmp_path / "robofume" / "judge"
    assert (config.task, config.pair, config.algorithm, config.env_steps) == (
        "MoveCubeOut",
        "MoveCubeBack",
        algorithm,
        0,
    )
    assert (config.detector.model, config.detector.pair) == (judge / config.task, judge / config.pair)
    assert config.demos.relabel == "judge" and config.pace.warmup_updates
    assert f"--resume {tmp_path}/robofume/pair/MoveCubeOut/now_seed0 --env-steps " in after
    again = run(str(SCRIPTS / "robofume.sh"), str(tmp_path), **doubles)
    assert again.returncode == 0 and len(noted(doubles, "train")) == 3, "it is gone on with what is there"


def test_every_condition_is_one_that_can_be_trained() -> None:
    """What does not fit together must not be found out hours into the study."""
    lines = (SCRIPTS / "corrections.sh").read_text().splitlines()
    (task,) = (line.split("'")[1].split() for line in lines if line.startswith("task="))
    conditions = [line.split() for line in lines if " $task " in line]
    assert len(conditions) == 6
    for _, _, *flags in conditions:
        config = read_arguments([*task, *flags]).train
        assert config.task == "PegInsert" and config.task_options == {"clearance_mm": 0.2}


def test_every_flag_used_is_one_of_the_command() -> None:
    """A flag renamed in the program must not be found out hours into the study."""
    text = "".join((SCRIPTS / name).read_text() for name in ("demo.sh", "results.sh", "study.sh", "corrections.sh"))
    used = set(re.findall(r" (--[a-z][a-z.-]+)", text)) - {"--process-slot-var"}  # of xargs
    known = ""
    for verb in ("train", "compare"):
        done = run(sys.executable, "-m", "robot_rl.cli", verb, "--help", COLUMNS="200")
        assert done.returncode == 0, done.stderr
        known += done.stdout
    assert used
    assert not {f for f in used if f not in known}


def test_the_study_of_base_policies_clones_every_condition_once(tmp_path: Path, doubles: dict[str, str]) -> None:
    done = run(str(SCRIPTS / "base_policies.sh"), str(tmp_path / "runs"), **doubles, COUNTS="20 50", OBJECTIVES="edm")
    assert done.returncode == 0, done.stderr
    assert len(noted(doubles, "demos")) == 1
    told = [read_bc_arguments(command.split()[1:]) for command in noted(doubles, "bc")]
    assert [(c.n_demos, c.replan_every) for c in told] == [(20, 4), (50, 4), (100, 1), (100, 2), (100, 8)]
    assert all(c.task_options == {"clearance_mm": 0.2} and c.eval_episodes == 100 for c in told)
    assert len({c.out_dir for c in told}) == 5
