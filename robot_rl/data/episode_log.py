"""One episode, one MCAP file: written step by step, readable after a crash at any byte.

Layout (MCAP specification, https://mcap.dev/spec, profile ``ros2``): a metadata record ``robot_rl`` with task, run,
seeds, state and action layout and library versions; then one zstd chunk with its checksum per step, holding the
messages of `robot_rl.data.ros_messages`; then the summary. While an episode is open its file is called
``name.mcap.partial``; it gets its name when the episode has ended, so a file called ``name.mcap`` is whole.
``docs/formats.md`` says how to look into one with other tools.

Example:
    >>> with EpisodeWriter(Path("0001.mcap"), meta) as writer:  # doctest: +SKIP
    ...     for record in records:
    ...         writer.append(record)
    >>> episode = read_episode(Path("0001.mcap"))  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from robot_rl.core.errors import DataError
from robot_rl.core.transition import StepRecord
from robot_rl.data.episode_meta import EpisodeMeta
from robot_rl.data.episode_writer import PARTIAL, REWRITE, SUFFIX, EpisodeWriter, continue_episode
from robot_rl.data.labels import label_records
from robot_rl.data.mcap_scan import read_header, scan

__all__ = [
    "PARTIAL",
    "REWRITE",
    "SUFFIX",
    "Episode",
    "EpisodeMeta",
    "EpisodeWriter",
    "continue_episode",
    "read_episode",
    "read_meta",
    "recover",
]


@dataclass(frozen=True)
class Episode:
    """What a file holds.

    Attributes:
        path: where it was read.
        meta: written when the episode began.
        records: its steps from 0, without gaps.
        complete: the file is whole and the episode has ended.
        problem: what ended the reading early, or empty.
    """

    path: Path
    meta: EpisodeMeta
    records: tuple[StepRecord, ...]
    complete: bool
    problem: str = ""

    @property
    def success(self) -> bool:
        """Whether the last step reported success."""
        return bool(self.records) and self.records[-1].rewards.get("success", 0.0) > 0.5


def read_episode(path: str | Path, *, strict: bool = True, images: bool = True, labels: bool = True) -> Episode:
    """Read an episode, checksums verified.

    Args:
        path: ``*.mcap`` or ``*.mcap.partial``; one that has got its final name meanwhile is read under that.
        strict: refuse a file that is not whole; otherwise return every complete step of it.
        images: decode the pictures; otherwise observations come without any.
        labels: follow what people said about it later, see `robot_rl.data.labels`; otherwise as it was recorded.

    Raises:
        DataError: the file is absent or no episode; or, with `strict`, is cut, damaged or of an unfinished episode; or
            its labels cannot be read.
        StorageError: the disk does not give the file away.
    """
    where = Path(path)
    try:
        found = scan(where, images=images)
    except DataError:
        # whoever lists a folder in which an episode is being recorded may come too late for the name it saw
        where = where.with_name(where.name.removesuffix(PARTIAL))
        if Path(path).exists() or not where.exists():
            raise
        found = scan(where, images=images)
    records = found.records
    complete = found.whole and bool(records) and records[-1].last
    if strict and not complete:
        raise DataError(
            f"{where} is half-written ({found.problem or 'the episode never ended'}): {len(records)} complete steps can"
            " be read with read_episode(path, strict=False) or made a whole episode with"
            " robot_rl.data.episode_log.recover(path)"
        )
    told = label_records(where, records) if labels else records
    return Episode(where, found.meta, tuple(told), complete, found.problem)


def read_meta(path: str | Path) -> EpisodeMeta:
    """Only what the episode is about; reads only the front of the file.

    Raises:
        DataError: the file is absent or no episode.
        StorageError: the disk does not give the file away.
    """
    return read_header(Path(path))


def recover(path: str | Path, to: str | Path | None = None) -> Episode:
    """Make a whole episode of the complete steps of a cut or damaged file, which itself stays untouched.

    The observation of the last complete step becomes the final observation of the step before it, which is marked
    truncated with the stop reason ``recovered``: its own action has no known outcome. An episode that has its last
    step keeps all of them.

    Args:
        path: the broken file.
        to: name of the new one; by default ``name.recovered.mcap`` beside it.

    Raises:
        DataError: fewer than two complete steps are left, or the new file exists.
        StorageError: the new file cannot be written.
    """
    source = Path(path)
    name = source.name.removesuffix(PARTIAL).removesuffix(SUFFIX)
    target = Path(to) if to is not None else source.with_name(f"{name}.recovered{SUFFIX}")
    broken = read_episode(source, strict=False, labels=False)
    records = _end_here(source, broken.records)
    with EpisodeWriter(target, broken.meta) as writer:
        for record in records:
            writer.append(record)
    return read_episode(target)


def _end_here(path: Path, records: Sequence[StepRecord]) -> Sequence[StepRecord]:
    if records and records[-1].last:
        return records
    if len(records) < 2:
        raise DataError(f"{path} holds {len(records)} complete steps, at least 2 are needed for an episode")
    end = replace(records[-2], truncated=True, stop_reason="recovered", final_obs=records[-1].obs)
    return [*records[:-2], end]
