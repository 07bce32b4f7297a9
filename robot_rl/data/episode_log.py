"""One episode, one MCAP file: written step by step, readable after a crash at any byte.

Layout (MCAP specification, https://mcap.dev/spec): a metadata record ``robot_rl`` with task, run, seeds, state and
action layout and library versions; then one zstd chunk with its checksum per step, holding one `StepRecord` message as
`robot_rl.data.codec` packs it; then the summary. While an episode is open its file is called ``name.mcap.partial``; it
gets its name when the episode has ended, so a file called ``name.mcap`` is whole.

Example:
    >>> with EpisodeWriter(Path("0001.mcap"), meta) as writer:  # doctest: +SKIP
    ...     for record in records:
    ...         writer.append(record)
    >>> episode = read_episode(Path("0001.mcap"))  # doctest: +SKIP
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from mcap.well_known import MessageEncoding, SchemaEncoding
from mcap.writer import CompressionType, Writer

from robot_rl.core.errors import DataError
from robot_rl.core.transition import StepRecord
from robot_rl.data import codec
from robot_rl.data.episode_meta import METADATA_NAME, EpisodeMeta
from robot_rl.data.mcap_scan import scan

__all__ = ["PARTIAL", "SUFFIX", "Episode", "EpisodeMeta", "EpisodeWriter", "read_episode", "read_meta", "recover"]

SUFFIX = ".mcap"
PARTIAL = ".partial"
TOPIC = "/step"


@dataclass(frozen=True)
class Episode:
    """What a file holds.

    Attributes:
        path: where it was read.
        meta: written when the episode began.
        records: its steps from 0, without gaps.
        complete: the file is whole and the episode has ended.
    """

    path: Path
    meta: EpisodeMeta
    records: tuple[StepRecord, ...]
    complete: bool

    @property
    def success(self) -> bool:
        """Whether the last step reported success."""
        return bool(self.records) and self.records[-1].rewards.get("success", 0.0) > 0.5


class EpisodeWriter:
    """Appends the steps of one episode to a file; each is handed to the operating system before `append` returns.

    Args:
        path: ``*.mcap``; its folder is created. Neither it nor its ``.partial`` may exist.
        meta: what the episode is about.

    Raises:
        DataError: the file cannot be created.

    Attributes:
        path: name of the finished file.
        partial_path: name until the episode has ended.
        steps: how many have been appended.
    """

    def __init__(self, path: str | Path, meta: EpisodeMeta) -> None:
        self.path = Path(path)
        self.partial_path = self.path.with_name(self.path.name + PARTIAL)
        self.steps = 0
        self._meta = meta
        self._last: StepRecord | None = None
        if self.path.suffix != SUFFIX:
            raise DataError(f"episode file {self.path} must end in {SUFFIX}")
        for existing in (self.path, self.partial_path):
            if existing.exists():
                raise DataError(f"{existing} exists already and is not overwritten")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self.partial_path, "xb")  # noqa: SIM115 - closed in close()
        except OSError as e:
            raise DataError(f"cannot write {self.partial_path}: {e.strerror}") from e
        self._writer = Writer(self._file, compression=CompressionType.ZSTD, enable_data_crcs=True)
        try:
            self._channel = self._begin()
        except OSError as e:
            raise self._failure(e) from e

    def _begin(self) -> int:
        self._writer.start(profile="", library="robot_rl")
        self._writer.add_metadata(METADATA_NAME, self._meta.to_strings())
        schema = self._writer.register_schema(
            codec.SCHEMA, SchemaEncoding.JSONSchema, json.dumps(codec.JSON_SCHEMA).encode()
        )
        channel = self._writer.register_channel(TOPIC, MessageEncoding.MessagePack, schema)
        self._writer.flush()  # type: ignore[no-untyped-call]
        return channel

    def append(self, record: StepRecord) -> None:
        """Add the next step.

        Raises:
            DataError: the record is invalid or not the next of this episode (the file stays as it was), or the disk
                refuses (the steps appended before stay readable).
        """
        self._check(record)
        time_ns = int(record.t_wall_s * 1e9)
        try:
            self._writer.add_message(self._channel, time_ns, codec.pack_record(record), time_ns, record.step_index)
            # a chunk per step: what is complete on disk is readable, whatever comes after it
            self._writer.flush()  # type: ignore[no-untyped-call]
        except OSError as e:
            raise self._failure(e) from e
        self._last = record
        self.steps += 1

    def _check(self, record: StepRecord) -> None:
        if self._file.closed:
            raise DataError(f"{self.path} is closed, no step can be appended")
        record.validate()
        if self._last is not None and self._last.last:
            raise DataError(f"{self.path}: the episode ended with step {self._last.step_index}")
        expected = self.steps, record.episode_id if self._last is None else self._last.episode_id
        if (record.step_index, record.episode_id) != expected:
            got = f"step {record.step_index} of episode {record.episode_id!r}"
            raise DataError(f"{self.path}: got {got}, expected step {expected[0]} of episode {expected[1]!r}")
        size = self._meta.state_spec.size
        for obs in (record.obs, record.final_obs):
            if obs is not None and obs.state.shape != (size,):
                raise DataError(f"{self.path}: state of shape {list(obs.state.shape)}, expected [{size}]")
        if record.task != self._meta.task:
            raise DataError(f"{self.path}: step of task {record.task!r}, expected {self._meta.task!r}")

    def close(self) -> None:
        """Finish the file; it gets its final name if the episode has ended. May be called twice.

        An episode without steps leaves no file; one that has not ended keeps the name ``.partial``.

        Raises:
            DataError: the disk refuses; the steps appended before stay readable in the partial file.
        """
        if self._file.closed:
            return
        try:
            self._writer.finish()  # type: ignore[no-untyped-call]
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            if self._last is None:
                self.partial_path.unlink()
            elif self._last.last:
                self.partial_path.rename(self.path)
        except OSError as e:
            raise self._failure(e) from e

    def _failure(self, error: OSError) -> DataError:
        with_file = f"; the {self.steps} steps before are kept in {self.partial_path}" if self.steps else ""
        # the buffered rest cannot be written either, the descriptor is released all the same
        with contextlib.suppress(OSError):
            self._file.close()
        return DataError(f"cannot write {self.path}: {error.strerror or error}{with_file}")

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Close the file."""
        self.close()


def read_episode(path: str | Path, *, strict: bool = True) -> Episode:
    """Read an episode, checksums verified.

    Args:
        path: ``*.mcap`` or ``*.mcap.partial``.
        strict: refuse a file that is not whole; otherwise return every complete step of it.

    Raises:
        DataError: the file is absent or no episode; or, with `strict`, is cut, damaged or of an unfinished episode.
    """
    where = Path(path)
    found = scan(where)
    records = found.records
    complete = found.whole and bool(records) and records[-1].last
    if strict and not complete:
        raise DataError(
            f"{where} is half-written ({found.problem or 'the episode never ended'}): {len(records)} complete steps can"
            " be read with read_episode(path, strict=False) or made a whole episode with"
            " robot_rl.data.episode_log.recover(path)"
        )
    return Episode(where, found.meta, tuple(records), complete)


def read_meta(path: str | Path) -> EpisodeMeta:
    """Only what the episode is about.

    Raises:
        DataError: the file is absent or no episode.
    """
    return scan(Path(path), steps=False).meta


def recover(path: str | Path, to: str | Path | None = None) -> Episode:
    """Make a whole episode of the complete steps of a cut or damaged file, which itself stays untouched.

    The observation of the last complete step becomes the final observation of the step before it, which is marked
    truncated with the stop reason ``recovered``: its own action has no known outcome. An episode that has its last
    step keeps all of them.

    Args:
        path: the broken file.
        to: name of the new one; by default ``name.recovered.mcap`` beside it.

    Raises:
        DataError: fewer than two complete steps are left, or the new file cannot be written.
    """
    source = Path(path)
    name = source.name.removesuffix(PARTIAL).removesuffix(SUFFIX)
    target = Path(to) if to is not None else source.with_name(f"{name}.recovered{SUFFIX}")
    broken = read_episode(source, strict=False)
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
