"""Kill -9 of the whole training command, with its real processes, at any moment, then --resume."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from robot_rl.runtime.learner.checkpoint import list_checkpoints
from robot_rl.runtime.run_folder import RunFolder
from tests.runtime.runs import archived, final_arrays, rows, same

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-m", "robot_rl.cli", "train", "Reach"]
FLAGS = ["--demos", "2", "--env-steps", "400", "--pace.learning-starts", "40", "--pace.slack", "10", "--no-report"]
FLAGS += ["--agent.hidden", "16", "--agent.utd", "1", "--agent.batch-size", "16", "--checkpoint-every", "60"]
FLAGS += ["--evaluation.final-episodes", "2", "--evaluation.every", "0"]


def command(*args: str) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([*COMMAND, *args], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kill_when(running: subprocess.Popen[str], ready: Callable[[], bool]) -> None:
    with running:
        end = time.monotonic() + 300
        while not ready():
            assert running.poll() is None and time.monotonic() < end, running.stderr and running.stderr.read()
            time.sleep(0.02)
        time.sleep(random.uniform(0.0, 0.5))
        running.send_signal(signal.SIGKILL)


def finish(run: RunFolder) -> str:
    with command("--resume", str(run.path)) as running:
        out, err = running.communicate(timeout=300)
    assert running.returncode == 0, err
    return out


def the_run(folder: Path) -> RunFolder | None:
    found = list((folder / "Reach").glob("*/run.json"))
    return RunFolder(found[0].parent) if found else None


def steps_in_log(folder: Path) -> int:
    run = the_run(folder)
    return len(archived(run)) if run is not None else 0


def check(run: RunFolder) -> None:
    """Log, counters and table agree; nothing is there twice."""
    counters = json.loads(run.run_file.read_text())["counters"]
    places, table = archived(run), rows(run.path / "episodes.csv")
    assert set(places.values()) == {1} and len(places) == counters["env_steps"] >= 400
    assert [int(r["episode"]) for r in table] == list(range(counters["episodes"]))
    steps = [int(r["env_step"]) for r in table]
    assert steps == sorted(steps) and sum(int(r["length"]) for r in table) == counters["env_steps"]


@pytest.mark.slow
@pytest.mark.parametrize("killed_after", [1, 150])
def test_a_killed_run_goes_on_with_everything_it_had_acknowledged(tmp_path: Path, killed_after: int) -> None:
    kill_when(command(*FLAGS, "--out-dir", str(tmp_path)), lambda: steps_in_log(tmp_path) >= killed_after)
    run = the_run(tmp_path)
    assert run is not None
    before = archived(run)
    out = finish(run)
    assert "resumed at environment step" in out and "Reach: n=2 success=" in out
    assert set(before) <= set(archived(run))
    check(run)


@pytest.mark.slow
def test_a_killed_lockstep_run_ends_with_the_bits_of_one_that_was_not(tmp_path: Path) -> None:
    straight, cut = tmp_path / "straight", tmp_path / "cut"
    with command(*FLAGS, "--lockstep", "--out-dir", str(straight)) as running:
        _, err = running.communicate(timeout=300)
    assert running.returncode == 0, err

    def has_a_checkpoint() -> bool:
        run = the_run(cut)
        return run is not None and len(list_checkpoints(run.checkpoints)) >= 2

    kill_when(command(*FLAGS, "--lockstep", "--out-dir", str(cut)), has_a_checkpoint)
    one, two = the_run(straight), the_run(cut)
    assert one is not None and two is not None
    finish(two)
    assert same(final_arrays(one), final_arrays(two))
    check(two)
