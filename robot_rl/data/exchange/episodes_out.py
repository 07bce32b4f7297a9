"""Imported episodes as episode files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from robot_rl.core.errors import DataError
from robot_rl.data.episode_log import SUFFIX, EpisodeWriter
from robot_rl.data.exchange.foreign import ForeignEpisode, ImportMapping, foreign_meta, map_episode


@dataclass(frozen=True)
class ImportReport:
    """What was imported.

    Attributes:
        episodes: files written.
        steps: in them.
        exact: the records are bit for bit those that were exported.
        left_out: episodes of a single step without a known outcome.
    """

    episodes: int
    steps: int
    exact: bool
    left_out: int = 0


def write_foreign(
    episodes: Iterable[ForeignEpisode], folder: Path, mapping: ImportMapping, *, origin: str
) -> ImportReport:
    """Map episodes and write each as ``<number>.mcap``.

    Raises:
        DataError: the mapping does not fit, or nothing is left.
    """
    run_id = f"import-{uuid4().hex[:8]}"
    written = steps = left_out = 0
    for episode in episodes:
        meta = foreign_meta(mapping, episode.frames[0], run_id=run_id, origin=origin)
        records = map_episode(episode, mapping, f"{run_id}-{written:06d}")
        if not records:
            left_out += 1
            continue
        with EpisodeWriter(folder / f"{written:06d}{SUFFIX}", meta) as writer:
            for record in records:
                writer.append(record)
        written, steps = written + 1, steps + len(records)
    if not written:
        raise DataError(f"there is no episode to import ({left_out} of a single step without a known outcome)")
    return ImportReport(written, steps, exact=False, left_out=left_out)
