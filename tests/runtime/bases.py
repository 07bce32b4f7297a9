"""A base policy whose plans say what they were made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robot_rl.core.base import BaseInfo
from robot_rl.core.transition import Observation
from robot_rl.core.types import Float32
from tests.runtime.fakes import SPEC

HORIZON = 12


class TellingBase:
    """Its actions are [towards the goal, position seen now, position seen before, step of the plan, noise, plan, 0].

    Args:
        checksum: which base it is.
        noise_dimensions: of the noise of each step.
    """

    def __init__(self, checksum: str = "one", noise_dimensions: int = 2) -> None:
        shape = (HORIZON, noise_dimensions)
        self.info = BaseInfo("telling", checksum, HORIZON, 2, shape, state_checksum=SPEC.checksum)
        self.asked = list[tuple[Sequence[Observation], Float32]]()
        self.closed = False

    def propose(self, seen: Sequence[Observation], noise: Float32) -> Float32:
        assert len(seen) == self.info.observations and noise.shape[1:] == self.info.noise_shape
        self.asked.append((seen, noise.copy()))
        (before, _), (x, goal) = seen[0].state, seen[1].state
        plan = np.zeros((len(noise), HORIZON, 7), np.float32)
        steps = np.arange(HORIZON, dtype=np.float32)
        plan[..., 0] = np.clip(3.0 * (goal - x) + 0.1 * noise[:, :, 0], -1.0, 1.0)
        plan[..., 1:3] = x, before
        plan[..., 3] = steps / 100
        plan[..., 4] = np.tanh(noise[:, :, 0])
        plan[..., 5] = np.arange(len(noise))[:, None] / 10
        return plan

    def close(self) -> None:
        self.closed = True
