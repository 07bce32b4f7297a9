"""The learner's own log: every record it has acknowledged, ``episodes/<actor>/<number>.mcap``, one file per episode.

A record is acknowledged after `Archive.append` has handed it to the operating system; the file of an episode is on the
disk before its last step is acknowledged. So what an actor may forget is here, also after a power cut. The end of each
actor's stream is read from these files and nowhere else.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from robot_rl.core.errors import DataError, StorageError
from robot_rl.core.transition import StepRecord
from robot_rl.data.episode_log import PARTIAL, SUFFIX, EpisodeMeta, EpisodeWriter, continue_episode, read_episode
from robot_rl.data.labels import apply_label, read_labels
from robot_rl.runtime.episode_files import episode_files, episode_number
from robot_rl.runtime.transport.fields import Place, is_name

Lengths = dict[str, dict[int, int]]
EMPTY = ".empty"


@dataclass
class _Stream:
    """What the archive knows of one actor.

    Attributes:
        lengths: archived steps by episode number, in order.
        steps: their sum.
        ended: the newest episode has its last step.
        writer: of the newest episode, opened when its next step arrives.
    """

    lengths: dict[int, int] = field(default_factory=dict)
    steps: int = 0
    ended: bool = True
    writer: EpisodeWriter | None = None

    @property
    def cursor(self) -> Place | None:
        number = next(reversed(self.lengths), None)
        return None if number is None else (number, self.lengths[number] - 1)

    def count(self, number: int, steps: int, *, ended: bool) -> None:
        """Episode `number` has `steps` steps now."""
        self.steps += steps - self.lengths.get(number, 0)
        self.lengths[number], self.ended = steps, ended

    def forget(self, number: int) -> int:
        """Episode `number`, the newest, is gone; returns the steps it had."""
        steps = self.lengths.pop(number, 0)
        self.steps, self.ended = self.steps - steps, True
        return steps

    def follows(self, place: Place) -> bool:
        """Whether `place` is the next step of the newest episode, or the first one of a later episode."""
        if self.cursor is None or place[0] > self.cursor[0]:
            return place[1] == 0
        return not self.ended and place == (self.cursor[0], self.cursor[1] + 1)


class Archive:
    """Writes what arrives, once and without gaps; knows how far every actor's stream has come.

    Args:
        folder: of the run's episodes; each actor has a folder in it.
        run_id: episodes are called ``<run_id>-<actor>-<number>``.
        make_meta: header of an episode, given the actor's name and the episode's number.
    """

    def __init__(self, folder: Path, run_id: str, make_meta: Callable[[str, int], EpisodeMeta]) -> None:
        self.folder = folder
        self._run_id = run_id
        self._make_meta = make_meta
        self._streams: dict[str, _Stream] = {}

    @property
    def cursors(self) -> dict[str, Place]:
        """Last place archived, by actor."""
        return {name: s.cursor for name, s in self._streams.items() if s.cursor is not None}

    @property
    def lengths(self) -> Lengths:
        """Archived steps by actor and episode number."""
        return {name: dict(s.lengths) for name, s in self._streams.items()}

    def steps_of(self, actor: str) -> int:
        """Archived steps of one actor."""
        return self._streams[actor].steps if actor in self._streams else 0

    def load(
        self, *, images: bool = True, damaged: Callable[[str], object] = lambda sentence: None
    ) -> Iterator[StepRecord]:
        """Read what earlier processes archived; to be exhausted before the first `append`.

        Each actor's records come in order, actors interleaved by the time of day at which they acted; they are as
        people labelled them later.

        Args:
            images: decode pictures too.
            damaged: told of every finished file that lacks steps; what can be read of it is read.

        Raises:
            DataError: a file holds another episode than its name says, or labels cannot be read.
        """
        self._streams = {f.name: _Stream() for f in _folders(self.folder)}
        streams = [self._load_actor(name, images, damaged) for name in self._streams]
        yield from heapq.merge(*streams, key=lambda record: record.t_wall_s)

    def append(self, record: StepRecord) -> bool:
        """Write a record.

        Returns:
            Whether it is new; one that is here already changes nothing.

        Raises:
            DataError: it belongs to another run, is invalid, or steps before it are missing; nothing is written.
            StorageError: the disk refuses.
        """
        actor, number = self.owner(record.episode_id)
        stream, place = self._streams.get(actor) or _Stream(), (number, record.step_index)
        if stream.cursor is not None and place <= stream.cursor:
            return False
        if not stream.follows(place):
            raise DataError(f"step {place[1]} of episode {number} of actor {actor} does not follow {stream.cursor}")
        writer = self._writer(actor, stream, place)
        try:
            writer.append(record)
        except DataError:
            if writer.steps == 0:
                writer.close()  # leaves no file behind
                stream.writer = None
            raise
        if record.last:
            writer.close()
            stream.writer = None
        self._streams[actor] = stream
        stream.count(number, record.step_index + 1, ended=record.last)
        return True

    def owner(self, episode_id: str) -> tuple[str, int]:
        """Actor and number of an episode.

        Raises:
            DataError: the episode is not one of this run.
        """
        prefix, _, _ = episode_id.rpartition("-")
        actor = prefix.removeprefix(f"{self._run_id}-")
        if actor == prefix or not is_name(actor):
            raise DataError(f"episode {episode_id!r} is not {self._run_id}-ACTOR-NUMBER, as those of this run are")
        return actor, episode_number(episode_id)

    def drop_after(self, cursors: Mapping[str, Place]) -> int:
        """Remove the episodes after an actor's cursor, which are about to be repeated; returns their steps."""
        dropped = 0
        for actor, stream in self._streams.items():
            last = cursors[actor][0] if actor in cursors else -1
            for number, path in episode_files(self.folder / actor).items():
                if number > last:
                    path.unlink()
                    dropped += stream.forget(number)
        return dropped

    def close(self) -> None:
        """Close every file; episodes without an end keep the name ``.partial``. May be called twice."""
        for stream in self._streams.values():
            if stream.writer is not None:
                stream.writer.close()
                stream.writer = None

    def _writer(self, actor: str, stream: _Stream, place: Place) -> EpisodeWriter:
        path = self._path(actor, place[0])
        if place[1] == 0:
            if stream.writer is not None:
                stream.writer.close()
            if actor not in self._streams:
                _make_folder(path.parent)
            stream.writer = EpisodeWriter(path, self._make_meta(actor, place[0]))
        elif stream.writer is None:
            stream.writer = continue_episode(path.with_name(path.name + PARTIAL))
        return stream.writer

    def _path(self, actor: str, number: int) -> Path:
        return self.folder / actor / f"{number:06d}{SUFFIX}"

    def _load_actor(self, actor: str, images: bool, damaged: Callable[[str], object]) -> Iterator[StepRecord]:
        stream, labels = self._streams[actor], read_labels(self.folder / actor)
        for number, path in episode_files(self.folder / actor).items():
            records = _read(path, images=images)
            if path.name.endswith(PARTIAL):
                _put_away(path, records)
            elif not (records and records[-1].last):
                damaged(f"{path} is damaged, {len(records)} complete steps of it can be read")
            if not records:
                continue
            if self.owner(records[0].episode_id) != (actor, number):
                raise DataError(f"{path} holds episode {records[0].episode_id!r}, expected number {number} of {actor}")
            stream.count(number, len(records), ended=records[-1].last)
            yield from apply_label(records, labels.get(records[0].episode_id))


def _folders(root: Path) -> list[Path]:
    return sorted(p for p in root.iterdir() if p.is_dir() and is_name(p.name)) if root.is_dir() else []


def _read(path: Path, *, images: bool) -> tuple[StepRecord, ...]:
    """Every complete step of a file."""
    try:
        return read_episode(path, strict=False, images=images, labels=False).records
    except StorageError:
        raise
    except DataError:
        return ()


def _put_away(path: Path, records: tuple[StepRecord, ...]) -> None:
    """Finish what a process that died has left half done."""
    if not records:
        path.rename(path.with_name(path.name.removesuffix(PARTIAL) + EMPTY))  # died before its first step was complete
    elif records[-1].last:
        continue_episode(path).close()  # died between the last step and giving the file its name


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as e:
        raise StorageError(f"cannot make the folder {path}: {e.strerror}") from e
