"""Demonstrations: recorded from a task's scripted expert, a person at a device, or a policy; one file per episode."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import numpy as np

from robot_rl.core.base import BASE_PLAN
from robot_rl.core.errors import DataError
from robot_rl.core.protocols import Policy, Teleop
from robot_rl.core.specs import ACTION_SIZE
from robot_rl.core.transition import Observation, Source, StepRecord
from robot_rl.core.types import Float32
from robot_rl.data.episode_log import EpisodeMeta
from robot_rl.runtime.acting import ActingConfig
from robot_rl.runtime.collector import Collector
from robot_rl.runtime.environment import Env
from robot_rl.runtime.episode_files import EpisodeSink, episode_files
from robot_rl.runtime.operator import keep_open
from robot_rl.runtime.reduced import reduced, reduced_spec
from robot_rl.runtime.repeat import repeat_facts
from robot_rl.runtime.seeds import Stream, stream_rng, stream_seed

MAX_ATTEMPTS_PER_DEMO = 5
VERDICT_S = 2.0


class Expert(Protocol):
    """A privileged controller that demonstrates a task."""

    def reset(self) -> None:
        """Begin a new episode; the environment has been reset."""
        ...

    def act(self) -> Float32:
        """Action ``[7]`` for the state the environment is in."""
        ...


class ExpertPolicy:
    """An expert in the place of a policy.

    Args:
        make: builds the expert of one episode from that episode's random numbers.
        seed: of the recording.
    """

    version = -1

    def __init__(self, make: Callable[[np.random.Generator], Expert], seed: int) -> None:
        self._make = make
        self._seed = seed
        self._episode = 0
        self._expert: Expert | None = None

    def reset(self) -> None:
        """Begin a new episode."""
        self._expert = self._make(stream_rng(self._seed, Stream.EXPERT, self._episode))
        self._expert.reset()
        self._episode += 1

    def act(self, obs: Observation, rng: np.random.Generator, *, deterministic: bool = False) -> Float32:
        """What the expert does; it sees the truth, not the observation."""
        assert self._expert is not None
        return self._expert.act()


@dataclass(frozen=True)
class DemoReport:
    """Outcome of a recording.

    Attributes:
        kept: demonstrations written.
        failed: attempts without success; written only if failures are kept.
        steps: in the written ones.
        robot_s: robot time of all attempts.
    """

    kept: int
    failed: int
    steps: int
    robot_s: float


def record_demos(
    env: Env,
    make_expert: Callable[[np.random.Generator], Expert],
    *,
    n: int,
    seed: int,
    folder: Path,
    task_options: Mapping[str, Any] | None = None,
    on_episode: Callable[[int, int], None] | None = None,
    keep_failures: bool = False,
) -> DemoReport:
    """Record `n` successful demonstrations; failed attempts are counted and thrown away.

    Args:
        env: the task's environment; stays open.
        make_expert: builds the expert of an episode.
        n: demonstrations wanted.
        seed: of initial states and expert.
        folder: where ``<number>.mcap`` files go; numbering goes on after those that exist.
        task_options: written into the files of an environment in lock-step, whose episodes can be repeated.
        on_episode: called with (kept, failed) after each attempt.
        keep_failures: record `n` attempts instead, whatever became of them.

    Raises:
        DataError: the expert fails too often, or the files cannot be written.
    """
    collector = Collector(env, ExpertPolicy(make_expert, seed), _acting(seed))
    on_attempt = _patience(f"the expert of {env.task_id}", n, on_episode)
    return _record(collector, n, folder, task_options or {}, on_attempt, keep_failures=keep_failures)


def record_policy(
    env: Env,
    policy: Policy,
    *,
    n: int,
    seed: int,
    folder: Path,
    task_options: Mapping[str, Any] | None = None,
    on_episode: Callable[[int, int], None] | None = None,
    keep_failures: bool = False,
    without: Sequence[str] = (),
) -> DemoReport:
    """Record `n` successful episodes of a policy that does not explore, for another policy to learn from.

    If it corrects a base policy, the states are written without the base's plans: as they are seen without the base.

    Args:
        env: the task's environment, with the base beside it if the policy corrects one; stays open.
        policy: what demonstrates.
        n: demonstrations wanted.
        seed: of initial states.
        folder: as in `record_demos`, and likewise below.
        task_options: see there.
        on_episode: see there.
        keep_failures: see there.
        without: parts of the state that the other policy will not be told, and which are not written.

    Raises:
        DataError: the policy fails too often, or the files cannot be written.
        DeviceError: a base that runs elsewhere does not answer.
    """
    acting = replace(_acting(seed), policy_source=Source.POLICY, deterministic=True)
    on_attempt = _patience(f"the policy on {env.task_id}", n, on_episode)
    collector = Collector(env, policy, acting)
    left_out = frozenset(without) | {BASE_PLAN}
    return _record(collector, n, folder, task_options or {}, on_attempt, keep_failures=keep_failures, without=left_out)


def _patience(who: str, n: int, on_episode: Callable[[int, int], None] | None) -> Callable[[int, int], None]:
    """Reports attempts, until there were too many."""

    def on_attempt(kept: int, failed: int) -> None:
        if on_episode is not None:
            on_episode(kept, failed)
        if kept + failed >= MAX_ATTEMPTS_PER_DEMO * n and kept < n:
            raise DataError(f"{who} succeeded in {kept} of {kept + failed} attempts, {n} were wanted")

    return on_attempt


class Still:
    """A policy that leaves everything to the operator."""

    version = -1

    def act(self, obs: Observation, rng: np.random.Generator, *, deterministic: bool = False) -> Float32:
        """No motion."""
        return np.zeros(ACTION_SIZE, np.float32)


def record_by_hand(
    env: Env,
    teleop: Teleop,
    *,
    n: int,
    seed: int,
    folder: Path,
    task_options: Mapping[str, Any] | None = None,
    on_episode: Callable[[int, int], None] | None = None,
    on_step: Callable[[Collector], None] | None = None,
) -> DemoReport:
    """Record `n` successful demonstrations of a person; what fails or is discarded is counted and thrown away.

    After each reset the arm waits for the person to take over: until then nothing is recorded. An episode that timed
    out may be judged for another two seconds. The person ends the session earlier with the mark `END`.

    Args:
        env: the task's environment; stays open.
        teleop: the person's device; stays open.
        n: demonstrations wanted.
        seed: of initial states.
        folder: as in `record_demos`.
        task_options: as in `record_demos`.
        on_episode: called with (kept, failed) after each attempt.
        on_step: called before each control step, and some times a second while the arm waits.

    Raises:
        DataError: the files cannot be written.
        DeviceError: arm or device cannot go on.
    """
    acting = replace(_acting(seed), teleop_source=Source.DEMO, verdict_s=VERDICT_S, wait_for_operator=True)
    collector = Collector(env, Still(), acting, make_teleop=keep_open(teleop))
    return _record(collector, n, folder, task_options or {}, on_episode, on_step)


def _acting(seed: int) -> ActingConfig:
    return ActingConfig(
        seed=seed,
        episode_prefix=f"demo-{uuid4().hex[:8]}",
        policy_source=Source.DEMO,
        episode_stream=Stream.DEMO_EPISODE,
    )


def _record(
    collector: Collector,
    n: int,
    folder: Path,
    task_options: Mapping[str, Any],
    on_episode: Callable[[int, int], None] | None,
    on_step: Callable[[Collector], None] | None = None,
    *,
    keep_failures: bool = False,
    without: frozenset[str] = frozenset(),
) -> DemoReport:
    env, acting = collector.env, collector.config
    first = max(episode_files(folder), default=-1) + 1
    spec = reduced_spec(env.state_spec, without)
    meta = EpisodeMeta(env.task_id, spec, env.action_spec, run_id=acting.episode_prefix, seed=acting.seed)
    kept = failed = steps = 0
    while kept < n:
        episode = _one_episode(collector, on_step)
        if collector.ended:
            break
        if collector.paused and not episode:
            continue
        succeeded = bool(episode) and episode[-1].rewards.get("success", 0.0) > 0.5
        if succeeded or (episode and keep_failures):
            reset_seed = stream_seed(acting.seed, acting.episode_stream, collector.next_episode - 1)
            facts = repeat_facts(reset_seed, task_options) if env.lockstep else {}
            _write(folder, first + kept, reduced(episode, env.state_spec, without), replace(meta, extra=facts))
            kept, steps = kept + 1, steps + len(episode)
        failed += not succeeded
        if on_episode is not None:
            on_episode(kept, failed)
    return DemoReport(kept, failed, steps, collector.env_steps / env.hz)


def _one_episode(collector: Collector, on_step: Callable[[Collector], None] | None) -> list[StepRecord]:
    records: list[StepRecord] = []
    while True:
        if on_step is not None:
            on_step(collector)
        records += collector.step()
        if collector.between_episodes or collector.ended:
            return records


def _write(folder: Path, number: int, records: list[StepRecord], meta: EpisodeMeta) -> None:
    sink = EpisodeSink(folder, meta)
    prefix = records[0].episode_id.rpartition("-")[0]
    for record in records:
        sink.append(_renamed(record, f"{prefix}-{number:06d}"))
    sink.close()


def _renamed(record: StepRecord, episode_id: str) -> StepRecord:
    return replace(record, episode_id=episode_id)
