"""Many environments in the middle of episodes, and what the base would do in each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from robot_rl.core.specs import ACTION_SIZE
from robot_rl.core.types import Float32
from robot_rl.runtime.residual_ppo.plans import Plans
from robot_rl.runtime.residual_ppo.pool import EnvPool
from robot_rl.runtime.residual_ppo.slots import NO_SEED, End

NextSeed = Callable[[int], int]
"""From the row of an environment to what the episode after its next one begins from, `NO_SEED` for none."""


@dataclass(frozen=True)
class Outcome:
    """One control step of E environments.

    Attributes:
        states: what was seen after it, of the same episode also where it ended ``[E, n]``.
        base: the base's action for the step after it, had the episode gone on ``[E, 7]``; 0 where the task ended.
        rewards: ``[E]``.
        terminated: where the task ended ``bool[E]``.
        ended: where the episode ended ``bool[E]``.
        successes: where the task was solved ``bool[E]``.
        acted: where an episode was running ``bool[E]``.
        seeds: what the episodes of this step began from ``int64[E]``.
    """

    states: Float32
    base: Float32
    rewards: Float32
    terminated: npt.NDArray[np.bool_]
    ended: npt.NDArray[np.bool_]
    successes: npt.NDArray[np.bool_]
    acted: npt.NDArray[np.bool_]
    seeds: npt.NDArray[np.int64]


class Crowd:
    """Environments with plans; begins the next episode wherever one ends.

    Args:
        pool: closed by who made it.
        plans: for its environments.

    Attributes:
        states: what is seen now ``float32[E, n]``.
        base: what the base does on it ``float32[E, 7]``.
        running: where an episode is running ``bool[E]``.
    """

    def __init__(self, pool: EnvPool, plans: Plans) -> None:
        self._pool, self._plans = pool, plans
        envs = len(pool.slots.seeds)
        self.states = np.zeros_like(pool.slots.states)
        self.base = np.zeros((envs, ACTION_SIZE), np.float32)
        self.running = np.zeros(envs, bool)
        self._seeds = np.full(envs, NO_SEED)
        self._next_seed: NextSeed = lambda row: NO_SEED

    @property
    def size(self) -> int:
        """How many environments there are."""
        return len(self.running)

    def start(self, next_seed: NextSeed) -> None:
        """Begin an episode in every environment, whatever was going on there.

        Args:
            next_seed: called for each environment now, and once more for each episode that begins.

        Raises:
            DataError: an environment cannot begin or the base does not fit.
            DeviceError: a process died.
        """
        slots, self._next_seed = self._pool.slots, next_seed
        slots.seeds[:] = [next_seed(row) for row in range(self.size)]
        self._seeds = slots.seeds.copy()
        self._pool.reset()
        self.running = self._seeds != NO_SEED
        rows = np.flatnonzero(self.running)
        self._plans.begin(rows, self._seeds[rows])
        self._look()
        slots.seeds[rows] = [next_seed(int(row)) for row in rows]

    def step(self, actions: Float32) -> Outcome:
        """One control step with actions ``[E, 7]``.

        Raises:
            DataError: an environment or the base cannot go on.
            DeviceError: a process died.
        """
        slots, acted, seeds = self._pool.slots, self.running.copy(), self._seeds.copy()
        slots.actions[:] = actions
        self._pool.step()
        truncated, terminated = slots.ends == End.TRUNCATED, slots.ends == End.TERMINATED
        ended = truncated | terminated
        states = np.where(ended[:, None], slots.last_states, slots.states)
        last = np.zeros_like(self.base)
        cut = np.flatnonzero(truncated)
        last[cut] = self._plans.see(cut, slots.last_states[cut])
        self._seeds[ended] = slots.seeds[ended]
        self.running = acted & ~(ended & (self._seeds == NO_SEED))
        begun = np.flatnonzero(ended & self.running)
        self._plans.begin(begun, self._seeds[begun])
        slots.seeds[begun] = [self._next_seed(int(row)) for row in begun]
        self._look()
        return Outcome(
            states,
            np.where(ended[:, None], last, self.base),
            slots.rewards.copy(),
            terminated,
            ended,
            slots.successes.astype(bool) & acted,
            acted,
            seeds,
        )

    def _look(self) -> None:
        """Take in what is seen now and what the base makes of it."""
        rows = np.flatnonzero(self.running)
        self.states = self._pool.slots.states.copy()
        self.base[rows] = self._plans.see(rows, self.states[rows])
