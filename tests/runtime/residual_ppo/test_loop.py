"""Whole runs at small size: what they leave, that it can be played, and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from robot_rl.cli.residual_ppo import read_arguments
from robot_rl.core.errors import ConfigError, DataError
from robot_rl.evaluation.checkpoints import evaluate_checkpoint, load_saved_policy
from robot_rl.evaluation.run_record import read_run
from robot_rl.policies.edit import EditPolicy
from robot_rl.runtime.base_config import BaseConfig
from robot_rl.runtime.learner.checkpoint import list_checkpoints, load_actor
from robot_rl.runtime.residual_ppo.config import ResidualPpoConfig
from robot_rl.runtime.residual_ppo.loop import Result, train_residual_ppo
from tests.runtime.residual_ppo.small import save_small_base, small_config


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def trained(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return train_residual_ppo(replace(small_config(base, tmp_path_factory.mktemp("runs")), report=True), live=False)


def test_a_run_leaves_what_other_runs_leave_and_plays_what_it_trained(trained: Result) -> None:
    run = trained.run
    info = run.info()
    assert trained.finished and info["status"] == "finished" and info["end"]
    assert info["counters"]["env_steps"] == 200 and info["counters"]["updates"] == 2
    assert [p.name for p in list_checkpoints(run.checkpoints)] == [f"{k:09d}" for k in range(3)]
    record = read_run(run.path)
    assert record.task == "Reach" and [e["env_step"] for e in record.evaluations] == [0, 100, 200, 200]
    assert list(record.learner.numbers("env_step")) == [100, 200]
    steps = record.episodes.numbers("env_step")
    assert len(steps) and (np.diff(steps) >= 0).all() and steps[-1] <= 200
    assert "Reach" in (run.path / "report.html").read_text(encoding="utf-8")
    saved = load_saved_policy(run.path)
    assert isinstance(saved.policy, EditPolicy) and saved.policy.version == 2 and saved.env_step == 200
    again = evaluate_checkpoint(run.path, n=5, record=False)
    assert again.row()["episodes"] == record.evaluations[-1]["episodes"]


def test_the_base_alone_is_judged_first_as_it_plays_alone(trained: Result) -> None:
    run = trained.run
    first = read_run(run.path).evaluations[0]
    alone = evaluate_checkpoint(run.checkpoints / f"{0:09d}", n=4, seed=1_000_000, record=False)
    assert [e.success for e in alone.episodes] == [e["success"] for e in first["episodes"]]
    assert [e.length for e in alone.episodes] == [e["length"] for e in first["episodes"]]


def test_equal_seeds_give_equal_policies_however_many_processes_simulate(
    trained: Result, base: Path, tmp_path: Path
) -> None:
    told = small_config(base, tmp_path)
    other = train_residual_ppo(
        replace(told, workers=3, evaluation=replace(told.evaluation, final_episodes=0)), live=False
    )
    one, three = (load_actor(list_checkpoints(r.run.checkpoints)[-1])[0] for r in (trained, other))
    assert np.abs(one["actor/out/w"]).max() > 0.0 and all(np.array_equal(one[name], three[name]) for name in one)


def test_ctrl_c_leaves_what_was_learned(base: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "robot_rl.cli", "residual-ppo", "Reach", "--base", str(base)]
    command += ["--envs", "4", "--steps", "10", "--workers", "2", "--env-steps", "10000000", "--out-dir", str(tmp_path)]
    command += ["--agent.hidden", "16", "16", "--agent.epochs", "2", "--evaluation.every", "0", "--no-report"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0)
    try:
        end_s = time.monotonic() + 60.0
        while not any(len(p.read_text().splitlines()) > 3 for p in tmp_path.rglob("learner.csv")):
            assert running.poll() is None and time.monotonic() < end_s, "it does not learn"
            time.sleep(0.1)
        os.killpg(running.pid, signal.SIGINT)
        said, _ = running.communicate(timeout=30.0)
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
    assert running.returncode == 130 and "stopped; what was learned so far is in" in said, said
    run = next(tmp_path.glob("Reach/*"))
    saved = load_saved_policy(run)
    assert saved.policy.version >= 3
    assert '"status": "interrupted"' in (run / "run.json").read_text()


def test_without_a_base_or_with_one_for_something_else_it_does_not_begin(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--base RUN"):
        train_residual_ppo(replace(small_config(base, tmp_path), base=BaseConfig()))
    with pytest.raises(DataError, match="expects the state layout"):
        train_residual_ppo(replace(small_config(base, tmp_path), task="PegInsert", task_options={}), live=False)
    with pytest.raises(DataError, match="10 Hz"):
        train_residual_ppo(replace(small_config(base, tmp_path), task_options={"hz": 20.0}), live=False)
    with pytest.raises(ConfigError, match="replan more often"):
        train_residual_ppo(
            replace(small_config(base, tmp_path), base=BaseConfig(str(base), replan_every=9)), live=False
        )
    assert not list(tmp_path.glob("*/*/run.json"))


@pytest.mark.parametrize(
    ("argv", "wrong"),
    [
        (["--base", "x"], "which task"),
        (["Reach", "--base.proposals", "2"], "proposals is 2"),
        (["Reach", "--envs", "2", "--workers", "3"], "3 workers"),
        (["Reach", "--agent.gamma", "2"], "PpoConfig.gamma"),
    ],
)
def test_what_cannot_be_is_said(argv: list[str], wrong: str) -> None:
    with pytest.raises(ConfigError, match=wrong):
        read_arguments(argv)


def test_flags_become_the_configuration() -> None:
    got = read_arguments(["PegInsert", "--base", "runs/b", "--task-options", "clearance_mm=0.2", "--envs", "8"])
    assert got == replace(
        ResidualPpoConfig(), task_options={"clearance_mm": 0.2}, base=BaseConfig("runs/b"), envs=8, workers=0
    )
