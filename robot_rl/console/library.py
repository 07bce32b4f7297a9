"""What lies in a folder of runs, and which episodes lie in one of them; fast enough to be asked every few seconds."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from robot_rl.console.library_files import (
    as_count,
    as_number,
    entries_of,
    latest,
    read_last_object,
    read_rows,
    read_settings,
)
from robot_rl.core.errors import DataError
from robot_rl.data.catalog import RUN_FILE, SPOOL, describe, find_episodes
from robot_rl.data.episode_log import PARTIAL, SUFFIX
from robot_rl.evaluation.tables import read_json
from robot_rl.runtime.monitor.metrics import EVALUATIONS, RECENT_EPISODES

CONFIG_FILE, EPISODES_FILE = "config.yaml", "episodes.csv"
EPISODES, DEMOS = "episodes", "demos"
MAX_DEPTH = 6
_TRACES = (RUN_FILE, CONFIG_FILE, EPISODES_FILE)


@dataclass(frozen=True)
class RunSummary:
    """One run in one line. What could not be read is empty, 0 or NaN, and `problem` says so.

    Attributes:
        path: of its folder.
        run_id: with which its episode ids begin.
        task: id of the task.
        start: time in ISO format, as it was written.
        status: ``running``, ``finished``, ...; as the run wrote it last, also when it was killed since.
        env_steps: environment steps taken.
        planned_steps: environment steps it is to take.
        episodes: finished training episodes.
        success: rate over the last 20 of them, in [0, 1]; NaN before the first.
        evaluated: rate of success in the last evaluation; NaN before the first.
        evaluated_step: environment steps at that evaluation.
        evaluated_episodes: of that evaluation.
        demos: demonstration files in its folder.
        corrected_min: minutes of robot time under an operator's or a scripted helper's command, in training episodes;
            demonstrations are not in it.
        scripted: some of these were a script's.
        problem: what is wrong with the folder, in a sentence, or empty.
    """

    path: Path
    run_id: str = ""
    task: str = ""
    start: str = ""
    status: str = ""
    env_steps: int = 0
    planned_steps: int = 0
    episodes: int = 0
    success: float = math.nan
    evaluated: float = math.nan
    evaluated_step: int = 0
    evaluated_episodes: int = 0
    demos: int = 0
    corrected_min: float = 0.0
    scripted: bool = False
    problem: str = ""


@dataclass(frozen=True)
class EpisodeEntry:
    """One episode file in one line.

    Attributes:
        path: of the file.
        kind: ``training``, ``demos``, or the folder within the run that it lies in; empty outside a run.
        actor: who recorded it, empty for a recording of its own.
        number: in its file's name, -1 if that is none.
        length: steps; None, like the next three, where nobody has looked into the file yet.
        success: it ended in success.
        stop_reason: why it ended; ``unfinished`` while it has no end.
        intervention_share: share of its steps under an operator's or a helper's command, in [0, 1].
        problem: why nothing can be read of it, or empty.
    """

    path: Path
    kind: str = ""
    actor: str = ""
    number: int = -1
    length: int | None = None
    success: bool | None = None
    stop_reason: str | None = None
    intervention_share: float | None = None
    problem: str = ""


def list_runs(folder: Path) -> list[RunSummary]:
    """Every run in a folder and what lies below it, the newest first; no episode file is opened.

    A folder that has traces of a run and cannot be read is listed with its problem. What does not exist holds no runs.
    """
    runs = [summarize_run(path) for path in _run_folders(folder, MAX_DEPTH)]
    return sorted(runs, key=lambda run: (run.start or run.path.name, run.path.name), reverse=True)


def summarize_run(path: Path) -> RunSummary:
    """One run folder; whatever is wrong with it, there is a summary."""
    facts: dict[str, Any] = latest(read_json, path / RUN_FILE)
    config: dict[str, Any] = latest(read_settings, path / CONFIG_FILE)
    problems = []
    if not facts.get("run_id"):
        problems.append(f"{RUN_FILE} is missing or damaged")
    if not config:
        problems.append(f"{CONFIG_FILE} is missing or damaged")
    tally: _Tally = latest(_tally, path / EPISODES_FILE)
    counters = facts.get("counters")
    counters = counters if isinstance(counters, dict) else {}
    evaluation: dict[str, Any] = latest(read_last_object, path / EVALUATIONS)
    hz = as_number(facts.get("hz"))
    return RunSummary(
        path=path,
        run_id=str(facts.get("run_id", "")),
        task=str(facts.get("task") or config.get("task") or ""),
        start=str(facts.get("start") or ""),
        status=str(facts.get("status") or ""),
        env_steps=max(tally.env_step, as_count(counters.get("env_steps"))),
        planned_steps=as_count(config.get("env_steps")),
        episodes=max(tally.episodes, as_count(counters.get("episodes"))),
        success=sum(tally.recent) / len(tally.recent) if tally.recent else math.nan,
        evaluated=as_number(evaluation.get("success")),
        evaluated_step=as_count(evaluation.get("env_step")),
        evaluated_episodes=as_count(evaluation.get("n")),
        demos=sum(entry.name.endswith(SUFFIX) for entry in entries_of(path / DEMOS)),
        corrected_min=tally.corrected_steps / hz / 60.0 if hz > 0 else math.nan if tally.corrected_steps else 0.0,
        scripted=tally.scripted,
        problem="; ".join(problems),
    )


def list_episodes(where: Path, *, look: int = 100) -> list[EpisodeEntry]:
    """Episode files of a run or of any folder, by kind, actor and number.

    What a run with one actor wrote down about its training episodes is taken from there. Of the other files, the last
    `look` are read, each only once for as long as it does not change; to look into more, see `look_into`.

    Args:
        where: a run, a folder of episode files, or one file; nothing is there if it does not exist.
        look: files to read at most.
    """
    try:
        paths = find_episodes(where)
    except DataError:
        return []
    run = where if any((where / name).is_file() for name in _TRACES) else None
    entries = sorted((_unread(path, run) for path in paths), key=lambda e: (e.kind, e.actor, e.number, e.path.name))
    entries = _written_down(entries, run)
    unknown = [i for i, entry in enumerate(entries) if entry.length is None]
    for i in unknown[max(0, len(unknown) - look) :]:
        entries[i] = look_into(entries[i])
    return entries


def look_into(entry: EpisodeEntry) -> EpisodeEntry:
    """The same entry with what its file says; takes some milliseconds unless the file has been read before."""
    try:
        stat = entry.path.stat()
    except OSError as e:
        return replace(entry, problem=f"{entry.path} is gone: {e.strerror}")
    return _look_into(entry, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=20_000)
def _look_into(entry: EpisodeEntry, size: int, mtime_ns: int) -> EpisodeEntry:
    found = describe(entry.path)
    if found.problem:
        return replace(entry, problem=found.problem)
    return replace(
        entry,
        length=found.steps,
        success=found.success,
        stop_reason=found.outcome,
        intervention_share=found.intervention_share,
    )


def _unread(path: Path, run: Path | None) -> EpisodeEntry:
    stem = path.name.removesuffix(PARTIAL).removesuffix(SUFFIX)
    folders = path.parent.relative_to(run).parts if run is not None else ()
    kind = {EPISODES: "training"}.get(folders[0], folders[0]) if folders else ""
    actor = folders[1] if len(folders) > 1 and kind == "training" else ""
    return EpisodeEntry(path, kind, actor, int(stem) if stem.isdecimal() else -1)


def _written_down(entries: list[EpisodeEntry], run: Path | None) -> list[EpisodeEntry]:
    """Entries with what ``episodes.csv`` says of them; its lines come in the order in which episodes end."""
    training = [i for i, entry in enumerate(entries) if entry.kind == "training"]
    if run is None or len({entries[i].actor for i in training}) != 1:
        return entries  # with several actors its lines do not say whose episode it was
    rows = list(read_rows(run / EPISODES_FILE))
    # The file of an episode under way has no line yet; any other difference means that the two cannot be matched.
    if len(training) - len(rows) not in (0, 1):
        return entries
    entries = list(entries)
    for i, row in zip(training, rows, strict=False):
        entries[i] = replace(
            entries[i],
            length=as_count(row.get("length")),
            success=as_number(row.get("success")) > 0.5,
            stop_reason=row.get("stop_reason", ""),
            intervention_share=as_number(row.get("intervention_share")),
        )
    return entries


@dataclass
class _Tally:
    """What ``episodes.csv`` adds up to."""

    episodes: int = 0
    env_step: int = 0
    corrected_steps: int = 0
    scripted: bool = False
    recent: deque[bool] = field(default_factory=lambda: deque(maxlen=RECENT_EPISODES))


def _tally(path: Path) -> _Tally:
    tally = _Tally()
    for row in read_rows(path):
        tally.episodes += 1
        tally.env_step = max(tally.env_step, as_count(row.get("env_step")))
        tally.corrected_steps += as_count(row.get("intervention_steps"))
        tally.scripted |= "scripted" in row.get("source", "")
        tally.recent.append(as_number(row.get("success")) > 0.5)
    return tally


def _run_folders(folder: Path, depth: int) -> Iterator[Path]:
    """Folders with traces of a run; none is searched for within another."""
    inside = entries_of(folder)
    names = {entry.name for entry in inside}
    # A configuration alone may be anybody's.
    if names & {RUN_FILE, EPISODES_FILE} or names >= {CONFIG_FILE, EPISODES}:
        yield folder
    elif depth > 0:
        for entry in inside:
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".") and entry.name != SPOOL:
                yield from _run_folders(folder / entry.name, depth - 1)
