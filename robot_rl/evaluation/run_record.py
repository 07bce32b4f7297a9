"""One training run as it lies on disk: everything a report or a comparison needs, whatever of it was written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from robot_rl.core.cells import IN_PROCESS
from robot_rl.core.errors import DataError, RobotRlError
from robot_rl.core.types import Array
from robot_rl.evaluation.stats import rolling_mean
from robot_rl.evaluation.tables import Table, read_json, read_json_lines, read_table

WINDOW_EPISODES = 20
_TRACES = ("config.yaml", "run.json", "episodes.csv", "learner.csv", "actors.csv", "evaluations.jsonl", "checkpoints")


@dataclass(frozen=True)
class DemoSummary:
    """Demonstrations of a run.

    Attributes:
        episodes: that could be read.
        steps: in all of them.
        successes: episodes that ended in success.
        robot_s: time on the robot, seconds.
        unreadable: files that could not be read.
    """

    episodes: int = 0
    steps: int = 0
    successes: int = 0
    robot_s: float = 0.0
    unreadable: int = 0


@dataclass(frozen=True)
class RunRecord:
    """What was found in a run folder.

    Attributes:
        path: of the folder.
        meta: ``run.json``, empty if missing.
        config: ``config.yaml`` as plain data, empty if missing or broken.
        config_text: the same file as text.
        episodes: ``episodes.csv``.
        learner: ``learner.csv``.
        actors: ``actors.csv``.
        evaluations: rows of ``evaluations.jsonl``, oldest first.
        best_checkpoint: name of the checkpoint with the highest lower bound, empty if none is marked.
        demos: summary of ``demos/*.mcap``.
        notes: one sentence for everything missing or unreadable.
    """

    path: Path
    meta: Mapping[str, Any]
    config: Mapping[str, Any]
    config_text: str
    episodes: Table
    learner: Table
    actors: Table
    evaluations: tuple[dict[str, Any], ...]
    best_checkpoint: str
    demos: DemoSummary
    notes: tuple[str, ...]

    @property
    def task(self) -> str:
        """Id of the task; the parent folder's name when nothing in the run names it."""
        for source in (self.meta, self.config):
            if isinstance(source.get("task"), str):
                return str(source["task"])
        return self.path.parent.name or "unknown task"

    @property
    def seed(self) -> str:
        """Seed of the run as text, ``?`` when it is not recorded."""
        return str(self.config.get("seed", self.meta.get("seed", "?")))

    @property
    def cell(self) -> str:
        """The cell that the run acted on."""
        return str(self.config.get("cell") or IN_PROCESS)

    @property
    def judged(self) -> Mapping[str, Any]:
        """The evaluation a run is judged by; empty if there is none.

        Of those on the run's own cell, or else of all, it is the one with the most episodes, of several the one of the
        newest checkpoint, then the last written. Success plays no part in the choice.
        """
        rows = enumerate(self.evaluations)
        rank = max(
            (
                (row.get("cell", IN_PROCESS) == self.cell, _rank(row.get("n")), _rank(row.get("env_step")), k)
                for k, row in rows
            ),
            default=None,
        )
        return {} if rank is None else self.evaluations[rank[-1]]

    @property
    def events(self) -> tuple[str, ...]:
        """What happened to the run besides going on, oldest first: resumed, an actor restarted."""
        found = self.meta.get("events")
        rows = [e for e in found if isinstance(e, Mapping) and e.get("text")] if isinstance(found, list) else []
        return tuple(f"{e.get('time', '?')}, step {e.get('env_step', '?')}: {e['text']}" for e in rows)

    @property
    def acts(self) -> bool:
        """Whether it takes environment steps at all: a policy may be cloned from demonstrations without any."""
        return self.config.get("env_steps") != 0 and not self.cloned

    @property
    def cloned(self) -> bool:
        """Whether a base policy was cloned, by ``robot-rl bc``, whose steps are those of an optimiser."""
        return is_cloned(self.config)

    @property
    def scripted_help(self) -> bool:
        """Whether a script stood in for the operator in some training episode."""
        return any("scripted" in source for source in self.episodes.text("source"))

    @property
    def scripted_demos(self) -> bool:
        """Whether the run recorded its demonstrations itself, from the scripted expert."""
        settings = self.config.get("demos")
        return settings is None if self.cloned else isinstance(settings, Mapping) and not settings.get("dir")

    @property
    def step_s(self) -> float:
        """Seconds of robot time a step, from the control rate or else from the episodes; NaN when neither is known."""
        hz = _first_number(self.meta, self.config, key="hz")
        if hz > 0:
            return 1.0 / hz
        steps, seconds = self.episodes.numbers("env_step"), self.episodes.numbers("robot_s")
        known = np.isfinite(steps) & np.isfinite(seconds) & (steps > 0)
        return float(seconds[known][-1] / steps[known][-1]) if known.any() else math.nan

    @property
    def robot_min(self) -> Array:
        """Robot minutes since the start of training at the end of each training episode ``[episodes]``."""
        return np.asarray(self.episodes.numbers("robot_s") / 60.0)

    def rolling_success(self, *, unaided: bool = False) -> Array:
        """Success rate over the last 20 training episodes ``[episodes]``.

        Args:
            unaided: count only successes without a single operator step.
        """
        success = np.nan_to_num(self.episodes.numbers("success")) > 0.5
        if unaided:
            success &= ~(np.nan_to_num(self.episodes.numbers("intervention_steps")) > 0)
        return rolling_mean(success, WINDOW_EPISODES)

    def rolling_intervention_share(self) -> Array:
        """Share of steps under operator control over the last 20 training episodes ``[episodes]``."""
        steps = np.nan_to_num(self.episodes.numbers("length"))
        helped = np.nan_to_num(self.episodes.numbers("intervention_steps"))
        return np.asarray(
            rolling_mean(helped, WINDOW_EPISODES) / np.maximum(rolling_mean(steps, WINDOW_EPISODES), 1e-9)
        )

    def human_min(self) -> Array:
        """Minutes of a person's time spent by the end of each training episode ``[episodes]``.

        Counted is robot time under a person's control: all demonstrations, which come before training, and every
        operator step. Watching, resetting and typing are not counted.
        """
        helped = np.cumsum(np.nan_to_num(self.episodes.numbers("intervention_steps")))
        return np.asarray((self.demos.robot_s + helped * self.step_s) / 60.0)


def read_run(run_dir: Path) -> RunRecord:
    """Read a run folder, complete or not.

    Raises:
        DataError: it does not exist or holds nothing that a run writes.
    """
    if not run_dir.is_dir():
        raise DataError(f"{run_dir} is not a folder, expected a run such as runs/PickCube/<date_time>_seed0")
    if not any((run_dir / name).exists() for name in _TRACES):
        raise DataError(f"{run_dir} holds no run: none of {', '.join(_TRACES)} is there")
    notes: list[str] = []
    episodes, learner = read_table(run_dir / "episodes.csv"), read_table(run_dir / "learner.csv")
    evaluations, bad_evaluations = read_json_lines(run_dir / "evaluations.jsonl")
    meta = read_json(run_dir / "run.json")
    config, config_text = read_config(run_dir / "config.yaml")
    demos = read_demos(run_dir / "demos")
    for name, missing in (
        ("run.json (versions, machine, command)", not meta),
        ("config.yaml (settings)", not config),
        ("episodes.csv (training episodes)", len(episodes) == 0 and not is_cloned(config)),
        ("learner.csv (updates)", len(learner) == 0),
        ("evaluations.jsonl (evaluations without help)", not evaluations),
    ):
        if missing:
            notes.append(f"{name} is missing, empty or unreadable.")
    for name, bad in (
        ("episodes.csv", episodes.bad_rows),
        ("learner.csv", learner.bad_rows),
        ("evaluations.jsonl", bad_evaluations),
    ):
        if bad:
            notes.append(f"{bad} incomplete row(s) of {name} were left out.")
    if demos.unreadable:
        notes.append(f"{demos.unreadable} demonstration file(s) could not be read and are not counted.")
    return RunRecord(
        path=run_dir,
        meta=meta,
        config=config,
        config_text=config_text,
        episodes=episodes,
        learner=learner,
        actors=read_table(run_dir / "actors.csv"),
        evaluations=evaluations,
        best_checkpoint=_best_checkpoint(run_dir / "checkpoints"),
        demos=demos,
        notes=tuple(notes),
    )


def read_demos(folder: Path) -> DemoSummary:
    """Count episodes, steps and robot time of the ``*.mcap`` files of a folder; nothing when it does not exist."""
    from robot_rl.data.episode_log import read_episode

    episodes = steps = successes = unreadable = 0
    robot_s = 0.0
    for path in sorted(folder.glob("*.mcap")):
        try:
            records = read_episode(path, images=False).records
        except (RobotRlError, OSError):
            unreadable += 1
            continue
        if not records:
            unreadable += 1
            continue
        times = np.array([r.t_control_s for r in records])
        # The last action is held for one more period, which no time stamp shows.
        period = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
        episodes, steps = episodes + 1, steps + len(records)
        successes += records[-1].rewards.get("success", 0.0) > 0.5
        robot_s += float(times[-1] - times[0]) + period
    return DemoSummary(episodes, steps, int(successes), robot_s, unreadable)


def is_cloned(config: Mapping[str, Any]) -> bool:
    """Whether ``config.yaml`` is one of ``robot-rl bc``."""
    return isinstance(config.get("model"), Mapping)


def read_config(path: Path) -> tuple[dict[str, Any], str]:
    """A YAML mapping and its text; both empty when the file is missing, only the mapping when it is broken."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
        value = yaml.safe_load(text)
    except OSError:
        return {}, ""
    except yaml.YAMLError:
        return {}, text
    return (value if isinstance(value, dict) else {}), text


def _best_checkpoint(root: Path) -> str:
    update = read_json(root / "best.json").get("update")
    return f"{update:09d}" if isinstance(update, int) and (root / f"{update:09d}").is_dir() else ""


def _rank(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else -1.0


def _first_number(*sources: Mapping[str, Any], key: str) -> float:
    for source in sources:
        for place in (source, *(v for v in source.values() if isinstance(v, Mapping))):
            value = place.get(key)
            if isinstance(value, int | float) and not isinstance(value, bool):
                return float(value)
    return math.nan
