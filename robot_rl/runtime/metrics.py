"""What a run writes down while it goes: ``episodes.csv``, ``learner.csv`` and TensorBoard event files.

The CSV files are append-only with one header line. A run that goes on from a checkpoint first drops the rows after that
checkpoint, so every episode and update appears once.
"""

from __future__ import annotations

import csv
import io
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from robot_rl.core.errors import DataError
from robot_rl.core.transition import Source, StepRecord
from robot_rl.data.rewards import GRIPPER_COMPONENT
from robot_rl.runtime.run_folder import replace_text

LEARNER_COLUMNS = ("update", "env_step", "wall_s", "utd", "updates_per_s", "env_steps_per_s")
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
        self.total += sum(v for k, v in record.rewards.items() if k != GRIPPER_COMPONENT)
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


class CsvLog:
    """An append-only CSV file, flushed after every row."""

    def __init__(self, path: Path, columns: Sequence[str] | None = None) -> None:
        self.path = path
        self._columns = tuple(columns) if columns is not None else _header(path)
        self._file: io.TextIOWrapper | None = None

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a line; the first one fixes the columns, later unknown ones are left out.

        Raises:
            DataError: the file cannot be written.
        """
        try:
            if self._file is None:
                self._file = self._open(row)
            assert self._columns is not None
            csv.writer(self._file, lineterminator="\n").writerow([_cell(row.get(c, "")) for c in self._columns])
            self._file.flush()
        except OSError as e:
            raise DataError(f"cannot write {self.path}: {e.strerror}") from e

    def close(self) -> None:
        """Close the file. May be called twice."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self, row: Mapping[str, Any]) -> io.TextIOWrapper:
        existing = _header(self.path)
        if self._columns is None:
            self._columns = existing or tuple(row)
        if existing is not None and existing != self._columns:
            # Another version's columns: keep its file whole and start anew beside it.
            self.path.replace(self.path.with_suffix(f".{int(time.time())}.csv"))
            existing = None
        file = self.path.open("a", encoding="utf-8", newline="")
        if existing is None:
            csv.writer(file, lineterminator="\n").writerow(self._columns)
        return file


def drop_rows_after(path: Path, column: str, limit: float) -> int:
    """Remove the lines whose `column` exceeds `limit`, and any half-written last line.

    Returns:
        How many were removed.
    """
    if not path.is_file():
        return 0
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    if not rows or column not in rows[0]:
        return 0
    at, width = rows[0].index(column), len(rows[0])
    keep = [r for r in rows[1:] if len(r) == width and _number(r[at]) <= limit]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([rows[0], *keep])
    replace_text(path, out.getvalue())
    return len(rows) - 1 - len(keep)


class MetricsWriter:
    """Both CSV files and TensorBoard, and the rolling figures the terminal shows.

    Args:
        folder: the run folder.
        tensorboard: where event files go, or None for none.
    """

    def __init__(self, folder: Path, tensorboard: Path | None = None) -> None:
        self._episodes = CsvLog(folder / "episodes.csv", EPISODE_COLUMNS)
        self._learner = CsvLog(folder / "learner.csv")
        self._board: Any = None
        if tensorboard is not None:
            from tensorboardX import SummaryWriter

            self._board = SummaryWriter(str(tensorboard), flush_secs=10)
        self.recent: deque[EpisodeRow] = deque(maxlen=RECENT_EPISODES)

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

    def evaluation(self, env_step: int, success: float, lower: float) -> None:
        """Show an evaluation in TensorBoard; its row in ``evaluations.jsonl`` is written by the evaluation itself."""
        self._scalars({"eval/success": success, "eval/wilson_low": lower}, env_step)

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
        if self._board is not None:
            self._board.close()
            self._board = None

    def _scalars(self, values: Mapping[str, float], step: int) -> None:
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, float(value), step)


def _header(path: Path) -> tuple[str, ...] | None:
    if not path.is_file():
        return None
    with path.open(encoding="utf-8", newline="") as file:
        first = next(csv.reader(file), None)
    return tuple(first) if first else None


def _cell(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float | np.floating) else value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("inf")
