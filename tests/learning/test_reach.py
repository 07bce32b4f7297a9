"""The whole program on the simulated cell: demonstrations, lock-step training, checkpoint, evaluation. Fails when it
stops learning, whichever of its parts is to blame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from robot_rl.agents.config import SacConfig
from robot_rl.evaluation.checkpoints import evaluate_checkpoint
from robot_rl.runtime.config import DemoConfig, EvalConfig, PaceConfig, TrainConfig
from robot_rl.runtime.train import train

REACH = TrainConfig(
    task="Reach",
    env_steps=2000,
    lockstep=True,
    corrections="scripted",
    demos=DemoConfig(n=20),
    agent=SacConfig(hidden=(128, 128), actor_average=0.95, lr_actor=1e-3, lr_critic=1e-3),
    pace=PaceConfig(learning_starts=100),
    evaluation=EvalConfig(every=500, final_episodes=0),
    report=False,
)
NEARLY_FROZEN = {"lr_actor": 1e-9, "lr_critic": 1e-9}


def success(config: TrainConfig, folder: Path) -> float:
    run = train(replace(config, out_dir=folder), live=False).run
    return evaluate_checkpoint(run.path, n=40, record=False).success


def test_learns_to_reach(tmp_path: Path) -> None:
    assert success(REACH, tmp_path) >= 0.85


def test_does_not_reach_without_learning(tmp_path: Path) -> None:
    """The bar above is one that only learning clears."""
    frozen = replace(REACH, env_steps=200, agent=replace(REACH.agent, **NEARLY_FROZEN))  # type: ignore[arg-type]
    assert success(frozen, tmp_path) <= 0.3
