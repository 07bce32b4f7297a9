"""Episode logs of a run: one file per episode, named by its number; written by whoever acts, read after a crash."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from robot_rl.core.errors import DataError
from robot_rl.core.transition import StepRecord
from robot_rl.data.episode_log import PARTIAL, SUFFIX, EpisodeMeta, EpisodeWriter, read_episode

MAX_DIGITS = 12


def episode_number(episode_id: str) -> int:
    """The number at the end of an episode's id.

    Raises:
        DataError: the id does not end in one.
    """
    tail = episode_id.rpartition("-")[2]
    if not (tail.isascii() and tail.isdigit() and len(tail) <= MAX_DIGITS):
        raise DataError(f"episode id {episode_id[:100]!r} does not end in a number of at most {MAX_DIGITS} digits")
    return int(tail)


class EpisodeSink:
    """Writes records to ``<folder>/<number>.mcap`` as they come.

    Args:
        folder: where the files go.
        meta: written into each, with the episode's number added.
        facts: more strings for the header of an episode by its number, see `robot_rl.runtime.repeat`.
    """

    def __init__(
        self, folder: Path, meta: EpisodeMeta, facts: Callable[[int], Mapping[str, str]] = lambda number: {}
    ) -> None:
        self._folder = folder
        self._meta = meta
        self._facts = facts
        self._writer: EpisodeWriter | None = None

    def append(self, record: StepRecord) -> None:
        """Write one record; the first of an episode opens its file, the last closes it."""
        if record.step_index == 0:
            self.close()
            number = episode_number(record.episode_id)
            path = self._folder / f"{number:06d}{SUFFIX}"
            extra = {**self._meta.extra, "episode_number": str(number), **self._facts(number)}
            self._writer = EpisodeWriter(path, replace(self._meta, extra=extra))
        if self._writer is None:
            raise DataError(f"episode {record.episode_id!r} begins with step {record.step_index}, expected 0")
        self._writer.append(record)
        if record.last:
            self.close()

    def close(self) -> None:
        """Close the open file; an unfinished episode keeps the name ``.partial``. May be called twice."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def episode_files(folder: Path) -> dict[int, Path]:
    """Files of a folder by episode number, in order; unfinished ones included."""
    found = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        name = path.name.removesuffix(PARTIAL)
        stem = name.removesuffix(SUFFIX)
        if name.endswith(SUFFIX) and stem.isdigit():
            found[int(stem)] = path
    return dict(sorted(found.items()))


def read_records(folder: Path, first: int = 0) -> Iterator[StepRecord]:
    """Every complete step of the episodes from number `first` on, in order; cut files yield what they hold."""
    for number, path in episode_files(folder).items():
        if number >= first:
            yield from read_episode(path, strict=False).records
