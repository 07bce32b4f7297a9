"""Small worlds to learn: quick to train on, and what was learned can be told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from robot_rl.core.config import merge
from robot_rl.core.specs import ActionSpec, Part, StateSpec
from robot_rl.core.types import Float32
from robot_rl.policies.base.checkpoint import TrainedBase
from robot_rl.policies.base.config import BaseConfig, FitConfig, NetworkConfig
from robot_rl.policies.base.train import train_base
from robot_rl.policies.base.windows import Demonstration

STATE = StateSpec((Part("place", 2, "m"),))
ACTION = ActionSpec(0.01, 0.1, (0, 2))
HORIZON = 4
MODE = 0.6
SMALL = BaseConfig(
    horizon=HORIZON,
    network=NetworkConfig(
        width=64, depth=2, channels=(16, 32), layers=2, heads=2, tokens=32, embedding=32, dropout=0.0
    ),
    fit=FitConfig(steps=300, batch=128, learning_rate=3e-3, warmup=20, report_every=100, average=0.98),
)


def small(**changes: Any) -> BaseConfig:
    """`SMALL` with changes in plain data."""
    return merge(SMALL, changes)


def two_ways(episodes: int = 40, steps: int = 6, seed: int = 0) -> list[Demonstration]:
    """Half the episodes go left, half right, by `MODE`; the third action follows the second state value."""
    rng = np.random.default_rng(seed)
    demos = []
    for k in range(episodes):
        states = rng.uniform(-1.0, 1.0, (steps + 1, 2)).astype(np.float32)
        actions = np.zeros((steps, 7), np.float32)
        actions[:, 0] = MODE if k % 2 else -MODE
        actions[:, 2] = 0.5 * states[0, 1]
        states[:, 1] = states[0, 1]
        demos.append(Demonstration(states, actions))
    return demos


def trained(config: BaseConfig, demos: list[Demonstration] | None = None, seed: int = 0) -> TrainedBase:
    """A base trained on `two_ways`."""
    torch.set_num_threads(1)
    *_, last = train_base(
        config, demos or two_ways(), state_spec=STATE, action_spec=ACTION, hz=10.0, name="toy", seed=seed
    )
    return last.snapshot()


def untrained(**changes: Any) -> TrainedBase:
    """After a single step."""
    config = small(**changes)
    return trained(replace(config, fit=replace(config.fit, steps=1)), two_ways(4))


def noise(base: TrainedBase, count: int, seed: int = 1) -> Float32:
    """Standard normal."""
    return np.random.default_rng(seed).standard_normal((count, *base.noise_shape)).astype(np.float32)
