"""Kill -9 of the whole training command, with its real processes, then --resume."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from robot_rl.runtime.checkpoint import list_checkpoints
from robot_rl.runtime.episode_files import read_records
from robot_rl.runtime.stream import place_of

ROOT = Path(__file__).parents[2]
ENV = {**os.environ, "PYTHONPATH": str(ROOT)}
COMMAND = [sys.executable, "-m", "robot_rl.cli", "train", "Reach"]
FLAGS = ["--demos", "2", "--env-steps", "400", "--pace.learning-starts", "40", "--pace.slack", "10", "--no-report"]
FLAGS += ["--agent.hidden", "16", "--agent.utd", "1", "--agent.batch-size", "16", "--checkpoint-every", "60"]
FLAGS += ["--evaluation.final-episodes", "2"]


@pytest.mark.slow
def test_a_killed_run_goes_on_from_its_checkpoint_and_its_log(tmp_path: Path) -> None:
    running = subprocess.Popen([*COMMAND, *FLAGS, "--out-dir", str(tmp_path)], env=ENV, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 300
    while not [p for p in tmp_path.glob("Reach/*/checkpoints") if len(list_checkpoints(p)) >= 2]:
        assert running.poll() is None and time.monotonic() < end
        time.sleep(0.1)
    running.send_signal(signal.SIGKILL)
    running.wait()
    (run,) = (tmp_path / "Reach").iterdir()
    done = subprocess.run(
        [*COMMAND, "--resume", str(run)], env=ENV, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "resumed at environment step" in done.stdout and "Reach: n=2 success=" in done.stdout
    counters = json.loads((run / "run.json").read_text())["counters"]
    places = Counter(place_of(r) for r in read_records(run / "episodes"))
    assert set(places.values()) == {1} and len(places) == counters["env_steps"] >= 400
