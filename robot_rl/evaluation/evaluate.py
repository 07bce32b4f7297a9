"""Judging a policy: fixed initial states, deterministic actions, nobody helping, and an interval with every rate.

Example:
    >>> from robot_rl.evaluation import evaluate
    >>> print(evaluate(policy, "PickCube", n=100).line())  # doctest: +SKIP
    PickCube: n=100 success=0.98 lower bound=0.93
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from robot_rl.core.cells import IN_PROCESS
from robot_rl.core.errors import ConfigError
from robot_rl.core.protocols import Policy
from robot_rl.evaluation.rollout import Env, EpisodeResult, play_episode, time_limit_s
from robot_rl.evaluation.stats import Interval, TimeToSuccess, time_to_success, wilson_interval

EVALUATION_SEED = 10_000


@dataclass(frozen=True)
class Evaluation:
    """Outcome of n evaluation episodes.

    Attributes:
        task: id of the task.
        task_options: options the task was made with.
        episodes: in the order of their seeds.
        limit_s: time limit of the task, seconds.
        policy_version: of the parameters that acted.
        confidence: two-sided coverage of the interval.
        cell: where they were played.
    """

    task: str
    episodes: tuple[EpisodeResult, ...]
    limit_s: float
    policy_version: int = -1
    task_options: Mapping[str, Any] = field(default_factory=dict)
    confidence: float = 0.95
    cell: str = IN_PROCESS

    @property
    def n(self) -> int:
        """Number of episodes."""
        return len(self.episodes)

    @property
    def successes(self) -> int:
        """Number of successful episodes."""
        return sum(e.success for e in self.episodes)

    @property
    def success(self) -> float:
        """Success rate; NaN without episodes."""
        return self.successes / self.n if self.n else math.nan

    @property
    def interval(self) -> Interval:
        """Wilson interval of the success rate."""
        return wilson_interval(self.successes, self.n, self.confidence)

    @property
    def time_to_success(self) -> TimeToSuccess:
        """Times to success with failures counted."""
        return time_to_success([e.time_s for e in self.episodes], [e.success for e in self.episodes], self.limit_s)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the initial states."""
        return tuple(e.seed for e in self.episodes)

    def line(self) -> str:
        """One line such as ``PickCube: n=100 success=0.98 lower bound=0.93``, rounded; `row` has every digit."""
        where = "" if self.cell == IN_PROCESS else f" on the cell {self.cell}"
        return f"{self.task}{where}: n={self.n} success={self.success:.2f} lower bound={self.interval.low:.2f}"

    def row(self) -> dict[str, Any]:
        """Plain data for ``evaluations.jsonl``; what is not finite becomes null."""
        times = self.time_to_success
        lengths = [e.length for e in self.episodes]
        row = {
            "task": self.task,
            "task_options": dict(self.task_options),
            "cell": self.cell,
            "policy_version": self.policy_version,
            "n": self.n,
            "successes": self.successes,
            "success": self.success,
            "wilson_low": self.interval.low,
            "wilson_high": self.interval.high,
            "confidence": self.confidence,
            "mean_time_to_success_s": times.restricted_mean_s,
            "median_time_to_success_s": times.median_s,
            "mean_time_of_successes_s": times.mean_successful_s,
            "limit_s": self.limit_s,
            "mean_length": sum(lengths) / self.n if self.n else math.nan,
            "mean_return": sum(e.episode_return for e in self.episodes) / self.n if self.n else math.nan,
            "seed": self.episodes[0].seed if self.episodes else None,
            "episodes": [asdict(e) for e in self.episodes],
        }
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}


def evaluation_seeds(n: int, seed: int = EVALUATION_SEED) -> range:
    """Seeds of the fixed initial states, ``seed + i``.

    Raises:
        ConfigError: `n` is not positive or `seed` is negative.
    """
    if n < 1 or seed < 0:
        raise ConfigError(f"got {n} evaluation episodes from seed {seed}, expected at least 1 and a seed of at least 0")
    return range(seed, seed + n)


def evaluate(
    policy: Policy,
    task: str,
    *,
    n: int = 100,
    seed: int = EVALUATION_SEED,
    task_options: Mapping[str, Any] | None = None,
    cell: str = IN_PROCESS,
) -> Evaluation:
    """Evaluate a policy on a task.

    Args:
        policy: acts alone and deterministically.
        task: id of the task.
        n: number of episodes, at least 1.
        seed: episode i starts from the initial state of seed ``seed + i``, so that policies meet the same states.
        task_options: passed to `robot_rl.envs.make_env`.
        cell: likewise; a robot takes as long as its episodes do.

    Raises:
        ConfigError: the task, an option or the cell is unknown.
        DataError: an observation or action is not finite, or the policy does not fit the task.
        DeviceError: the cell does not run, or a device failed.
    """
    from robot_rl.envs import make_env

    seeds = evaluation_seeds(n, seed)
    options = dict(task_options or {})
    env = make_env(task, cell=cell, **options)
    try:
        return evaluate_in(policy, env, task, seeds, task_options=options, cell=cell)
    finally:
        env.close()


def evaluate_in(
    policy: Policy,
    env: Env,
    task: str,
    seeds: Sequence[int],
    *,
    task_options: Mapping[str, Any] | None = None,
    cell: str = IN_PROCESS,
) -> Evaluation:
    """The same in an environment that is already open; it stays open."""
    episodes = tuple(play_episode(policy, env, s) for s in seeds)
    return Evaluation(task, episodes, time_limit_s(env), policy.version, dict(task_options or {}), cell=cell)
