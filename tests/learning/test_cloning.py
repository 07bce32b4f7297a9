"""The baselines learn: behavioural cloning from demonstrations alone, and HG-DAgger from being helped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from robot_rl.agents.config import SacConfig
from robot_rl.evaluation.checkpoints import evaluate_checkpoint
from robot_rl.runtime.config import DemoConfig, EvalConfig, PaceConfig, TrainConfig
from robot_rl.runtime.train import train

CLONED = TrainConfig(
    task="Reach",
    env_steps=0,
    lockstep=True,
    algorithm="bc",
    demos=DemoConfig(n=20),
    agent=SacConfig(hidden=(128, 128), actor_average=0.95, lr_actor=1e-3),
    pace=PaceConfig(warmup_updates=300, learning_starts=1),
    evaluation=EvalConfig(every=0, final_episodes=0),
    report=False,
)
FEW = replace(CLONED, demos=DemoConfig(n=1))
HELPED = replace(FEW, env_steps=500, corrections="scripted")


def success(config: TrainConfig, folder: Path) -> float:
    run = train(replace(config, out_dir=folder), live=False).run
    return evaluate_checkpoint(run.path, n=40, record=False).success


def test_cloning_demonstrations_reaches(tmp_path: Path) -> None:
    """An untrained policy reaches in at most 3 of 10, see `tests.learning.test_reach`."""
    assert success(CLONED, tmp_path) >= 0.6


@pytest.mark.slow
def test_being_helped_teaches_what_one_demonstration_does_not(tmp_path: Path) -> None:
    alone, helped = success(FEW, tmp_path / "alone"), success(HELPED, tmp_path / "helped")
    assert alone <= 0.5 and helped >= 0.7
