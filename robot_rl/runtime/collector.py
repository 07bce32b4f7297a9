"""The acting loop: who commands, what is stored. Recording, lock-step training and the actor process all use it.

One control step: the policy proposes, an engaged operator takes over, the environment moves and says what it executed.
The record of a step is handed out one step late, once the observation after it is known to be sound; so an episode
that a broken sensor cuts short ends with its last good frame, one that an operator ends with the step that was seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from robot_rl.core.errors import DataError, DeviceError, SafetyFault
from robot_rl.core.lateness import LatenessHistogram
from robot_rl.core.marks import ABORT, END, FAILURE, PAUSE, READY, SUCCESS
from robot_rl.core.protocols import Policy
from robot_rl.core.specs import ACTION_SIZE
from robot_rl.core.transition import Observation, Source, StepRecord
from robot_rl.core.types import TeleopState
from robot_rl.hardware.takeover import LOST
from robot_rl.runtime.acting import ActingConfig, TeleopFactory, make_record
from robot_rl.runtime.based import Continuing, Planned, base_action
from robot_rl.runtime.environment import Env, read_observation
from robot_rl.runtime.operator import POLL_S, Seat, action_of, judged, vetoed
from robot_rl.runtime.seeds import Stream, stream_rng, stream_seed
from robot_rl.vision.health import PictureWatch

BAD_OBSERVATION = "bad_observation"
INTERRUPTED = "interrupted"
MAX_BAD_EPISODES = 3


class _BadObservation(Exception):
    """The environment could not say what the world looks like."""


@dataclass
class _Episode:
    id: str
    number: int
    obs: Observation
    rng: np.random.Generator
    t_seen_s: float
    prompt: str = ""
    step_index: int = 0
    waited: bool = False
    pending: StepRecord | None = None


class Collector:
    """Runs episodes and hands out validated records, each exactly once and in order.

    Args:
        env: closed by whoever made it.
        policy: proposes actions; replace it at any time with `set_policy`.
        config: see `ActingConfig`.
        make_teleop: builds the operator's stand-in for one episode from that episode's random numbers, or None.
        first_episode: number of the first episode, for a run that goes on.
        env_steps: steps taken before, for a run that goes on.
        seat: of the operator of several collectors on one robot; by default one of its own.
        watch: cuts an episode when its pictures are good for nothing; None for pictures that nobody learns from.

    Attributes:
        env_steps: environment steps taken, those before included.
        next_episode: number of the next episode.
        bad_episodes: cut by observations that could not be used.
        last_problem: what was wrong with the last one.
        last_refusal: what a device said that refused the newest step's command, or empty.
        lateness: of the steps taken, where time does not stand still.
        newest: the newest step, handed out or not; None before the first.
        seen: the newest observation, pictures included; None before the first.
        paused: an operator wants the arm to stand still; `step` takes no steps until the next press.
        ended: an operator wants no more steps.
    """

    def __init__(
        self,
        env: Env,
        policy: Policy,
        config: ActingConfig,
        *,
        make_teleop: TeleopFactory | None = None,
        first_episode: int = 0,
        env_steps: int = 0,
        seat: Seat | None = None,
        watch: PictureWatch | None = None,
    ) -> None:
        self.env = env
        self.config = config
        self.env_steps = env_steps
        self.next_episode = first_episode
        self.bad_episodes = 0
        self.last_problem = self.last_refusal = ""
        self.lateness = LatenessHistogram()
        self.newest: StepRecord | None = None
        self.seen: Observation | None = None
        self.paused = self.ended = False
        self._policy = policy
        self._make_teleop = make_teleop
        self._seat = seat or Seat()
        self._watch = watch
        self._episode: _Episode | None = None
        self._bad_in_a_row = 0
        self._active = np.zeros(ACTION_SIZE, bool)
        self._active[list(env.action_spec.active)] = True

    @property
    def between_episodes(self) -> bool:
        """Whether the next `step` starts a new episode."""
        return self._episode is None

    @property
    def fresh(self) -> bool:
        """Whether no step of the running episode has been taken, or none is running."""
        return self._episode is None or self._episode.step_index == 0

    @property
    def prompt(self) -> str:
        """What a person is asked to do before the episode begins, and to mark `READY`; empty for nothing.

        The arm holds meanwhile, and `step` takes no steps.
        """
        return "" if self._episode is None else self._episode.prompt

    @property
    def pending(self) -> StepRecord | None:
        """The newest step, if it is not handed out yet: the next `step` may make it the last of its episode."""
        return None if self._episode is None else self._episode.pending

    def set_policy(self, policy: Policy) -> None:
        """Act with these parameters from the next step on; what the ones before decided on is done to its end."""
        if isinstance(policy, Continuing):
            policy.continue_from(self._policy)
        self._policy = policy

    def step(self) -> list[StepRecord]:
        """Take one control step.

        Returns:
            The records that became final: none or one in the middle of an episode, two at its end. None, and no step
            was taken, while the operator pauses and after the end that he asked for.

        Raises:
            DeviceError: several episodes in a row were cut by bad observations.
        """
        if self._bad_in_a_row >= MAX_BAD_EPISODES:
            raise DeviceError(
                f"{self._bad_in_a_row} episodes in a row were cut by a bad observation; the last: {self.last_problem}"
            )
        if self._episode is None and not (self.paused or self.ended):
            self._episode = self._start()
            if self._episode is None:
                return []
        operator, marks = self._seat.read()
        prepared = self._prepared(ready=READY in marks)
        episode, marks = self._episode, [mark for mark in marks if mark != READY]
        wait = marks or not prepared or self.paused or self.ended
        if wait or episode is None or self._must_wait(episode, operator):
            return self._obey(marks)
        try:
            if episode.waited:
                episode.obs, _ = self._see(lambda: (self.env.look(),))
                episode.waited = False
                if isinstance(self._policy, Planned):
                    self._policy.flush()
            record, obs_next = self._act(episode, operator)
        except _BadObservation as e:
            return self._cut(str(e))
        done = [episode.pending] if episode.pending is not None else []
        episode.obs, episode.step_index, episode.t_seen_s = obs_next, episode.step_index + 1, time.perf_counter()
        self.env_steps += 1
        self.newest = record
        if record.last:
            if record.rewards.get(SUCCESS):
                record = self._wait_for_veto(record)
            else:
                record = self._wait_for_verdict(record, obs_next)
            self._bad_in_a_row = 0
            self._end()
            done.append(record)
        else:
            episode.pending = record
        for r in done:
            r.validate()
        return done

    def interrupt(self, reason: str = INTERRUPTED) -> list[StepRecord]:
        """End the running episode now as truncated, for example because the program ends."""
        episode = self._episode
        if episode is None:
            return []
        self._end()
        self.env.hold()
        if episode.pending is None:
            return []
        record = replace(episode.pending, truncated=True, stop_reason=reason, final_obs=episode.obs)
        record.validate()
        return [record]

    def close(self) -> None:
        """Release the operator's device. May be called twice."""
        self._seat.close()

    def _obey(self, marks: list[str]) -> list[StepRecord]:
        """What an operator says is about what he saw: the newest observation, before another step changes it."""
        if not marks:
            time.sleep(POLL_S)
            return []
        mark, episode = marks[0], self._episode
        if mark == PAUSE:
            self.paused = not self.paused
            self.env.hold()
            if episode is not None:
                episode.waited = True
            return []
        if mark == END:
            self.ended = True
            return self.interrupt()
        # Before the first step there is nothing to judge: that was said too late about the episode before.
        if episode is None or (episode.pending is None and mark != ABORT):
            return []
        self._end()
        self.env.hold()
        self._bad_in_a_row = 0
        if episode.pending is None:
            return []
        record = judged(episode.pending, mark, episode.obs)
        record.validate()
        return [record]

    def _must_wait(self, episode: _Episode, operator: TeleopState) -> bool:
        """Whether nobody is there whom the arm could follow: before the first step, or lost in a take-over.

        The standstill of an arm whose operator was lost is no correction, so no step is taken.
        """
        awaited = self.config.wait_for_operator and not operator.engaged and episode.step_index == 0
        if not awaited and LOST not in operator.buttons:
            return False
        if not episode.waited:
            self.env.hold()
        episode.waited = True
        return True

    def _prepared(self, *, ready: bool) -> bool:
        """Whether nobody has to do anything before the first step; `ready` if an operator says that he has done it."""
        episode = self._episode
        if episode is None or not episode.prompt:
            return True
        try:
            if ready:
                self.env.confirm()
            episode.prompt = self.env.wanted()
        except (DataError, SafetyFault) as e:
            self._count_bad(f"before the first step: {e}")
            return False
        return not episode.prompt

    def _wait_for_verdict(self, record: StepRecord, final_obs: Observation) -> StepRecord:
        if self.config.verdict_s <= 0.0 or self._seat.teleop is None:
            return record
        self.env.hold()
        mark = self._seat.wait_for_verdict(self.config.verdict_s)
        return record if mark is None else judged(record, mark, final_obs)

    def _wait_for_veto(self, record: StepRecord) -> StepRecord:
        if self.config.veto_s <= 0.0 or self._seat.teleop is None:
            return record
        self.env.hold()
        mark = self._seat.wait_for_verdict(self.config.veto_s)
        return vetoed(record) if mark == FAILURE else record

    def _start(self) -> _Episode | None:
        number, c = self.next_episode, self.config
        self.next_episode += 1
        if self._watch is not None:
            self._watch.begin()
        try:
            seed = stream_seed(c.seed, c.episode_stream, number, c.actor)
            obs, _ = self._see(lambda: self.env.reset(seed=seed))
        except _BadObservation as e:
            self._count_bad(f"after reset: {e}")
            return None
        reset_policy = getattr(self._policy, "reset", None)
        if reset_policy is not None:
            reset_policy()
        if self._make_teleop is not None:
            self._seat.take(self._make_teleop(stream_rng(c.seed, Stream.TELEOP, number, c.actor)))
        rng = stream_rng(c.seed, Stream.POLICY, number, c.actor)
        prompt = self.env.wanted()
        if prompt:
            self.env.hold()
        name = f"{c.episode_prefix}-{number:06d}"
        return _Episode(name, number, obs, rng, time.perf_counter(), prompt, waited=bool(prompt))

    def _see(self, call: Callable[[], tuple[Any, ...]]) -> tuple[Observation, tuple[Any, ...]]:
        try:
            result = call()
            self.seen = seen = read_observation(result[0], self.env.state_spec)
            if self._watch is not None:
                self._watch.check(seen)
            keep = self.config.keep_cameras
            if keep is None:
                return seen, result
            return replace(seen, images={name: seen.images[name] for name in keep if name in seen.images}), result
        except (DataError, SafetyFault) as e:
            raise _BadObservation(str(e)) from e

    def _act(self, episode: _Episode, operator: TeleopState) -> tuple[StepRecord, Observation]:
        random = self.env_steps < self.config.random_steps
        if random:
            proposal = np.where(self._active, episode.rng.uniform(-1.0, 1.0, ACTION_SIZE), 0.0).astype(np.float32)
        else:
            proposal = self._policy.act(episode.obs, episode.rng, deterministic=self.config.deterministic)
        proposal = np.clip(np.asarray(proposal, np.float32), -1.0, 1.0)
        action = action_of(operator) if operator.engaged else proposal
        if operator.engaged or self.config.policy_source is Source.DEMO:
            for planned in (self.env, self._policy):
                if isinstance(planned, Planned):
                    planned.flush()
        t_wall_s, latency_ms = time.time(), (time.perf_counter() - episode.t_seen_s) * 1e3
        obs_next, (_, _, terminated, truncated, info) = self._see(lambda: self.env.step(action))
        self.last_refusal = str(info.get("problem", ""))
        if not self.env.lockstep:
            self.lateness = self.lateness.add(float(info["late_s"]), missed=bool(info["missed"]))
        record = make_record(
            self.config,
            operator,
            obs=episode.obs,
            obs_next=obs_next,
            action=action,
            proposal=proposal,
            outcome=(bool(terminated), bool(truncated), info),
            episode_id=episode.id,
            step_index=episode.step_index,
            policy_version=-1 if random else self._policy.version,
            task=self.env.task_id,
            t_wall_s=t_wall_s,
            latency_ms=latency_ms,
            action_base=base_action(episode.obs, self.env.state_spec),
        )
        return record, obs_next

    def _cut(self, problem: str) -> list[StepRecord]:
        episode = self._episode
        assert episode is not None
        records = self.interrupt(BAD_OBSERVATION)
        self._count_bad(f"step {episode.step_index} of episode {episode.id}: {problem}")
        return records

    def _count_bad(self, problem: str) -> None:
        self._episode = None
        self.bad_episodes += 1
        self._bad_in_a_row += 1
        self.last_problem = problem

    def _end(self) -> None:
        self._episode = None
