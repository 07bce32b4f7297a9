"""Writing an episode file step by step, and taking up one that was cut."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from mcap.well_known import MessageEncoding, Profile, SchemaEncoding
from mcap.writer import CompressionType, Writer

from robot_rl.core.errors import DataError, StorageError
from robot_rl.core.transition import Observation, StepRecord
from robot_rl.data.append_file import AppendFile, storage_error
from robot_rl.data.episode_meta import METADATA_NAME, EpisodeMeta
from robot_rl.data.mcap_scan import MAX_CHUNK_BYTES, MAX_HEADER_BYTES, NoHeader, Scan, scan
from robot_rl.data.ros_definitions import FINAL_STATE, FINAL_TOPIC, IMAGE, STEP, STEP_TOPIC, image_topic, stamp_ns
from robot_rl.data.ros_messages import messages_for

MAX_STEP_BYTES = MAX_CHUNK_BYTES // 2
SUFFIX = ".mcap"
PARTIAL = ".partial"
REWRITE = ".rewrite"
"""Added to the partial name while a cut file is copied; may be deleted whenever no program is running."""
DAMAGED = ".damaged"
"""Added to the partial name of a file with a fault before its end, kept beside the one that goes on without it."""


class EpisodeWriter:
    """Appends the steps of one episode to a file; each is handed to the operating system before `append` returns.

    Args:
        path: ``*.mcap``; its folder is created. Neither it nor its ``.partial`` may exist.
        meta: what the episode is about.
        sync_every_s: a loss of power costs at most the steps of about this time; see `AppendFile`.

    Raises:
        DataError: a file of that name exists, or the state layout cannot be logged.
        StorageError: the file cannot be created.

    Attributes:
        path: name of the finished file.
        partial_path: name until the episode has ended.
        steps: how many have been appended.
    """

    def __init__(
        self, path: str | Path, meta: EpisodeMeta, *, sync_every_s: float = 1.0, _rewrite: bool = False
    ) -> None:
        self.path = Path(path)
        self.partial_path = self.path.with_name(self.path.name + PARTIAL)
        self.steps = 0
        self.meta = meta
        self._last: StepRecord | None = None
        self._messages = messages_for(meta.state_spec)
        self._channels: dict[str, int] = {}
        self._schemas: dict[str, int] = {}
        if self.path.suffix != SUFFIX:
            raise DataError(f"episode file {self.path} must end in {SUFFIX}")
        open_path = self.partial_path.with_name(self.partial_path.name + REWRITE) if _rewrite else self.partial_path
        try:
            for existing in (self.path, open_path):
                if existing.exists():
                    raise DataError(f"{existing} exists already and is not overwritten")
            self._file = AppendFile(open_path, sync_every_s=sync_every_s)
        except OSError as e:
            raise storage_error("write", open_path, e) from e
        self._writer = Writer(
            self._file,  # type: ignore[arg-type]
            chunk_size=MAX_CHUNK_BYTES,
            compression=CompressionType.ZSTD,
            enable_data_crcs=True,
        )
        try:
            self._begin()
        except OSError as e:
            self._file.abandon()
            with contextlib.suppress(OSError):
                open_path.unlink()
            raise storage_error("write", open_path, e) from e

    def _begin(self) -> None:
        self._writer.start(profile=Profile.ROS2, library="robot_rl")
        self._writer.add_metadata(METADATA_NAME, self.meta.to_strings())
        if self._file.tell() > MAX_HEADER_BYTES:
            size = self._file.tell()
            self._file.discard()
            raise DataError(f"{self.path}: a header of {size} bytes, at most {MAX_HEADER_BYTES} are allowed")
        self._file.flush()

    @property
    def last(self) -> StepRecord | None:
        """The step appended last."""
        return self._last

    @property
    def ended(self) -> bool:
        """Whether the last step of the episode has been appended."""
        return self._last is not None and self._last.last

    def append(self, record: StepRecord) -> None:
        """Add the next step.

        Raises:
            DataError: the record is invalid or not the next of this episode; the file stays as it was and open.
            StorageError: the disk refuses; the file is closed, the steps appended before stay readable.
        """
        self._check(record)
        messages = self._encode(record)
        size = sum(len(data) for *_, data in messages)
        if size > MAX_STEP_BYTES:
            raise DataError(f"{self.path}: a step of {size} bytes, at most {MAX_STEP_BYTES} are allowed")
        try:
            for topic, kind, sequence, time_ns, data in messages:
                self._writer.add_message(self._channel(topic, kind), time_ns, data, time_ns, sequence)
            # a chunk per step: what is complete on disk is readable, whatever comes after it
            self._writer.flush()  # type: ignore[no-untyped-call]
        except OSError as e:
            raise self._failure(e) from e
        self._last = record
        self.steps += 1

    def _encode(self, record: StepRecord) -> list[tuple[str, str, int, int, bytes]]:
        """Everything of a step as (topic, type, sequence, time, bytes), the step itself last."""
        time_ns = stamp_ns(record.t_wall_s)
        out = self._pictures(record.obs, record.step_index, time_ns)
        if record.final_obs is not None:
            # nobody recorded when it was seen: the next instant keeps viewers from showing it before the step
            out += self._pictures(record.final_obs, record.step_index + 1, time_ns + 1)
            final = self._messages.final_state(record.final_obs, time_ns + 1)
            out.append((FINAL_TOPIC, FINAL_STATE, record.step_index + 1, time_ns + 1, final))
        out.append((STEP_TOPIC, STEP, record.step_index, time_ns, self._messages.step(record)))
        return out

    def _pictures(self, obs: Observation, sequence: int, time_ns: int) -> list[tuple[str, str, int, int, bytes]]:
        return [
            (image_topic(camera), IMAGE, sequence, time_ns, self._messages.image(camera, image, time_ns))
            for camera, image in obs.images.items()
        ]

    def _channel(self, topic: str, kind: str) -> int:
        if kind not in self._schemas:
            text = self._messages.definitions[kind].encode()
            self._schemas[kind] = self._writer.register_schema(kind, SchemaEncoding.ROS2, text)
        if topic not in self._channels:
            self._channels[topic] = self._writer.register_channel(topic, MessageEncoding.CDR, self._schemas[kind])
        return self._channels[topic]

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
        size = self.meta.state_spec.size
        for obs in (record.obs, record.final_obs):
            if obs is not None and obs.state.shape != (size,):
                raise DataError(f"{self.path}: state of shape {list(obs.state.shape)}, expected [{size}]")
        if record.task != self.meta.task:
            raise DataError(f"{self.path}: step of task {record.task!r}, expected {self.meta.task!r}")

    def close(self) -> None:
        """Finish the file and synchronise it with the disk; it gets its final name if the episode has ended.

        An episode without steps leaves no file; one that has not ended keeps the name ``.partial``. May be called
        twice.

        Raises:
            StorageError: the disk refuses; the steps appended before stay readable in the partial file.
        """
        if self._file.closed:
            return
        try:
            if self._last is None:
                self._file.discard()
                return
            self._writer.finish()  # type: ignore[no-untyped-call]
            self._file.close(self.path if self.ended else None)
        except OSError as e:
            raise self._failure(e) from e

    def _failure(self, error: OSError) -> StorageError:
        where = self._file.abandon()
        if not self.steps:
            return storage_error("write", self.path, error)
        kept = f"the {self.steps} steps before are " + (f"kept in {where}" if where else "no longer on this disk")
        return storage_error("write", self.path, error, kept)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Close the file."""
        self.close()


def continue_episode(path: str | Path, meta: EpisodeMeta | None = None, *, sync_every_s: float = 1.0) -> EpisodeWriter:
    """Take up an unfinished file after its last complete step, wherever it was cut.

    Its complete steps are written to a new file that takes the old one's place when it is on the disk, so that a crash
    here loses nothing. If the episode's last step is among them the writer has `EpisodeWriter.ended`, and `close` gives
    the file its final name. A file that was not merely cut but damaged stays beside it, its name ending in `DAMAGED`.

    Args:
        path: ``*.mcap.partial``, which no other program may have open.
        meta: used if the file was cut before its header was complete, and so before its first step.
        sync_every_s: as in `EpisodeWriter`.

    Returns:
        A writer whose `steps` and `last` say where to go on.

    Raises:
        DataError: the file is absent or no episode; or it was cut before its header and there is no `meta`.
        StorageError: the disk refuses; the old file stays as it was.
    """
    partial = Path(path)
    if not partial.name.endswith(SUFFIX + PARTIAL):
        raise DataError(f"{partial} is not an unfinished episode: its name must end in {SUFFIX}{PARTIAL}")
    try:
        found = scan(partial)
    except NoHeader:
        if meta is None:
            raise
        found = Scan(meta)
    try:
        return _rewrite(partial, found, sync_every_s)
    except (OSError, StorageError) as e:
        reason = e.strerror if isinstance(e, OSError) else e
        raise StorageError(f"cannot take up {partial}, which stays as it was: {reason}") from e


def _rewrite(partial: Path, found: Scan, sync_every_s: float) -> EpisodeWriter:
    scratch = partial.with_name(partial.name + REWRITE)
    scratch.unlink(missing_ok=True)
    target = partial.with_name(partial.name.removesuffix(PARTIAL))
    writer = EpisodeWriter(target, found.meta, sync_every_s=sync_every_s, _rewrite=True)
    try:
        for record in found.records:
            writer.append(record)
        if found.damaged:
            with contextlib.suppress(FileExistsError):
                os.link(partial, partial.with_name(partial.name + DAMAGED))
        writer._file.rename(partial)
    except (OSError, StorageError):
        writer._file.abandon()
        scratch.unlink(missing_ok=True)
        raise
    return writer
