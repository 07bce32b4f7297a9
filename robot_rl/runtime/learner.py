"""The learner without any I/O: experience in, gradient steps at a controlled pace, parameters out.

Pace: UTD is the number of critic gradient steps per environment step. `Learner.ready` says whether an update call is
due, so acting and learning keep the configured ratio whichever of the two is faster.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from robot_rl.agents.config import SacConfig
from robot_rl.agents.sac import Update, actor_params, flatten_state, init, make_update, unflatten_state
from robot_rl.core.errors import DataError
from robot_rl.core.specs import ActionSpec, StateSpec
from robot_rl.core.transition import StepRecord
from robot_rl.data.mixture import MixtureSampler
from robot_rl.data.replay import ReplayBuffer
from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.seeds import Stream, stream_rng, stream_seed


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
    """

    env_steps: int = 0
    updates: int = 0
    warmup_updates: int = 0
    episodes: int = 0
    next_episode: int = 0
    intervention_steps: int = 0
    wall_s: float = 0.0


@lru_cache(maxsize=8)
def _compiled_update(agent: SacConfig, state_spec: StateSpec, action_spec: ActionSpec, *, critic_only: bool) -> Update:
    """Compilation takes seconds, so learners of one process with the same agent share it."""
    return make_update(agent, state_spec, action_spec, critic_only=critic_only)


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
    """

    def __init__(self, config: TrainConfig, state_spec: StateSpec, action_spec: ActionSpec) -> None:
        agent = config.agent
        self.config = config
        self.state_spec = state_spec
        self.counters = Counters()
        self.replay = ReplayBuffer(state_spec, config.capacity, gamma=agent.gamma, n_step=agent.n_step)
        rng = stream_rng(config.seed, Stream.REPLAY)
        self._sampler = MixtureSampler(self.replay, agent.batch_size, agent.utd, config.demos.share, rng)
        self._agent = init(agent, state_spec, action_spec, stream_seed(config.seed, Stream.AGENT))
        self._specs = (agent, state_spec, action_spec)
        self._info: Mapping[str, Any] = {}
        self._info_before: Mapping[str, Any] = {}
        self._mark = _Mark(0, 0, time.perf_counter())

    def add_demos(self, episodes: Iterable[Sequence[StepRecord]]) -> int:
        """Fill the demonstration share; returns the number of steps."""
        return self.replay.add_demos(episodes)

    def add(self, record: StepRecord) -> bool:
        """Take one step of training experience.

        Returns:
            Whether it is new; a record that was added before changes nothing.
        """
        if not self.replay.add(record):
            return False
        self.counters.env_steps += 1
        self.counters.intervention_steps += record.intervention
        return True

    @property
    def budget(self) -> int:
        """Update calls that the experience so far pays for."""
        pace = self.config.pace
        paid = (self.counters.env_steps - pace.learning_starts) // pace.env_steps_per_update
        return self.counters.warmup_updates + max(0, paid)

    @property
    def ready(self) -> bool:
        """Whether an update call is due."""
        return self.counters.updates < self.budget and self.can_sample

    @property
    def can_sample(self) -> bool:
        """Whether there is anything to learn from."""
        return len(self.replay.online) + len(self.replay.demo) > 0

    @property
    def allowed_env_steps(self) -> int:
        """Environment steps the actor may have taken now: what the updates have paid for, plus the slack."""
        pace = self.config.pace
        done = self.counters.updates - self.counters.warmup_updates
        return pace.learning_starts + done * pace.env_steps_per_update + pace.slack

    @property
    def achieved_utd(self) -> float:
        """Critic steps per environment step since learning started; 0 before."""
        steps = self.counters.env_steps - self.config.pace.learning_starts
        paced = self.counters.updates - self.counters.warmup_updates
        return paced * self.config.agent.utd / steps if steps > 0 else 0.0

    def update(self) -> None:
        """One update call. It returns before the result is ready, so acting can go on meanwhile."""
        self._step(_compiled_update(*self._specs, critic_only=False))

    def warm_up(self) -> None:
        """One update call of the critics alone, on demonstrations."""
        self._step(_compiled_update(*self._specs, critic_only=True))
        self.counters.warmup_updates += 1

    def _step(self, update: Update) -> None:
        # The sampler is about to overwrite the batch of the update before the last, which must be through with it.
        for value in self._info_before.values():
            value.block_until_ready()
        self._info_before = self._info
        self._agent, self._info = update(self._agent, self._sampler.sample())
        self.counters.updates += 1

    def actor_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Parameters of the acting policy; waits for the update under way."""
        return dict(actor_params(self._agent, self.config.agent))

    @property
    def version(self) -> int:
        """Of the parameters `actor_arrays` returns: the number of update calls."""
        return self.counters.updates

    def figures(self) -> dict[str, float]:
        """A row of ``learner.csv``: UTD achieved so far, rates since the last call, every scalar of the last update."""
        now, c, mark = time.perf_counter(), self.counters, self._mark
        elapsed, steps, updates = now - mark.t_s, c.env_steps - mark.env_steps, c.updates - mark.updates
        self._mark = _Mark(c.env_steps, c.updates, now)
        row = {
            "update": float(c.updates),
            "env_step": float(c.env_steps),
            "wall_s": round(c.wall_s, 3),
            "utd": self.achieved_utd,
            "updates_per_s": updates / max(elapsed, 1e-9),
            "env_steps_per_s": steps / max(elapsed, 1e-9),
        }
        return row | {name: float(np.asarray(value)) for name, value in sorted(self._info.items())}

    def state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Arrays and plain data from which `restore` continues bit-identically, given the replay."""
        return flatten_state(self._agent), {"counters": asdict(self.counters), "sampler": self._sampler.state()}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], data: Mapping[str, Any]) -> None:
        """Continue from `state`.

        Raises:
            DataError: it belongs to another configuration.
        """
        self._agent = unflatten_state(self._agent, arrays)
        try:
            self.counters = Counters(**data["counters"])
            self._sampler.restore(data["sampler"])
        except (KeyError, TypeError) as e:
            raise DataError(f"the saved learner state is incomplete: {e}") from e
        self._mark = _Mark(self.counters.env_steps, self.counters.updates, time.perf_counter())
