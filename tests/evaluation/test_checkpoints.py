"""Evaluating what a run saved, on the real simulated cell: one process or two, recorded once, broken ones refused."""

import json
import os
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.specs import GRIPPER, StateSpec
from robot_rl.envs import make_env
from robot_rl.evaluation import checkpoints
from robot_rl.evaluation.checkpoints import evaluate_checkpoint, find_checkpoint, load_saved_policy
from robot_rl.runtime.learner.checkpoint import save_checkpoint


def random_actor(spec: StateSpec, seed: int = 0) -> dict[str, np.ndarray]:
    """A tiny untrained network in the format of `GaussianPolicy`."""
    rng = np.random.default_rng(seed)
    return {
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


@pytest.fixture(scope="module")
def reach_spec() -> StateSpec:
    env = make_env("Reach")
    try:
        return env.state_spec
    finally:
        env.close()


@pytest.fixture
def saved_run(tmp_path: Path, reach_spec: StateSpec) -> Path:
    run = tmp_path / "Reach" / "2000-01-01_00-00-00_seed0"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(yaml.safe_dump({"task": "Reach", "task_options": {}, "seed": 0}))
    (run / "run.json").write_text(json.dumps({"hz": 10.0, "state_checksum": reach_spec.checksum}))
    for update in (100, 200):
        save_checkpoint(
            run / "checkpoints",
            update,
            agent={"x": np.zeros(1, np.float32)},
            actor=random_actor(reach_spec, update),
            state={"counters": {"env_steps": update * 10}},
        )
    return run


def rows(run: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (run / "evaluations.jsonl").read_text().splitlines()]


def test_a_run_means_its_newest_checkpoint(saved_run: Path) -> None:
    assert find_checkpoint(saved_run).name == "000000200"
    saved = load_saved_policy(saved_run)
    assert (saved.task, saved.env_step, saved.policy.version, saved.hz) == ("Reach", 2000, 200, 10.0)


def test_a_run_is_evaluated_on_its_cell(saved_run: Path) -> None:
    """Workers would each need an arm; the simulation stands in where it is asked to, and the row says so."""
    (saved_run / "config.yaml").write_text(yaml.safe_dump({"task": "Reach", "cell": "nowhere"}))
    assert load_saved_policy(saved_run).cell == "nowhere"
    with pytest.raises(ConfigError, match="unknown cell 'nowhere'"):
        evaluate_checkpoint(saved_run, n=1)
    with pytest.raises(ConfigError, match="got 2 workers, but the cell nowhere has one arm: use one, or --cell sim"):
        evaluate_checkpoint(saved_run, n=2, workers=2)
    result = evaluate_checkpoint(saved_run, n=2, workers=2, cell="sim")
    (row,) = rows(saved_run)
    assert (row["cell"], result.cell) == ("sim", "sim") and "on the cell" not in result.line()


def test_appends_one_row_per_evaluation(saved_run: Path) -> None:
    first = evaluate_checkpoint(saved_run / "checkpoints" / "000000100", n=2)
    evaluate_checkpoint(saved_run, n=1, record=False)
    (row,) = rows(saved_run)
    assert row["checkpoint"] == "000000100" and row["env_step"] == 1000 and row["robot_s"] == 100.0
    assert (row["n"], row["successes"]) == (2, first.successes) and row["task"] == "Reach"


def test_results_on_other_options_are_not_the_runs(saved_run: Path) -> None:
    result = evaluate_checkpoint(saved_run, n=1, task_options={"dense_reward": True})
    assert result.task_options == {"dense_reward": True}
    assert not (saved_run / "evaluations.jsonl").exists()


def test_a_policy_is_evaluated_on_a_cell_as_imperfect_as_that_of_its_training(saved_run: Path) -> None:
    perfect = evaluate_checkpoint(saved_run, n=1)
    config = {"task": "Reach", "imperfections": {"state_delay_s": 0.05, "camera_hz": 30.0}}
    (saved_run / "config.yaml").write_text(yaml.safe_dump(config))
    result = evaluate_checkpoint(saved_run, n=1)
    assert result.task_options == {"imperfections": {"state_delay_s": 0.05}}
    assert len(rows(saved_run)) == 2 and rows(saved_run)[1]["task_options"] == result.task_options
    assert perfect.task_options == {}


def test_two_processes_give_the_same_as_one(saved_run: Path) -> None:
    alone = evaluate_checkpoint(saved_run, n=3, record=False)
    shared = evaluate_checkpoint(saved_run, n=3, workers=2, record=False)
    assert shared == alone
    assert alone.seeds == (10_000, 10_001, 10_002)


def test_a_killed_helper_is_an_error_and_records_nothing(saved_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Doomed(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, **kwargs)  # type: ignore[call-overload]
            os.kill(self.pid, signal.SIGSTOP)

    helpers: list[Doomed] = []

    def start(*args: object, **kwargs: object) -> Doomed:
        helpers.append(Doomed(*args, **kwargs))
        return helpers[-1]

    monkeypatch.setattr(checkpoints.subprocess, "Popen", start)
    with pytest.raises(DataError, match="exit code -9 and no result"):
        evaluate_checkpoint(saved_run, n=2, workers=2, on_episode=lambda e: helpers[0].kill())
    assert not (saved_run / "evaluations.jsonl").exists()
    assert all(h.poll() is not None for h in helpers)


def test_an_error_in_a_helper_is_told_as_its_own_sentence(saved_run: Path) -> None:
    job = checkpoints.Job(str(saved_run / "nothing"), "Reach", {}, (1,))
    with checkpoints._helpers([job]) as (helper,), pytest.raises(DataError, match="there is no checkpoint at"):
        checkpoints._collect(helper)


def test_a_policy_of_another_layout_is_refused(saved_run: Path) -> None:
    (saved_run / "run.json").write_text(json.dumps({"hz": 10.0, "state_checksum": "0123456789abcdef"}))
    with pytest.raises(DataError, match="expects the state layout 0123456789abcdef"):
        evaluate_checkpoint(saved_run, n=1)


def test_broken_and_absent_checkpoints_are_one_sentence(saved_run: Path, tmp_path: Path) -> None:
    actor = saved_run / "checkpoints" / "000000200" / "actor.safetensors"
    actor.write_bytes(actor.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"is broken: actor\.safetensors"):
        evaluate_checkpoint(saved_run, n=1)
    with pytest.raises(DataError, match="there is no checkpoint at"):
        evaluate_checkpoint(tmp_path / "absent", n=1)
    with pytest.raises(DataError, match="is no checkpoint"):
        evaluate_checkpoint(tmp_path, n=1)
    with pytest.raises(ConfigError, match="0 workers"):
        evaluate_checkpoint(saved_run, n=1, workers=0)


def test_a_checkpoint_outside_a_run_names_what_is_missing(saved_run: Path) -> None:
    for name in ("config.yaml", "run.json"):
        (saved_run / name).unlink()
    with pytest.raises(DataError, match="names no task"):
        load_saved_policy(saved_run)
