"""Evaluations on a spare process: in order, by themselves, once each, and no harm when one goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from robot_rl.core.config import write_yaml
from robot_rl.core.specs import GRIPPER, StateSpec
from robot_rl.envs import make_env
from robot_rl.evaluation.checkpoints import evaluate_checkpoint
from robot_rl.runtime.config import EvalConfig, TrainConfig
from robot_rl.runtime.learner.background import LOG, PENDING, BackgroundEvaluator, Outcome, await_all
from robot_rl.runtime.learner.checkpoint import list_checkpoints, save_checkpoint
from robot_rl.runtime.monitor.metrics import MetricsWriter
from tests.runtime.fakes import SPEC, tiny_config

POINT = "tests.runtime.learner.point_worker"
SEED = 1_000_000
LIMIT_S = 60.0


def config_of(episodes: int = 2, every: int = 100, task: str = "Point") -> TrainConfig:
    return tiny_config(task=task, evaluation=EvalConfig(every=every, episodes=episodes, validation_seed=SEED))


def make_run(folder: Path, config: TrainConfig, spec: StateSpec = SPEC) -> Path:
    """A run folder with checkpoints 100 and 200 of an untrained network."""
    write_yaml(config, folder / "config.yaml")
    (folder / "run.json").write_text(json.dumps({"run_id": "r", "hz": 10.0, "state_checksum": spec.checksum}))
    rng = np.random.default_rng(0)
    actor = {
        "normaliser/center": spec.center,
        "normaliser/scale": spec.scale,
        "owned": np.arange(GRIPPER, dtype=np.float32),
        "tanh": np.zeros((), np.float32),
        "log_std_range": np.array([-5.0, 2.0], np.float32),
        "actor/0/w": rng.normal(size=(8, spec.size)).astype(np.float32),
        "actor/0/b": np.zeros(8, np.float32),
        "actor/out/w": rng.normal(size=(2 * GRIPPER, 8)).astype(np.float32),
        "actor/out/b": np.zeros(2 * GRIPPER, np.float32),
    }
    for update in (100, 200):
        save_checkpoint(folder / "checkpoints", update, agent={"x": np.zeros(1)}, actor=actor, state={"counters": {}})
    return folder


def checkpoint(run: Path, update: int) -> Path:
    return run / "checkpoints" / f"{update:09d}"


def take_all(evaluator: BackgroundEvaluator) -> list[Outcome]:
    """Every outcome still to come."""
    outcomes: list[Outcome] = []
    end_s = time.monotonic() + LIMIT_S
    await_all(evaluator, outcomes.append, lambda line: None, lambda: time.monotonic() > end_s)
    assert not evaluator.outstanding
    return outcomes


def test_checkpoints_are_evaluated_in_order_at_low_priority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = tmp_path / "facts"
    monkeypatch.setenv("POINT_WORKER_FACTS", str(facts))
    run = make_run(tmp_path, config_of())
    evaluator = BackgroundEvaluator(run, config_of(), module=POINT)
    assert evaluator.poll() == [] and not evaluator.wait(0.0)
    evaluator.submit(checkpoint(run, 100), 110, 11.0, 5.0)
    evaluator.submit(checkpoint(run, 200), 210, 21.0, 9.0)
    assert evaluator.outstanding == 2 and evaluator.pinned == {100, 200}
    first, second = take_all(evaluator)
    assert evaluator.pinned == {200}, "its rank is still to be noted"
    assert evaluator.poll() == [] and evaluator.pinned == set()
    evaluator.close()
    for outcome, update in ((first, 100), (second, 200)):
        row = outcome.row
        assert row is not None and (outcome.update, outcome.env_step) == (update, update + 10)
        assert (row["checkpoint"], row["env_step"], row["robot_s"]) == (f"{update:09d}", update + 10, update / 10 + 1)
        assert [e["seed"] for e in row["episodes"]] == [SEED, SEED + 1] and row["policy_version"] == update
        assert outcome.line.startswith("Point: n=2 success=")
    assert first.row is not None and first.row["wall_s"] == 5.0
    niceness, threads = facts.read_text().split()
    assert int(niceness) == min(19, os.nice(0) + 10) and threads == "1"


def test_the_result_is_that_of_an_evaluation_in_the_foreground(tmp_path: Path) -> None:
    env = make_env("Reach")
    config = config_of(task="Reach")
    run = make_run(tmp_path, config, env.state_spec)
    env.close()
    evaluator = BackgroundEvaluator(run, config)
    evaluator.submit(checkpoint(run, 100), 110, 11.0)
    (outcome,) = take_all(evaluator)
    evaluator.close()
    expected = evaluate_checkpoint(checkpoint(run, 100), n=2, seed=SEED, record=False)
    assert outcome.row is not None and outcome.line == expected.line()
    assert {k: v for k, v in outcome.row.items() if k in expected.row()} == expected.row()


def test_a_worker_that_is_killed_costs_its_own_evaluation_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINT_WORKER_KILL", "000000100")
    run = make_run(tmp_path, config_of())
    evaluator = BackgroundEvaluator(run, config_of(), module=POINT)
    evaluator.submit(checkpoint(run, 100), 110, 11.0)
    evaluator.submit(checkpoint(run, 200), 210, 21.0)
    bad, good = take_all(evaluator)
    evaluator.close()
    assert bad.row is None and good.row is not None
    assert bad.line == "the evaluation of checkpoint 000000100 failed: its process died with exit code -9, see " + LOG


def test_a_checkpoint_that_cannot_be_read_is_reported_with_the_reason(tmp_path: Path) -> None:
    run = make_run(tmp_path, config_of())
    (checkpoint(run, 100) / "actor.safetensors").write_bytes(b"nonsense")
    evaluator = BackgroundEvaluator(run, config_of(), module=POINT)
    evaluator.submit(checkpoint(run, 100), 110, 11.0)
    (outcome,) = take_all(evaluator)
    evaluator.close()
    assert outcome.row is None and "actor.safetensors does not match its recorded hash" in outcome.line


def test_a_worker_that_cannot_start_says_so(tmp_path: Path) -> None:
    run = make_run(tmp_path, config_of())
    evaluator = BackgroundEvaluator(run, config_of(), module="tests.runtime.no_such_module")
    evaluator.submit(checkpoint(run, 100), 110, 11.0)
    (outcome,) = take_all(evaluator)
    assert outcome.row is None and "died with exit code 1" in outcome.line
    assert "no_such_module" in (run / LOG).read_text()
    evaluator.close()


def test_what_is_undone_is_made_when_the_run_goes_on_and_only_that(tmp_path: Path) -> None:
    run = make_run(tmp_path, config_of())
    first = BackgroundEvaluator(run, config_of(), module=POINT)
    first.submit(checkpoint(run, 100), 110, 11.0, 5.0)
    first.submit(checkpoint(run, 200), 210, 21.0, 9.0)
    while not first.wait(0.1):
        pass
    (done,) = first.poll()
    assert done.row is not None
    writer = MetricsWriter(run)
    writer.evaluation(done.row)
    writer.close()
    # A run that is killed before the next call leaves the list like this.
    listed = (run / PENDING).read_text()
    assert [j["update"] for j in json.loads(listed)["jobs"]] == [100, 200]
    first.close()
    (run / PENDING).write_text(listed)
    second = BackgroundEvaluator(run, config_of(), module=POINT)
    assert second.pinned == {200}
    second.close()
    second.close()
    third = BackgroundEvaluator(run, config_of(), module=POINT)
    (outcome,) = take_all(third)
    third.close()
    assert outcome.row is not None and (outcome.update, outcome.env_step, outcome.row["wall_s"]) == (200, 210, 9.0)
    assert BackgroundEvaluator(run, config_of(), module=POINT).outstanding == 0


@pytest.mark.parametrize("text", ["", "[]", '{"jobs": [{"update": 1}]}', '{"jobs": 3}', "\xff"])
def test_a_damaged_list_is_an_empty_one(tmp_path: Path, text: str) -> None:
    run = make_run(tmp_path, config_of())
    (run / PENDING).write_text(text, encoding="latin-1")
    assert BackgroundEvaluator(run, config_of(), module=POINT).outstanding == 0


def test_nothing_is_evaluated_where_nothing_may_be(tmp_path: Path) -> None:
    """On a real robot a list from elsewhere must not start anything, nor one of checkpoints that are gone."""
    run = make_run(tmp_path, config_of())
    job = {"update": 100, "checkpoint": "gone", "env_step": 1, "robot_s": 0.1, "wall_s": 0.1}
    (run / PENDING).write_text(json.dumps({"jobs": [job]}))
    assert BackgroundEvaluator(run, config_of(every=0), module=POINT).outstanding == 0
    (run / PENDING).write_text(json.dumps({"jobs": [{**job, "update": 300}]}))
    assert BackgroundEvaluator(run, config_of(), module=POINT).outstanding == 0


def test_a_checkpoint_stays_until_it_is_evaluated(tmp_path: Path) -> None:
    run = make_run(tmp_path, config_of())
    evaluator = BackgroundEvaluator(run, config_of(episodes=2000), module=POINT)
    evaluator.submit(checkpoint(run, 100), 110, 11.0)

    def save(update: int) -> list[str]:
        arrays = {"x": np.zeros(1)}
        root = run / "checkpoints"
        save_checkpoint(root, update, agent=arrays, actor=arrays, state={}, keep=1, keep_also=evaluator.pinned)
        return [p.name for p in list_checkpoints(root)]

    assert save(300) == ["000000100", "000000300"]
    evaluator.close()


def test_no_evaluation_outlives_the_learner(tmp_path: Path) -> None:
    run = make_run(tmp_path, config_of(episodes=1_000_000))
    code = f"""
import os, pathlib, signal
from robot_rl.runtime.learner.background import BackgroundEvaluator
from tests.runtime.learner.test_background import checkpoint, config_of
run = pathlib.Path({str(run)!r})
evaluator = BackgroundEvaluator(run, config_of(episodes=1_000_000), module={POINT!r})
evaluator.submit(checkpoint(run, 100), 1, 0.1)
print(evaluator._worker._process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    pid, end_s = int(done.stdout), time.monotonic() + LIMIT_S
    while alive(pid) and time.monotonic() < end_s:
        time.sleep(0.1)
    assert not alive(pid)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody asks about does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.is_file() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
