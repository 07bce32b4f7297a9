"""The plans of one base policy for many environments, each of which is planned for at steps of its own."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from robot_rl.core.base import BasePolicy
from robot_rl.core.errors import ConfigError
from robot_rl.core.specs import ACTION_SIZE
from robot_rl.core.transition import Observation
from robot_rl.core.types import Float32

Rows = npt.NDArray[np.intp]


@runtime_checkable
class BatchBase(Protocol):
    """A base policy that plans for many environments at a time."""

    def propose_many(self, states: Float32, noise: Float32) -> Float32:
        """Plans ``float32[B, horizon, 7]`` from states ``[B, observations, n]`` and noise ``[B, *noise_shape]``."""
        ...


class Plans:
    """For each environment what `robot_rl.policies.plan.Planner` is for one: the same plans from the same seeds.

    All environments whose plans are used up are planned for in one call, if the base can do that.

    Args:
        base: asked; stays open.
        envs: how many environments there are.
        state_size: values of a state row.
        replan_every: steps for which a plan is followed.

    Attributes:
        asked: plans made so far.

    Raises:
        ConfigError: the base looks at pictures, or plans too few steps.
    """

    def __init__(self, base: BasePolicy, envs: int, state_size: int, replan_every: int) -> None:
        info = base.info
        if info.cameras:
            raise ConfigError(
                f"the base {info.name} looks at {', '.join(info.cameras)}, but residual PPO simulates states alone: "
                "train a base on states, correct it, and clone what it then does from pictures"
            )
        if replan_every > info.horizon:
            raise ConfigError(
                f"the base {info.name} plans {info.horizon} steps and is to be followed for {replan_every}: replan "
                "more often"
            )
        self.asked = 0
        self._base, self._replan_every = base, replan_every
        self._seen = np.zeros((envs, info.observations, state_size), np.float32)
        self._plans = np.zeros((envs, info.horizon, ACTION_SIZE), np.float32)
        self._at = np.full(envs, replan_every)
        self._fresh = np.ones(envs, bool)
        self._rngs = [np.random.default_rng(0) for _ in range(envs)]

    def begin(self, rows: Rows, seeds: npt.NDArray[np.int64]) -> None:
        """Episodes begin in these environments ``[B]``; the noise of their plans follows from `seeds` ``[B]`` alone."""
        for row, seed in zip(rows, seeds, strict=True):
            self._rngs[row] = np.random.default_rng(int(seed))
        self._at[rows], self._fresh[rows] = self._replan_every, True

    def see(self, rows: Rows, states: Float32) -> Float32:
        """What the plans hold for the step on these states; called once for each observation of an episode.

        Args:
            rows: environments ``[B]``.
            states: what they see now ``[B, n]``.

        Returns:
            ``float32[B, 7]`` in [-1, 1].

        Raises:
            DataError: a state does not fit the base.
            DeviceError: a base that runs elsewhere does not answer.
        """
        self._remember(rows, states)
        due = rows[self._at[rows] >= self._replan_every]
        if due.size:
            shape = (1, *self._base.info.noise_shape)
            noise = np.concatenate([self._rngs[row].standard_normal(shape, dtype=np.float32) for row in due])
            self._plans[due], self._at[due] = self._propose(self._seen[due], noise), 0
            self.asked += due.size
        actions: Float32 = self._plans[rows, self._at[rows]]
        self._at[rows] += 1
        return actions

    def _remember(self, rows: Rows, states: Float32) -> None:
        fresh = self._fresh[rows]
        self._seen[rows[fresh]] = states[fresh, None]
        self._seen[rows, :-1] = self._seen[rows, 1:]
        self._seen[rows, -1], self._fresh[rows] = states, False

    def _propose(self, seen: Float32, noise: Float32) -> Float32:
        if isinstance(self._base, BatchBase):
            return self._base.propose_many(seen, noise)
        alone = [
            self._base.propose([Observation(state) for state in states], z[None])[0]
            for states, z in zip(seen, noise, strict=True)
        ]
        return np.stack(alone)
