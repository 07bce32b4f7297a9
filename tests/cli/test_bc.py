"""``robot-rl bc`` as a person meets it: short flags, files, one sentence for what is wrong, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from robot_rl.cli.bc import read_arguments
from robot_rl.core.config import write_yaml
from robot_rl.core.errors import ConfigError
from robot_rl.core.randomisation import LAB
from robot_rl.evaluation.checkpoints import load_saved_policy
from robot_rl.runtime.cloning.config import CloneConfig

ROOT = Path(__file__).parents[2]


def test_short_flags() -> None:
    flags = "PegInsert --demos 50 --objective flow --steps 7 --cameras side wrist --randomise lab"
    config = read_arguments([*flags.split(), "--task-options", "clearance_mm=0.2"])
    assert (config.task, config.task_options, config.demos, config.n_demos) == (
        "PegInsert",
        {"clearance_mm": 0.2},
        None,
        50,
    )
    assert (config.model.objective, config.model.fit.steps) == ("flow", 7)
    assert config.model.sight.cameras == config.pictures.cameras == ("side", "wrist")
    assert config.randomise == LAB
    assert read_arguments(["Reach", "--demos", "somewhere"]).demos == Path("somewhere")


def test_a_runs_own_file_repeats_it_with_changes(tmp_path: Path) -> None:
    config = read_arguments(["Reach", "--backbone", "unet", "--replan-every", "3", "--network.channels", "16", "32"])
    write_yaml(config, tmp_path / "config.yaml")
    assert read_arguments(["--config", str(tmp_path / "config.yaml")]) == config
    again = read_arguments(["--config", str(tmp_path / "config.yaml"), "--seed", "4"])
    assert (again.seed, again.model) == (4, config.model)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="which task"):
        read_arguments(["--seed", "1"])
    with pytest.raises(ConfigError, match="a plan holds 16 actions"):
        read_arguments(["Reach", "--replan-every", "20"])
    with pytest.raises(ConfigError, match="nobody gives a goal"):
        read_arguments(["Reach", "--guidance.on", "goal"])
    assert CloneConfig().world.task == "PickCube"


def command(*args: object) -> list[str]:
    return [sys.executable, "-m", "robot_rl.cli", *map(str, args)]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["PegInsrt"], "unknown task 'PegInsrt': did you mean 'PegInsert'?"),
        (["Reach", "--demos", "/nowhere"], "no demonstrations at /nowhere"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path: Path, args: list[str], expected: str) -> None:
    done = subprocess.run(
        command("bc", *args, "--out-dir", tmp_path), cwd=ROOT, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("robot-rl: ") and expected in line


def test_ctrl_c_keeps_what_was_learnt(tmp_path: Path) -> None:
    flags = [
        "--n-demos",
        2,
        "--steps",
        1_000_000,
        "--fit.report-every",
        5,
        "--network.width",
        16,
        "--out-dir",
        tmp_path,
    ]
    process = subprocess.Popen(
        command("bc", "Reach", *flags),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "to learn from" in line:
                break
        (table,) = tmp_path.rglob("run.json")
        while not (table.parent / "learner.csv").is_file():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=100)
    finally:
        process.kill()
    assert process.returncode == 130, out
    assert "what was learnt so far: robot-rl eval" in out
    info = json.loads(table.read_text())
    assert info["status"] == "interrupted"
    assert load_saved_policy(table.parent).policy.version == info["counters"]["updates"]
