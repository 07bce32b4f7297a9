"""From the progress that records carry to the process reward that the replay holds, episode by episode.

Only the learner does this: what the robot experienced stays as it was logged, and a run that is resumed works it out
again to the bit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from robot_rl.core.errors import DataError
from robot_rl.core.marks import DISCARDED
from robot_rl.core.transition import StepRecord
from robot_rl.core.types import Float32
from robot_rl.rewards.monitor import LEVELS, EpisodeSummary, MonitorState, observe
from robot_rl.rewards.process import Shaping, check_bound, earned, helped, shape
from robot_rl.rewards.process_config import ProcessConfig, anneal
from robot_rl.runtime.monitor.process_row import ProcessRow

PROGRESS = "progress"
PROCESS_COMPONENT = "process"
RECENT_EPISODES = 20


@dataclass
class _Episode:
    """What is remembered of an episode under way."""

    phi: list[float] = field(default_factory=list)
    intervened: list[bool] = field(default_factory=list)
    success: bool = False

    def add(self, record: StepRecord) -> None:
        """Take a step; steps that were lost repeat what was last known."""
        missing = record.step_index - len(self.phi)
        phi = float(record.rewards[PROGRESS])
        self.phi += [self.phi[-1] if self.phi else phi] * missing + [phi]
        self.intervened += [False] * missing + [record.intervention]
        self.success |= record.rewards.get("success", 0.0) > 0.5

    def scores(self) -> list[float]:
        """Progress before the first step and after each; what it was before is not recorded, and taken as after it."""
        return [self.phi[0], *self.phi]


class Shaper:
    """Follows episodes and says what their steps earn, and how much that weighs.

    Args:
        config: of the run.
        gamma: discount of the learner.
        hz: control rate.

    Attributes:
        config: as given.
        state: of the monitor.
        off: why the weight is 0 for the rest of the run; empty if it is not.
        notices: sentences for people, to be taken away by whoever tells them.
    """

    def __init__(self, config: ProcessConfig, gamma: float, hz: float) -> None:
        self.config = config
        self._how: Shaping = config.shaping(gamma)
        self._mask_steps = round(config.mask_after_intervention_s * hz)
        self._open: dict[str, _Episode] = {}
        self._factor = 1.0
        self._recent: deque[bool] = deque(maxlen=RECENT_EPISODES)
        self.state = MonitorState()
        self.off = ""
        self.notices: list[str] = []
        self._rows: dict[str, ProcessRow] = {}

    @property
    def beta(self) -> float:
        """Weight of the process reward now."""
        return 0.0 if self.off else self.config.beta * self._factor

    def check(self, record: StepRecord) -> None:
        """Check that a record can be rewarded.

        Raises:
            DataError: there is a process reward and the record says nothing of progress.
        """
        if self.config.on and PROGRESS not in record.rewards:
            raise DataError(
                f"step {record.step_index} of episode {record.episode_id!r} says nothing of {PROGRESS}, which "
                f"process.form {self.config.form} needs: have it recorded with a progress model, relabel it, or use "
                "--process.form none"
            )

    def add(self, record: StepRecord, *, counted: bool = True) -> Float32 | None:
        """Take the next step of an episode.

        Args:
            record: the step.
            counted: it is new to the monitor.

        Returns:
            When the episode ends with it, the process reward of every step ``float32[T]``, else None.
        """
        if not self.config.on:
            return None
        self.check(record)
        if record.last and record.stop_reason == DISCARDED:
            self._open.pop(record.episode_id, None)
            return None
        self._open.setdefault(record.episode_id, _Episode()).add(record)
        return self._end(record.episode_id, terminated=record.terminated, counted=counted) if record.last else None

    def cut(self, episode_id: str) -> Float32 | None:
        """No further step of an episode will come: its process reward so far, None if nothing is known of it."""
        return self._end(episode_id, terminated=False, counted=False) if episode_id in self._open else None

    def shape_demo(self, records: Sequence[StepRecord]) -> Float32 | None:
        """The process reward of a whole demonstration ``float32[T]``: a person's own progress counts in it.

        Returns:
            None without a process reward, and for no records.

        Raises:
            DataError: it says nothing of progress.
        """
        if not self.config.on or not records:
            return None
        episode = _Episode()
        for record in records:
            self.check(record)
            episode.add(record)
        return self._commit(episode, terminated=records[-1].terminated, masked=False)

    def take_row(self, episode_id: str, episode: int, env_step: int) -> ProcessRow | None:
        """The line of a finished episode, once, given the run's counters; None if there is none."""
        row = self._rows.pop(episode_id, None)
        return None if row is None else ProcessRow(**{**vars(row), "episode": episode, "env_step": env_step})

    def take_notices(self) -> list[str]:
        """What people should know, each once."""
        out, self.notices = self.notices, []
        return out

    def figures(self) -> dict[str, float]:
        """For ``learner.csv``; nothing without a process reward."""
        if not self.config.on:
            return {}
        window = self.state.window[-RECENT_EPISODES:]
        mean = float(np.mean([e.process_return for e in window])) if window else 0.0
        alarm = float(LEVELS.index(self.state.last.level))
        return {"process_beta": self.beta, "process_return": mean, "process_alarm": alarm}

    def to_plain(self) -> dict[str, Any]:
        """What a checkpoint holds; episodes under way are followed again from the log."""
        return {
            "monitor": self.state.to_plain(),
            "factor": self._factor,
            "recent": [int(s) for s in self._recent],
            "off": self.off,
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        """Continue from `to_plain`.

        Raises:
            DataError: it is something else.
        """
        try:
            self.state = MonitorState.from_plain(data["monitor"])
            self._factor, self.off = float(data["factor"]), str(data["off"])
            self._recent = deque((bool(s) for s in data["recent"]), maxlen=RECENT_EPISODES)
        except (KeyError, TypeError, ValueError) as e:
            raise DataError(f"the checkpoint's state of the process reward cannot be read: {e}") from e

    def _commit(self, episode: _Episode, *, terminated: bool, masked: bool = True) -> Float32:
        values = shape(episode.scores(), self._how, terminated=terminated, success=episode.success)
        helps = episode.intervened if masked else [False] * len(values)
        kept = earned(values, helped(helps, self._mask_steps), self._how)
        check_bound(kept, self._how)
        return kept

    def _end(self, episode_id: str, *, terminated: bool, counted: bool) -> Float32:
        episode = self._open.pop(episode_id)
        values = self._commit(episode, terminated=terminated)
        if counted:
            self._count(episode_id, episode, values)
        return values

    def _count(self, episode_id: str, episode: _Episode, values: Float32) -> None:
        summary = self._summary(episode_id, episode)
        self._recent.append(summary.success and not summary.helped)
        if len(self._recent) == RECENT_EPISODES:
            self._factor = min(self._factor, anneal(self.config, float(np.mean(self._recent))))
        before = self.state.last
        self.state = observe(self.state, summary, self.config.monitor)
        changed = (self.state.last.signs, self.state.last.level) != (before.signs, before.level)
        if changed and not self.off:
            self._announce()
        self._rows[episode_id] = ProcessRow(
            episode=-1,
            env_step=-1,
            success=int(summary.success),
            helped=int(summary.helped),
            process_return=summary.process_return,
            paid=float(values.sum(dtype=np.float64)),
            high_share=summary.high_steps / max(1, len(values)),
            phi_end=summary.phi_end,
            beta=self.beta,
            alarm=LEVELS.index(self.state.last.level),
            correlation=self.state.last.correlation,
        )

    def _summary(self, episode_id: str, episode: _Episode) -> EpisodeSummary:
        by_itself = Shaping(**{**vars(self._how), "gamma": 1.0})
        values = shape(episode.scores(), by_itself, terminated=False, success=episode.success)
        high = sum(phi > self.config.monitor.high for phi in episode.phi)
        return EpisodeSummary(
            episode_id,
            float(values.sum(dtype=np.float64)),
            episode.success,
            high,
            episode.phi[-1],
            any(episode.intervened),
        )

    def _announce(self) -> None:
        found = self.state.last
        if found.level == "green":
            self.notices.append("process reward: nothing speaks against it any more")
            return
        line = f"process reward, {found.level} alarm: {found.reason}"
        if found.level == "red" and self.config.monitor.switch_off:
            self.off = found.reason
            line += "; its weight is 0 from now on"
        if self.state.review:
            line += f"; worth a look: {', '.join(self.state.review[-3:])}"
        self.notices.append(line)
