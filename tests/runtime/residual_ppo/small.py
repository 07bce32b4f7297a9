"""A small base that was trained, on disk as `robot-rl bc` leaves one, and one that costs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from robot_rl.agents.ppo_config import PpoConfig
from robot_rl.core.base import BaseInfo
from robot_rl.core.transition import Observation
from robot_rl.core.types import Float32
from robot_rl.envs.observation import make_state_spec
from robot_rl.envs.tasks import make_task
from robot_rl.policies.base.checkpoint import save_base
from robot_rl.policies.base.config import BaseConfig, FitConfig, NetworkConfig
from robot_rl.policies.base.train import train_base
from robot_rl.policies.base.windows import Demonstration
from robot_rl.runtime.base_config import BaseConfig as FollowedBase
from robot_rl.runtime.config import EvalConfig
from robot_rl.runtime.residual_ppo.config import ResidualPpoConfig

HORIZON, SEEN = 6, 2


class LinearBase:
    """Plans that tell what was seen, when it was planned and from which noise; one at a time."""

    def __init__(self, cameras: dict[str, tuple[int, int, int]] | None = None) -> None:
        self.info = BaseInfo("linear", "0123", HORIZON, SEEN, (3, 2), cameras=cameras or {})
        self.closed = False

    def propose(self, seen: Sequence[Observation], noise: Float32) -> Float32:
        states = np.stack([obs.state for obs in seen])
        return np.stack([self._plan(states, z) for z in noise])

    def _plan(self, states: Float32, noise: Float32) -> Float32:
        plan = np.zeros((HORIZON, 7), np.float32)
        plan[:, 0] = np.tanh(states[0, 0])
        plan[:, 1] = np.tanh(states[1, 1] + 0.1 * noise[0, 0])
        plan[:, 2] = np.arange(HORIZON) / HORIZON
        plan[:, 5] = 0.1 * np.tanh(noise[2, 1])
        plan[:, 6] = 1.0
        return plan

    def close(self) -> None:
        self.closed = True


class ManyBase(LinearBase):
    """The same, for many at a time."""

    def propose_many(self, states: Float32, noise: Float32) -> Float32:
        return np.stack([self._plan(s, z) for s, z in zip(states, noise, strict=True)])


def save_small_base(folder: Path) -> Path:
    """A base for `Reach` that was shown, without simulating, to move towards the marker; it does so badly."""
    task = make_task("Reach")
    spec, rng, demos = make_state_spec(task), np.random.default_rng(0), []
    for _ in range(4):
        states = (spec.scale * rng.normal(size=(30, spec.size))).astype(np.float32)
        actions = np.zeros((30, 7), np.float32)
        actions[:, :3] = np.clip(states[:, spec.slices["marker_position"]] / 0.05, -1.0, 1.0)
        demos.append(Demonstration(states, actions))
    config = BaseConfig(horizon=8, network=NetworkConfig(width=32, depth=1), fit=FitConfig(steps=100, batch=64))
    *_, report = train_base(config, demos, state_spec=spec, action_spec=task.action_spec, hz=10.0, name="small")
    folder.mkdir(parents=True, exist_ok=True)
    save_base(folder, report.snapshot())
    return folder


def small_config(base: Path, out: Path) -> ResidualPpoConfig:
    """A run of some seconds on such a base."""
    return ResidualPpoConfig(
        task="Reach",
        task_options={"tolerance_m": 0.05, "episode_steps": 15},
        base=FollowedBase(str(base), replan_every=4),
        env_steps=200,
        envs=4,
        steps=25,
        workers=1,
        agent=PpoConfig(hidden=(16, 16), epochs=3),
        evaluation=EvalConfig(every=100, episodes=4, final_episodes=5),
        checkpoint_every=1,
        out_dir=out,
        report=False,
    )
