"""Rollouts to learn from, and episodes to judge by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from robot_rl.agents import ppo_acting
from robot_rl.agents.ppo import Rollout
from robot_rl.agents.ppo_config import PpoConfig
from robot_rl.agents.ppo_state import PpoState
from robot_rl.core.specs import ActionSpec
from robot_rl.evaluation.rollout import EpisodeResult
from robot_rl.runtime.residual_ppo.crowd import Crowd, Outcome
from robot_rl.runtime.residual_ppo.slots import NO_SEED
from robot_rl.runtime.seeds import Stream, stream_seed
from robot_rl.runtime.stop import StopFlag


@dataclass(frozen=True)
class Finished:
    """An episode that came to its end.

    Attributes:
        seed: of its initial state.
        success: the task was solved.
        length: steps.
        ret: sum of rewards.
        terminated: the task ended; otherwise the episode was cut.
        after: steps of the rollout, counted over all environments, up to and with the step that ended it.
    """

    seed: int
    success: bool
    length: int
    ret: float
    terminated: bool
    after: int


class Tally:
    """Counts steps and rewards of running episodes."""

    def __init__(self, envs: int) -> None:
        self._lengths, self._returns, self._solved = np.zeros(envs, int), np.zeros(envs), np.zeros(envs, bool)

    def clear(self) -> None:
        """Episodes begin in all environments."""
        self._lengths[:], self._returns[:], self._solved[:] = 0, 0.0, False

    def take(self, outcome: Outcome, after: int = 0) -> list[Finished]:
        """Count a step; the episodes that it ended."""
        self._lengths += outcome.acted
        self._returns += outcome.rewards * outcome.acted
        self._solved |= outcome.successes
        found = []
        for row in np.flatnonzero(outcome.ended):
            ret, length, solved = float(self._returns[row]), int(self._lengths[row]), bool(self._solved[row])
            found.append(Finished(int(outcome.seeds[row]), solved, length, ret, bool(outcome.terminated[row]), after))
            self._lengths[row], self._returns[row], self._solved[row] = 0, 0.0, False
        return found


class TrainingSeeds:
    """Initial states of training episodes: each environment has its own, so that processes do not matter."""

    def __init__(self, seed: int, envs: int) -> None:
        self._seed, self._counts = seed, [0] * envs

    def __call__(self, row: int) -> int:
        """Of the next episode of an environment."""
        index, self._counts[row] = self._counts[row], self._counts[row] + 1
        return stream_seed(self._seed, Stream.EPISODE, index, f"env{row}")


def gather(
    crowd: Crowd,
    tally: Tally,
    state: PpoState,
    config: PpoConfig,
    action_spec: ActionSpec,
    steps: int,
    rng: np.random.Generator,
    on_step: Callable[[], bool],
) -> tuple[Rollout, list[Finished]] | None:
    """Steps of all environments with the policy of now, and the episodes that ended meanwhile.

    Args:
        crowd: in the middle of episodes, all of them running.
        tally: of these.
        state: the policy.
        config: of it.
        action_spec: meaning of an action.
        steps: of each environment.
        rng: of the exploration.
        on_step: called after each step of all; whether to go on.

    Returns:
        None if it was not to go on.
    """
    taken, finished = [], []
    for t in range(steps):
        rows = ppo_acting.join(crowd.states, crowd.base, action_spec.active)
        noise = rng.standard_normal((crowd.size, len(action_spec.motion)), dtype=np.float32)
        edits, log_probs = map(np.asarray, ppo_acting.draw_edits(state, rows, noise, config.log_std))
        outcome = crowd.step(ppo_acting.edited(crowd.base, edits, action_spec, config.scale))
        finished += tally.take(outcome, (t + 1) * crowd.size)
        after = ppo_acting.join(outcome.states, outcome.base, action_spec.active)
        ends = (outcome.terminated.astype(np.float32), outcome.ended.astype(np.float32))
        taken.append((rows, edits, log_probs, after, outcome.rewards, *ends))
        if not on_step():
            return None
    return Rollout(*(np.stack(column) for column in zip(*taken, strict=True))), finished


def play(
    crowd: Crowd,
    state: PpoState,
    config: PpoConfig,
    action_spec: ActionSpec,
    seeds: Sequence[int],
    stop: StopFlag,
    hz: float,
) -> list[EpisodeResult] | None:
    """Episodes from these initial states without exploration; what was going on in the environments is given up.

    Returns:
        One result a seed, in their order; None if it was to stop.
    """
    waiting, found = iter(seeds), []
    tally = Tally(crowd.size)
    crowd.start(lambda row: next(waiting, NO_SEED))
    while crowd.running.any():
        rows = ppo_acting.join(crowd.states, crowd.base, action_spec.active)
        means = np.asarray(ppo_acting.edit_means(state, rows))
        found += tally.take(crowd.step(ppo_acting.edited(crowd.base, means, action_spec, config.scale)))
        if stop.requested:
            return None
    results = {e.seed: EpisodeResult(e.seed, e.success, e.length, e.length / hz, e.ret, "") for e in found}
    return [results[seed] for seed in seeds]
