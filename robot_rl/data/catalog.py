"""Finding episode files, and saying in one row each what they hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from robot_rl.core.errors import DataError
from robot_rl.data.episode_log import PARTIAL, SUFFIX, Episode, read_episode
from robot_rl.data.labels import RECORDED, read_labels

RUN_FILE = "run.json"
SPOOL = "spool"
UNFINISHED = "unfinished"


@dataclass(frozen=True)
class Entry:
    """One episode file.

    Attributes:
        path: of the file.
        bytes: its size.
        whole: every byte is sound and the episode has ended.
        problem: one sentence when nothing can be read of it, else empty; everything below is then empty too.
        task: id of the task.
        actor: who recorded it within its run, empty for a recording of its own such as a demonstration.
        episode_id: as in its steps; empty when it has none.
        steps: complete ones.
        outcome: why it ended: ``success``, ``time_out``, the name of a fault; ``unfinished`` while it has no end.
        success: the last step reported success, or a person said later that it was one.
        label: what a person said later, see `robot_rl.data.labels`; empty for nothing.
        sources: steps by source, for example ``{"policy": 12, "operator": 3}``.
        interventions: steps under an operator's command.
        duration_s: on the robot, from the first action to the last observation.
        began_s: Unix time of the first action.
        ended_s: Unix time of the last action.
    """

    path: Path
    bytes: int
    whole: bool = False
    problem: str = ""
    task: str = ""
    actor: str = ""
    episode_id: str = ""
    steps: int = 0
    outcome: str = UNFINISHED
    success: bool = False
    label: str = ""
    sources: Mapping[str, int] = field(default_factory=dict)
    interventions: int = 0
    duration_s: float = 0.0
    began_s: float = 0.0
    ended_s: float = 0.0

    @property
    def intervention_share(self) -> float:
        """Share of its steps under an operator's command, in [0, 1]."""
        return self.interventions / self.steps if self.steps else 0.0

    @property
    def state(self) -> str:
        """``whole``, ``partial`` (steps can be read, the end is missing) or ``broken`` (nothing can be read)."""
        return "whole" if self.whole else "broken" if self.problem else "partial"


def find_episodes(*paths: Path) -> list[Path]:
    """Episode files at some paths, unfinished ones included, each once, sorted within each path.

    The spool of a run's own actors (``RUN/spool``) is left out: what it holds is in ``RUN/episodes`` or about to be.

    Args:
        paths: files, or folders that are searched with everything below them, such as a run.

    Raises:
        DataError: there is none at one of the paths.
    """
    found: dict[Path, None] = {}
    for where in paths:
        if where.is_file():
            files = [where]
        else:
            files = sorted(p for p in where.rglob(f"*{SUFFIX}*") if is_episode_name(p) and not _in_spool(p, where))
        if not files:
            kind = "episode file in" if where.is_dir() else "file or folder"
            raise DataError(f"there is no {kind} {where}: expected a run, a folder of {SUFFIX} files or one of them")
        found.update(dict.fromkeys(files))
    return list(found)


def is_episode_name(path: Path) -> bool:
    """Whether a file is named like an episode, finished or not."""
    return path.name.removesuffix(PARTIAL).endswith(SUFFIX) and path.is_file()


def actor_of(episode_id: str, run_id: str) -> str:
    """The actor's name in ``<run_id>-<actor>-<number>``; empty if the id has none or is of another run."""
    rest = episode_id.removeprefix(f"{run_id}-")
    return rest.rpartition("-")[0] if run_id and rest != episode_id else ""


def describe(path: Path) -> Entry:
    """What one file holds; a file that cannot be read is described by its problem."""
    try:
        return describe_episode(read_episode(path, strict=False, images=False))
    except DataError as e:
        return Entry(path, size_of(path), problem=str(e))


def describe_episode(episode: Episode) -> Entry:
    """What an episode holds that has been read, with or without its pictures."""
    records, meta = episode.records, episode.meta
    if not records:
        return Entry(episode.path, size_of(episode.path), task=meta.task)
    last = records[-1]
    return Entry(
        path=episode.path,
        bytes=size_of(episode.path),
        whole=episode.complete,
        task=meta.task,
        actor=actor_of(last.episode_id, meta.run_id),
        episode_id=last.episode_id,
        steps=len(records),
        outcome=(last.stop_reason or "ended") if last.last else UNFINISHED,
        success=episode.success,
        label=label_of(episode.path, last.episode_id),
        sources=dict(Counter(r.source.name.lower() for r in records)),
        interventions=sum(r.intervention for r in records),
        duration_s=last.t_control_s,
        began_s=records[0].t_wall_s,
        ended_s=last.t_wall_s,
    )


def label_of(path: Path, episode_id: str) -> str:
    """What a person said later about an episode; empty for nothing, or after it was taken back."""
    label = read_labels(path.parent).get(episode_id)
    return "" if label is None or label.outcome == RECORDED else label.outcome


def size_of(path: Path) -> int:
    """Size of a file in bytes; 0 when it is gone."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def totals(entries: Iterable[Entry]) -> str:
    """One line about a set of files."""
    rows = list(entries)
    steps, helped = sum(e.steps for e in rows), sum(e.interventions for e in rows)
    states = Counter(e.state for e in rows)
    parts = [
        f"{len(rows)} files ({', '.join(f'{n} {state}' for state, n in sorted(states.items(), reverse=True))})",
        f"{sum(e.success for e in rows)} successes",
        f"{steps:,} steps",
        f"{sum(e.duration_s for e in rows) / 60:.1f} robot minutes",
        f"{100 * helped / steps if steps else 0:.1f} % operator steps",
        human_bytes(sum(e.bytes for e in rows)),
    ]
    return ", ".join(parts)


def human_bytes(count: int) -> str:
    """A size for people, in powers of 1000, for example ``1.3 MB``."""
    if count < 1000:
        return f"{count} B"
    value = float(count)
    for unit in ("kB", "MB", "GB"):
        value /= 1000.0
        if value < 999.5:
            return f"{value:.3g} {unit}"
    return f"{value / 1000:.3g} TB"


def _in_spool(path: Path, below: Path) -> bool:
    inside = path.relative_to(below).parents
    return any((below / p).name == SPOOL and (below / p.parent / RUN_FILE).is_file() for p in inside)
