"""The learner without any I/O: experience in, gradient steps at a controlled pace, parameters out.

Pace: UTD is the number of critic gradient steps per environment step. `Learner.due` says whether an update call is
wanted, `Learner.may_work_ahead` whether one may be made in idle time, and `Learner.allowed_env_steps` how far acting
may go, so the ratio stays within its bounds whichever of the two is faster. The time either waits for the other is
counted.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from robot_rl.agents.algorithms import find_algorithm
from robot_rl.agents.arrays import flatten_state, unflatten_state
from robot_rl.agents.config import SacConfig
from robot_rl.agents.state import AgentState
from robot_rl.agents.updates import Update
from robot_rl.agents.value import step_value
from robot_rl.core.errors import DataError
from robot_rl.core.specs import NO_VIEWS, ActionSpec, StateSpec, ViewSpec
from robot_rl.core.transition import StepRecord
from robot_rl.core.types import Float32
from robot_rl.data.frames import check_fits
from robot_rl.data.mixture import MixtureSampler
from robot_rl.data.replay import ReplayBuffer
from robot_rl.data.rewards import INTERVENTION_COMPONENT, RewardWeights
from robot_rl.data.takeovers import TakeOvers
from robot_rl.runtime.config import AlgorithmOptions, TrainConfig
from robot_rl.runtime.learner.pace import allowed_steps, due_updates, most_updates
from robot_rl.runtime.learner.shaping import PROCESS_COMPONENT, Shaper
from robot_rl.runtime.pictures import open_eyes, picture_storage, room
from robot_rl.runtime.seeds import Stream, stream_rng, stream_seed

if TYPE_CHECKING:
    import jax


@dataclass
class Counters:
    """What a run has done so far; continued by a resumed run.

    Attributes:
        env_steps: environment steps received, without demonstrations.
        updates: update calls, each of ``agent.utd`` critic steps.
        warmup_updates: those of them made on demonstrations before the first environment step.
        episodes: finished training episodes.
        next_episode: number of the next episode to act, counting those cut short.
        intervention_steps: environment steps under operator control.
        wall_s: time spent, pauses between resumed parts left out.
        learner_wait_s: of it, time in which the learner had nothing to do for want of experience, since learning began.
        actor_wait_s: of it, time in which actors waited for the learner, mean over the actors.
    """

    env_steps: int = 0
    updates: int = 0
    warmup_updates: int = 0
    episodes: int = 0
    next_episode: int = 0
    intervention_steps: int = 0
    wall_s: float = 0.0
    learner_wait_s: float = 0.0
    actor_wait_s: float = 0.0


@lru_cache(maxsize=8)
def _compiled_update(
    algorithm: str,
    options: AlgorithmOptions | None,
    agent: SacConfig,
    state_spec: StateSpec,
    action_spec: ActionSpec,
    views: ViewSpec,
    *,
    critic_only: bool,
) -> Update:
    """Compilation takes seconds, so learners of one process with the same agent share it."""
    found = find_algorithm(algorithm, options)
    return found.make_update(agent, state_spec, action_spec, views, critic_only=critic_only)


@dataclass(frozen=True)
class _Mark:
    env_steps: int
    updates: int
    t_s: float


class Learner:
    """Replay, sampler and agent.

    Args:
        config: the run's configuration.
        state_spec: layout of the packed state.
        action_spec: which dimensions may be commanded.
        hz: control rate, steps per second of robot time.

    Attributes:
        actors: how many act at this time; whoever listens to them keeps it up to date.
        shaper: makes the process reward of each episode.
        eyes: make of logged pictures what the networks see; None where these see the state alone.
        views: what the networks see of each camera.
    """

    def __init__(self, config: TrainConfig, state_spec: StateSpec, action_spec: ActionSpec, hz: float = 10.0) -> None:
        agent, how, share = config.agent, config.interventions, config.demos.share
        if config.algorithm == "bc":
            share = 1.0  # the other share holds what the policy did itself, which is not to be cloned
        self._algorithm = find_algorithm(config.algorithm, config.algorithm_options)
        self.config = config
        self.state_spec = state_spec
        self.counters = Counters()
        self.actors = max(1, config.actors)
        self.eyes = open_eyes(config.pictures)
        self.views = NO_VIEWS if self.eyes is None else self.eyes.views
        self.replay = ReplayBuffer(
            state_spec,
            config.capacity
            if self.eyes is None
            else room(config.pictures, self.eyes, config.capacity, config.env_steps),
            **({} if self.eyes is None else picture_storage(config.pictures, self.eyes)),
            gamma=agent.gamma,
            n_step=agent.n_step,
            corrections_in_demos=how.corrections_in == "both",
            half_life_steps=how.recency_half_life_steps,
            pinned=config.demos.capacity,
            action="policy" if config.algorithm == "noise" else "executed",
        )
        self._forgets_demos = config.algorithm == "calql" and not config.calql.keep_demos
        self._take_overs = TakeOvers(round(how.before_s * hz), how.before_reward)
        self.shaper = Shaper(config.process, agent.gamma, hz)
        self._weigh()
        rng = stream_rng(config.seed, Stream.REPLAY)
        chunk = config.edit.chunk if config.algorithm == "edit" else None
        self._sampler = MixtureSampler(self.replay, agent.batch_size, agent.utd, share, rng, chunk=chunk)
        seed = stream_seed(config.seed, Stream.AGENT)
        self._agent = self._algorithm.init(agent, state_spec, action_spec, seed, self.views)
        self._specs = (config.algorithm, config.algorithm_options, agent, state_spec, action_spec, self.views)
        self._info: Mapping[str, Any] = {}
        self._info_before: Mapping[str, Any] = {}
        self._mark = _Mark(0, 0, time.perf_counter())
        self._waited: dict[str, tuple[str, float]] = {}

    def add_demos(self, episodes: Iterable[Sequence[StepRecord]]) -> int:
        """Fill the demonstration share; returns the number of steps.

        Raises:
            DataError: they do not fit the replay, or say nothing of the progress that a process reward needs.
        """
        steps = 0
        for records in episodes:
            values = self.shaper.shape_demo(records)
            steps += self.replay.add_demos([[self._seen(record) for record in records]])
            if values is not None:
                self.replay.relabel(records[0].episode_id, PROCESS_COMPONENT, values)
        return steps

    def add(self, record: StepRecord, *, counted: bool = True) -> bool:
        """Take one step of training experience.

        Args:
            record: the step.
            counted: it is new to the counters; False for one that they hold since before a restart.

        Returns:
            Whether it is new; a record that was added before changes nothing.
        """
        if self._forgets_demos:
            self.replay.drop_demos()
            self._forgets_demos = False
        if not self.replay.add(self._seen(record)):
            return False
        charges = self._take_overs.add(record)
        if charges is not None:
            self.replay.relabel(record.episode_id, INTERVENTION_COMPONENT, charges)
        self._pay(record.episode_id, self.shaper.add(record, counted=counted))
        if counted:
            self.counters.env_steps += 1
            self.counters.intervention_steps += record.intervention
        return True

    def check(self, record: StepRecord) -> None:
        """Check that a step fits, before anything is made of it.

        Raises:
            DataError: it is invalid, of another layout, or lacks a picture.
        """
        check_fits(record, self.state_spec.size, {})
        if self.eyes is not None:
            self.eyes.check(record)

    def _seen(self, record: StepRecord) -> StepRecord:
        return record if self.eyes is None else self.eyes.see_record(record)

    def abandon(self, episode_id: str) -> None:
        """Declare that no further step of an episode will come."""
        self._pay(episode_id, self.shaper.cut(episode_id))
        self.replay.abandon(episode_id)
        self._take_overs.abandon(episode_id)

    def _pay(self, episode_id: str, values: Float32 | None) -> None:
        """Store the process reward of an episode and go on with the weight that is right after it."""
        if values is not None:
            self.replay.relabel(episode_id, PROCESS_COMPONENT, values)
            self._weigh()

    def _weigh(self) -> None:
        if self.shaper.config.on:
            self.replay.weights = RewardWeights(process=self.shaper.beta)

    @property
    def due(self) -> bool:
        """Whether an update call is wanted: UTD is below its target."""
        return self._paced_updates < due_updates(self.config.pace, self.counters.env_steps) and self.can_sample

    @property
    def may_work_ahead(self) -> bool:
        """Whether an update call may be made when there is nothing else to do: UTD is below its cap."""
        return self._paced_updates < most_updates(self.config.pace, self.counters.env_steps) and self.can_sample

    @property
    def _paced_updates(self) -> int:
        return self.counters.updates - self.counters.warmup_updates

    @property
    def can_sample(self) -> bool:
        """Whether there is anything to learn from."""
        own = 0 if self.config.algorithm == "bc" else len(self.replay.online)
        return own + len(self.replay.demo) > 0

    @property
    def allowed_env_steps(self) -> int:
        """Environment steps that all actors together may have taken now: up to the UTD floor, plus the slack."""
        return allowed_steps(self.config.pace, self._paced_updates, self.actors)

    @property
    def achieved_utd(self) -> float:
        """Critic steps per environment step since learning started; 0 before."""
        steps = self.counters.env_steps - self.config.pace.learning_starts
        return self._paced_updates * self.config.agent.utd / steps if steps > 0 else 0.0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Put around a wait for experience: it is counted if learning has begun and nothing is being computed."""
        idle, start_s = self._idle, time.perf_counter()
        try:
            yield
        finally:
            if idle:
                self.counters.learner_wait_s += time.perf_counter() - start_s

    @property
    def _idle(self) -> bool:
        learning = self.config.pace.learning_starts <= self.counters.env_steps < self.config.env_steps
        done = all(value.is_ready() for value in self._info.values())
        return learning and done and not (self.due or self.may_work_ahead)

    def actor_waited(self, actor: str, session: str, waited_s: float) -> None:
        """Take an actor's own account of its waiting.

        What it waited before it was first heard does not count, nor what it waits when all steps have been taken.

        Args:
            actor: its name.
            session: of its process.
            waited_s: how long it has waited for the learner since its process began.
        """
        known, before_s = self._waited.get(actor, ("", 0.0))
        self._waited[actor] = (session, waited_s)
        more_s = waited_s - before_s if known == session else 0.0
        if self.counters.env_steps < self.config.env_steps:
            self.counters.actor_wait_s += max(0.0, more_s) / self.actors

    def update(self) -> None:
        """One update call. It returns before the result is ready, so acting can go on meanwhile."""
        self._step(_compiled_update(*self._specs, critic_only=self._critics_alone))

    @property
    def _critics_alone(self) -> bool:
        """Whether the base still acts, so that the critics learn what it is worth."""
        c = self.config
        return c.algorithm == "edit" and (self.counters.env_steps < c.pace.learning_starts + c.edit.critic_only_steps)

    def warm_up(self) -> None:
        """One update call on demonstrations: of the critics alone, unless the algorithm learns from stored data."""
        self._step(_compiled_update(*self._specs, critic_only=True))
        self.counters.warmup_updates += 1

    def _step(self, update: Update) -> None:
        # The sampler is about to overwrite the batch of the update before the last, which must be through with it.
        for value in self._info_before.values():
            value.block_until_ready()
        self._info_before = self._info
        self._agent, self._info = update(self._agent, self._sample())
        self.counters.updates += 1

    def _sample(self) -> Any:
        if self.config.algorithm == "calql":
            return self._sampler.sample_with_returns(self.config.calql.return_floor)
        return self._sampler.sample()

    def actor_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Parameters of the acting policy; waits for the update under way."""
        return dict(self._algorithm.actor_params(self._agent, self.config.agent))

    def step_value(self, record: StepRecord) -> jax.Array | None:
        """What the critics think of an executed step, if there are any; a scalar that may not be ready yet."""
        if not isinstance(self._agent, AgentState):
            return None
        views = {} if self.eyes is None else self.eyes.views_of(record.obs)
        return step_value(self.config.agent, self._agent, record.obs.state, record.action_executed, views)

    @property
    def version(self) -> int:
        """Of the parameters `actor_arrays` returns: the number of update calls."""
        return self.counters.updates

    def figures(self) -> dict[str, float]:
        """A row of ``learner.csv``: UTD and waits so far, rates since the last call, all scalars of the last update."""
        now, c, mark = time.perf_counter(), self.counters, self._mark
        elapsed, steps, updates = now - mark.t_s, c.env_steps - mark.env_steps, c.updates - mark.updates
        self._mark = _Mark(c.env_steps, c.updates, now)
        row = {
            "update": float(c.updates),
            "env_step": float(c.env_steps),
            "wall_s": round(c.wall_s, 3),
            "utd": self.achieved_utd,
            "utd_target": self.config.target_utd,
            "learner_wait_s": round(c.learner_wait_s, 3),
            "actor_wait_s": round(c.actor_wait_s, 3),
            "updates_per_s": updates / max(elapsed, 1e-9),
            "env_steps_per_s": steps / max(elapsed, 1e-9),
        }
        row |= self.shaper.figures()
        return row | {name: float(np.asarray(value)) for name, value in sorted(self._info.items())}

    def state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Arrays and plain data from which `restore` continues bit-identically, given the replay."""
        plain = {
            "counters": asdict(self.counters),
            "sampler": self._sampler.state(),
            "process": self.shaper.to_plain(),
        }
        return flatten_state(self._agent), plain

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], data: Mapping[str, Any]) -> None:
        """Continue from `state`.

        Raises:
            DataError: it belongs to another configuration.
        """
        self._agent = unflatten_state(self._agent, arrays)
        try:
            self.counters = Counters(**data["counters"])
            self._sampler.restore(data["sampler"])
            self.shaper.restore(data["process"])
        except (KeyError, TypeError) as e:
            raise DataError(f"the saved learner state is incomplete: {e}") from e
        self._weigh()
        self._mark = _Mark(self.counters.env_steps, self.counters.updates, time.perf_counter())
