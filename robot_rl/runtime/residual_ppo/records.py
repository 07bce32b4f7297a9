"""What a run of residual PPO writes down and shows while it goes."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from robot_rl.core.errors import StorageError
from robot_rl.runtime.monitor.csv_log import CsvLog
from robot_rl.runtime.monitor.metrics import EPISODE_COLUMNS, EpisodeRow
from robot_rl.runtime.monitor.progress import RateMeter, duration, time_left_s
from robot_rl.runtime.residual_ppo.practice import Finished
from robot_rl.runtime.run_folder import RunFolder

RECENT_EPISODES = 100


@dataclass(frozen=True)
class PpoStatus:
    """Figures of the progress line.

    Attributes:
        env_steps: so far, of all environments together.
        total_steps: that the run will take.
        success: rate over the last 100 episodes, which explored; None before the first ended.
        steps_per_s: of environments, those of updates and evaluations counted in the time.
    """

    env_steps: int
    total_steps: int
    success: float | None
    steps_per_s: float

    @property
    def share(self) -> float:
        """Of the work that is done, in [0, 1]."""
        return min(1.0, self.env_steps / self.total_steps)

    def text(self) -> str:
        """The line."""
        success = "-" if self.success is None else f"{self.success:.0%}"
        left = duration(time_left_s(self.total_steps - self.env_steps, self.steps_per_s))
        return (
            f"step {self.env_steps:,}/{self.total_steps:,} · success (last {RECENT_EPISODES}) {success} · "
            f"{self.steps_per_s:.0f} steps/s · {left} left"
        )


class Records:
    """``episodes.csv``, ``learner.csv`` and ``evaluations.jsonl`` of a run, and the figures of its progress line.

    Args:
        run: its folder.
        hz: control rate.
    """

    def __init__(self, run: RunFolder, hz: float) -> None:
        self._run, self._hz, self._began_s = run, hz, time.monotonic()
        self._episodes = CsvLog(run.path / "episodes.csv", EPISODE_COLUMNS)
        self._learner = CsvLog(run.path / "learner.csv")
        self._rate = RateMeter(window_s=60.0)
        self._recent: deque[bool] = deque(maxlen=RECENT_EPISODES)
        self.episodes = 0

    @property
    def wall_s(self) -> float:
        """Since the run began."""
        return time.monotonic() - self._began_s

    def status(self, env_steps: int, total_steps: int) -> PpoStatus:
        """The figures of now."""
        success = sum(self._recent) / len(self._recent) if self._recent else None
        return PpoStatus(env_steps, total_steps, success, self._rate.rate(env_steps))

    def iteration(
        self, number: int, env_steps: int, finished: Sequence[Finished], info: Mapping[str, float], gathered: int
    ) -> None:
        """Write down an iteration.

        Args:
            number: iterations so far, with this one.
            env_steps: environment steps so far, with its own.
            finished: episodes that ended in its rollout.
            info: of its update.
            gathered: its environment steps.

        Raises:
            StorageError: a file cannot be written.
        """
        for episode in finished:
            at = env_steps - gathered + episode.after
            self._episodes.append(self._row(episode, at, number - 1).cells())
            self._recent.append(episode.success)
            self.episodes += 1
        rate = {"env_steps_per_s": env_steps / max(self.wall_s, 1e-9)}
        self._learner.append({"update": number, "env_step": env_steps, "wall_s": self.wall_s, **rate, **info})

    def evaluation(self, checkpoint: str, env_steps: int, row: Mapping[str, Any]) -> None:
        """Write down an evaluation.

        Raises:
            StorageError: the file cannot be written.
        """
        facts = {"checkpoint": checkpoint, "env_step": env_steps, "robot_s": env_steps / self._hz}
        line = json.dumps({**facts, "wall_s": round(self.wall_s, 3), **row})
        path = self._run.evaluations_file
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as e:
            raise StorageError(f"cannot write {path}: {e.strerror or e}") from e

    def close(self) -> None:
        """Close the files. May be called twice."""
        self._episodes.close()
        self._learner.close()

    def _row(self, episode: Finished, env_step: int, version: int) -> EpisodeRow:
        return EpisodeRow(
            episode=self.episodes,
            env_step=env_step,
            robot_s=env_step / self._hz,
            wall_s=round(self.wall_s, 3),
            length=episode.length,
            ret=episode.ret,
            success=int(episode.success),
            stop_reason="success" if episode.success else "failure" if episode.terminated else "cut",
            intervention_steps=0,
            intervention_share=0.0,
            policy_version=version,
            source="policy",
        )
