"""What a run writes down while it goes: episodes, updates, actors, evaluations, and TensorBoard event files.

``episodes.csv``, ``process.csv``, ``learner.csv`` and ``actors.csv`` are append-only with one header line,
``evaluations.jsonl`` holds one object a line.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robot_rl.core.errors import StorageError
from robot_rl.core.lateness import LatenessHistogram
from robot_rl.core.transition import Source, StepRecord
from robot_rl.data.rewards import GRIPPER_COMPONENT, WATCHED
from robot_rl.runtime.monitor.csv_log import CsvLog
from robot_rl.runtime.monitor.process_row import PROCESS_COLUMNS, ProcessRow

if TYPE_CHECKING:
    from robot_rl.runtime.monitor.board import Board

EVALUATIONS = "evaluations.jsonl"
PROCESS_TABLE = "process.csv"
LEARNER_COLUMNS = (
    "update",
    "env_step",
    "wall_s",
    "utd",
    "utd_target",
    "learner_wait_s",
    "actor_wait_s",
    "updates_per_s",
    "env_steps_per_s",
)
RECENT_EPISODES = 20


@dataclass(frozen=True)
class EpisodeRow:
    """One line of ``episodes.csv``.

    Attributes:
        episode: number of finished training episodes before this one.
        env_step: environment steps of the run when it ended.
        robot_s: robot time of the run when it ended: steps times control period.
        wall_s: wall time of the run when it ended, pauses between resumed parts left out.
        length: steps.
        ret: sum of the reward components, the gripper's own penalty left out; the column is called ``return``.
        success: 1 if the task was solved.
        stop_reason: why it ended.
        intervention_steps: steps under operator control.
        intervention_share: the same divided by the length.
        policy_version: parameters that acted at its end.
        source: whose actions it holds: ``policy``, or the operator's name in the mix, as ``policy+scripted``.
    """

    episode: int
    env_step: int
    robot_s: float
    wall_s: float
    length: int
    ret: float
    success: int
    stop_reason: str
    intervention_steps: int
    intervention_share: float
    policy_version: int
    source: str

    def cells(self) -> dict[str, Any]:
        """By column name."""
        return {("return" if k == "ret" else k): v for k, v in asdict(self).items()}


EPISODE_COLUMNS = tuple("return" if f.name == "ret" else f.name for f in fields(EpisodeRow))


@dataclass(frozen=True)
class ActorRow:
    """One line of ``actors.csv``: one actor at one time.

    Attributes:
        actor: its name within the run.
        host: machine it runs on.
        env_step: environment steps of the run at that time, of all actors together.
        env_steps: this actor's own.
        share: of all the run's steps.
        lag_steps: steps it was known to have taken beyond those acknowledged.
        lag_s: how long the newest acknowledged step took from the robot to the learner's disk, seconds; as far as the
            clocks of the two machines agree.
        policy_age_s: time since the parameters it acted with were released, seconds.
        late_p50_ms: how long after its tick half of its steps woke up at most; empty in lock-step, like the next three.
        late_p99_ms: the same for 99 of 100.
        late_worst_ms: the same for all.
        missed: steps that were commanded too late for their tick.
    """

    actor: str
    host: str
    env_step: int
    env_steps: int
    share: float
    lag_steps: int
    lag_s: float
    policy_age_s: float
    late_p50_ms: float | None = None
    late_p99_ms: float | None = None
    late_worst_ms: float | None = None
    missed: int | None = None


ACTOR_COLUMNS = tuple(f.name for f in fields(ActorRow))


class EpisodeTally:
    """Sums one episode's records as they come."""

    def __init__(self) -> None:
        self.length = 0
        self.total = 0.0
        self.success = False
        self.interventions = 0
        self.version = -1
        self.sources: set[Source] = set()

    def add(self, record: StepRecord) -> None:
        """Count one record."""
        self.length += 1
        self.total += sum(v for k, v in record.rewards.items() if k not in (GRIPPER_COMPONENT, *WATCHED))
        self.success |= record.rewards.get("success", 0.0) > 0.5
        self.interventions += record.intervention
        self.version = record.policy_version
        self.sources.add(record.source)

    def to_plain(self) -> dict[str, Any]:
        """Plain data for a checkpoint taken in the middle of the episode."""
        return {**vars(self), "sources": sorted(int(s) for s in self.sources)}

    @staticmethod
    def from_plain(data: Mapping[str, Any]) -> EpisodeTally:
        """Inverse of `to_plain`."""
        tally = EpisodeTally()
        vars(tally).update({**data, "sources": {Source(s) for s in data["sources"]}})
        return tally

    def row(self, stop_reason: str, *, episode: int, env_step: int, robot_s: float, wall_s: float) -> EpisodeRow:
        """The finished line, given why the episode ended and the run's counters."""
        return EpisodeRow(
            episode=episode,
            env_step=env_step,
            robot_s=round(robot_s, 3),
            wall_s=round(wall_s, 3),
            length=self.length,
            ret=round(self.total, 6),
            success=int(self.success),
            stop_reason=stop_reason,
            intervention_steps=self.interventions,
            intervention_share=round(self.interventions / max(self.length, 1), 4),
            policy_version=self.version,
            source="+".join(s.name.lower() for s in sorted(self.sources)),
        )


class MetricsWriter:
    """All tables and TensorBoard, and the rolling figures the terminal shows.

    Args:
        folder: the run folder.
        tensorboard: where event files go, or None for none.

    Attributes:
        recent: the last 20 episodes.
        lateness: of the steps of all actors that act in real time.
    """

    def __init__(self, folder: Path, tensorboard: Path | None = None) -> None:
        self._episodes = CsvLog(folder / "episodes.csv", EPISODE_COLUMNS)
        self._learner = CsvLog(folder / "learner.csv")
        self._actors = CsvLog(folder / "actors.csv", ACTOR_COLUMNS)
        self._process = CsvLog(folder / PROCESS_TABLE, PROCESS_COLUMNS)
        self._evaluations = folder / EVALUATIONS
        self._board: Board | None = None
        if tensorboard is not None:
            from robot_rl.runtime.monitor.board import Board

            self._board = Board(tensorboard)
        self.recent: deque[EpisodeRow] = deque(maxlen=RECENT_EPISODES)
        self.lateness = LatenessHistogram()

    def episode(self, row: EpisodeRow) -> None:
        """Write a finished episode."""
        self._episodes.append(row.cells())
        self.recent.append(row)
        self._scalars(
            {
                "train/success": row.success,
                "train/return": row.ret,
                "train/length": row.length,
                "train/success_last_20": self.recent_success,
                "train/intervention_share": row.intervention_share,
                "robot/seconds": row.robot_s,
            },
            row.env_step,
        )

    def learner(self, row: Mapping[str, float]) -> None:
        """Write the figures of an update; `row` starts with `LEARNER_COLUMNS`."""
        self._learner.append(row)
        self._scalars(
            {f"learner/{k}": v for k, v in row.items() if k not in ("update", "env_step")}, int(row["env_step"])
        )

    def process(self, row: ProcessRow) -> None:
        """Write what a finished episode earned for its progress."""
        self._process.append(asdict(row))
        shown = {"return": row.process_return, "beta": row.beta, "alarm": float(row.alarm), "phi_end": row.phi_end}
        self._scalars({f"process/{k}": v for k, v in shown.items()}, row.env_step)

    def actors(self, rows: Sequence[ActorRow]) -> None:
        """Write where every actor stands."""
        for row in rows:
            self._actors.append(asdict(row))
            shown = {"share": row.share, "lag_s": row.lag_s, "policy_age_s": row.policy_age_s}
            late = {"late_p50_ms": row.late_p50_ms, "late_p99_ms": row.late_p99_ms, "missed": row.missed}
            shown |= {name: value for name, value in late.items() if value is not None}
            self._scalars({f"actors/{row.actor}/{k}": v for k, v in shown.items()}, row.env_step)

    def evaluation(self, row: Mapping[str, Any]) -> None:
        """Append an evaluation to ``evaluations.jsonl``; `row` is one of `Evaluation.row` with ``env_step``.

        Raises:
            StorageError: the file cannot be written.
        """
        try:
            with self._evaluations.open("a", encoding="utf-8") as file:
                file.write(json.dumps(dict(row)) + "\n")
        except OSError as e:
            raise StorageError(f"cannot write {self._evaluations}: {e.strerror or e}") from e
        self._scalars({"eval/success": row["success"], "eval/wilson_low": row["wilson_low"]}, int(row["env_step"]))

    @property
    def recent_success(self) -> float:
        """Success rate of the last 20 episodes; 0 before the first."""
        return float(np.mean([r.success for r in self.recent])) if self.recent else 0.0

    @property
    def recent_interventions(self) -> float:
        """Share of steps under operator control in the last 20 episodes."""
        return sum(r.intervention_steps for r in self.recent) / max(1, sum(r.length for r in self.recent))

    def close(self) -> None:
        """Flush and close every file. May be called twice."""
        self._episodes.close()
        self._learner.close()
        self._actors.close()
        self._process.close()
        if self._board is not None:
            self._board.close()
            self._board = None

    def _scalars(self, values: Mapping[str, float], step: int) -> None:
        if self._board is not None:
            self._board.scalars(values, step)
