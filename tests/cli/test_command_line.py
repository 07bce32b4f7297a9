"""The command as a person meets it: a process, its exit code, and what it prints."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from robot_rl.data.episode_log import EpisodeMeta
from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.episode_files import EpisodeSink
from robot_rl.runtime.learner.checkpoint import save_checkpoint
from robot_rl.runtime.run_folder import create_run
from tests.runtime.fakes import ACTIONS, SPEC, record, stream, tiny_config

ROOT = Path(__file__).parents[2]


def call(
    *args: object, code: str | None = None, cwd: Path = ROOT, timeout_s: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run ``robot-rl ARGS``, after the Python `code` if there is any."""
    start = (
        ["-m", "robot_rl.cli"]
        if code is None
        else ["-c", f"{code}\nimport sys\nfrom robot_rl.cli.main import main\nsys.exit(main())"]
    )
    return subprocess.run(
        [sys.executable, *start, *map(str, args)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=timeout_s,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """The one line on stderr with which a failed command explains itself."""
    assert done.returncode == 2, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("robot-rl: ")
    return lines[0]


def test_help_lists_every_verb() -> None:
    done = call("--help")
    assert done.returncode == 0
    for verb in ("train", "eval", "report", "compare", "demos", "tasks", "bench", "doctor"):
        assert re.search(rf"^  {verb} ", done.stdout, re.M)


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import atexit, sys\n"
        "heavy = {'numpy', 'jax', 'mujoco', 'tyro', 'rich', 'zmq'}\n"
        "atexit.register(lambda: print('loaded:', sorted(heavy & set(sys.modules))))"
    )
    assert "loaded: []" in call("--help", code=code).stdout


def test_the_actor_process_loads_no_jax() -> None:
    imports = "import sys, robot_rl.runtime.actor.process, robot_rl.envs"
    code = f"{imports}; print([m for m in ('jax', 'torch') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=100, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    "verb", ["train", "bc", "eval", "report", "compare", "tasks", "bench", "doctor", "demos record"]
)
def test_every_verb_has_help_with_its_options(verb: str) -> None:
    done = call(*verb.split(), "--help")
    assert done.returncode == 0
    assert f"robot-rl {verb}" in done.stdout


def test_help_of_train_names_units_and_defaults() -> None:
    text = " ".join(call("train", "--help").stdout.replace("│", " ").split())
    steps = f"(default: {TrainConfig().env_steps})"
    for piece in ("--env-steps INT", "10 per second of robot time", steps, "--agent.gamma FLOAT"):
        assert piece in text


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["tarin"], "unknown verb 'tarin': did you mean 'train'?"),
        (["train"], "which task?"),
        (["train", "PickCub"], "unknown task 'PickCub': did you mean 'PickCube'?"),
        (["train", "PickCube", "--task-options", "clerance_mm=1"], "unknown option"),
        (["train", "PickCube", "--task-options", "clearance"], "expected NAME=VALUE"),
        (["train", "PickCube", "--preset", "rlpdd"], "unknown preset 'rlpdd': did you mean 'rlpd'?"),
        (["train", "PickCube", "--resume", "/nowhere"], "/nowhere is not a run folder"),
        (["train", "PickCube", "--demos", "/nowhere", "--out-dir", "{tmp}"], "no demonstrations at /nowhere"),
        (["eval", "/nowhere"], "there is no checkpoint at /nowhere"),
        (["report", "/nowhere"], "/nowhere"),
        (["compare", "--out", "/nowhere", "x"], "expected LABEL=RUN"),
        (["demos", "recrod"], "did you mean 'record'?"),
        (["demos", "inspect", "/nowhere"], "there is no episode file at /nowhere"),
    ],
)
def test_a_wrong_argument_is_one_sentence(tmp_path: Path, args: list[str], expected: str) -> None:
    assert expected in sentence(call(*[a.replace("{tmp}", str(tmp_path)) for a in args]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("agnt: {utd: 2}", "unknown configuration key 'agnt': did you mean 'agent'?"),
        ("agent: {gama: 0.9}", "did you mean 'agent.gamma'?"),
        ("agent: {gamma: high}", "agent.gamma is 'high' (str), expected a number"),
        ("pace: {slack: 0}", "pace.slack is 0, expected at least"),
        ("seed: -1", "seed is -1, expected between 0 and"),
        ("corrections: human", "unknown value for corrections 'human'"),
        ("a: [", "is not valid YAML"),
    ],
)
def test_a_typo_in_a_configuration_file_is_one_sentence(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    assert expected in sentence(call("train", "PickCube", "--config", path))


def test_flags_that_do_not_exist_or_fit_are_refused() -> None:
    for flags in (["--sede", "1"], ["--seed", "one"], ["--corrections", "human"], ["--agent.gamma", "2"]):
        done = call("train", "PickCube", *flags)
        assert done.returncode == 2
        assert flags[0] in done.stderr + done.stdout or "gamma" in done.stderr


def test_a_broken_checkpoint_is_one_sentence(tmp_path: Path) -> None:
    run = create_run(tiny_config(out_dir=tmp_path, task="Reach"), SPEC, ACTIONS, 10.0)
    path = save_checkpoint(run.checkpoints, 1, agent={}, actor={}, state={})
    (path / "actor.safetensors").write_bytes(b"nonsense")
    assert "is broken: actor.safetensors does not match its recorded hash" in sentence(call("eval", run.path))
    (path / "actor.safetensors").unlink()
    assert "is broken: actor.safetensors is missing" in sentence(call("eval", path))
    assert "is broken" in sentence(call("train", "Reach", "--resume", run.path))


def test_a_half_written_episode_is_one_sentence_and_the_whole_ones_can_be_read(tmp_path: Path) -> None:
    sink = EpisodeSink(tmp_path, EpisodeMeta("Point", SPEC, ACTIONS))
    for r in [*stream([4, 5]), record(2, 0), record(2, 1)]:
        sink.append(r)
    sink.close()
    partial = tmp_path / "000002.mcap.partial"
    said = sentence(call("demos", "inspect", partial))
    assert "half-written" in said and "2 complete steps" in said
    done = call("demos", "inspect", tmp_path / "000001.mcap")
    assert done.returncode == 0
    assert "000001.mcap: Point, 5 steps, success (success)" in done.stdout


POINT = """
import robot_rl.envs
from tests.runtime.fakes import PointEnv
robot_rl.envs.make_env = lambda task, **options: PointEnv(limit=12{how})
"""
SMALL = ["--demos", "0", "--env-steps", "60", "--pace.learning-starts", "20", "--agent.hidden", "8", "--agent.utd", "1"]


def test_nan_in_an_observation_ends_the_run_with_one_sentence_and_loses_nothing(tmp_path: Path) -> None:
    code = POINT.format(how=", bad_at=lambda e, s: e >= 2 and s == 3")
    args = ["train", "Point", "--lockstep", *SMALL, "--out-dir", tmp_path, "--no-report"]
    done = call(*args, code=code)
    assert "3 episodes in a row were cut by a bad observation" in sentence(done)
    (run,) = (tmp_path / "Point").iterdir()
    assert '"status": "failed"' in (run / "run.json").read_text()
    assert (run / "episodes.csv").read_text().count("bad_observation") == 3
    assert len(list((run / "episodes").glob("*/*.mcap"))) == 5
    assert list((run / "checkpoints").glob("0*")), "what was learned so far is saved"


def test_one_bad_observation_costs_one_episode_and_is_said(tmp_path: Path) -> None:
    code = POINT.format(how=", bad_at=lambda e, s: e == 1 and s == 3")
    done = call("train", "Point", "--lockstep", *SMALL, "--out-dir", tmp_path, "--no-report",
                "--evaluation.final-episodes", "0", code=code)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "the episode was cut by a bad observation" in done.stdout


def test_ctrl_c_saves_and_resume_goes_on(tmp_path: Path) -> None:
    args = ["train", "Point", "--lockstep", *SMALL, "--out-dir", str(tmp_path), "--no-report", "--env-steps", "1000000",
            "--evaluation.final-episodes", "0"]  # fmt: skip
    code = f"{POINT.format(how='')}\nimport sys\nfrom robot_rl.cli.main import main\nsys.exit(main())"
    running = subprocess.Popen(
        [sys.executable, "-c", code, *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    end = time.monotonic() + 120
    while not list(tmp_path.glob("Point/*/learner.csv")):
        assert running.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=120)
    assert (running.returncode, err) == (130, "")
    assert "stopped and saved; go on with: robot-rl train Point --resume" in out
    (run,) = (tmp_path / "Point").iterdir()
    before = json.loads((run / "run.json").read_text())
    assert before["status"] == "interrupted" and before["counters"]["env_steps"] > 0
    steps = before["counters"]["env_steps"] + 30
    done = call("train", "Point", "--resume", run, "--env-steps", steps, code=POINT.format(how=""))
    assert done.returncode == 0, done.stderr
    assert f"resumed at environment step {before['counters']['env_steps']:,}" in done.stdout
    after = json.loads((run / "run.json").read_text())
    assert after["status"] == "finished" and after["counters"]["env_steps"] >= steps
    assert "did you mean" not in done.stderr
    assert "trains Point, not Reach" in sentence(call("train", "Reach", "--resume", run))
