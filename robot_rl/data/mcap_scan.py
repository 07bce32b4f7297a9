"""Reading an episode file from the front for as long as it is sound.

The usual readers start from the summary at the end, which a crash leaves unwritten. Here the file is cut after its
last complete record and read forwards; the first fault ends the scan and is reported, what came before it counts.
"""

from __future__ import annotations

import errno
import io
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard
from mcap.exceptions import EndOfFile, McapError
from mcap.records import Channel, Chunk, Footer, McapRecord, Message, Metadata, Schema
from mcap.stream_reader import StreamReader, breakup_chunk
from mcap.writer import MCAP0_MAGIC

from robot_rl.core.errors import DataError
from robot_rl.core.transition import Observation, StepRecord
from robot_rl.core.types import Image
from robot_rl.data.append_file import storage_error
from robot_rl.data.episode_meta import METADATA_NAME, EpisodeMeta
from robot_rl.data.ros_definitions import FINAL_TOPIC, STEP_TOPIC, camera_of
from robot_rl.data.ros_messages import messages_for

MAX_CHUNK_BYTES = 256 * 2**20
MAX_HEADER_BYTES = 2**18
_FRAMING = struct.Struct("<BQ")  # opcode and length before every record
_CHUNK_MARK = struct.pack("<I", 4) + b"zstd"  # in the front of every chunk
_FAULTS = (
    McapError,
    ValueError,
    LookupError,
    struct.error,
    zstandard.ZstdError,
    OverflowError,
    MemoryError,
    DataError,
)


class NoHeader(DataError):
    """The file ends before its header is complete; it cannot hold a step."""


@dataclass
class Scan:
    """Result of `scan`.

    Attributes:
        meta: header of the episode.
        records: every complete step, from 0 without gaps.
        whole: the file ends as it should and all checksums hold.
        problem: what ended the scan early, or empty.
        damaged: that was a fault, after which more steps may follow, and not the end of a file that was cut.
    """

    meta: EpisodeMeta
    records: list[StepRecord] = field(default_factory=list)
    whole: bool = False
    problem: str = ""
    damaged: bool = False


def scan(path: Path, *, images: bool = True) -> Scan:
    """Read an episode file up to its first fault.

    Args:
        path: the file.
        images: decode the pictures; otherwise observations come without any.

    Raises:
        DataError: the file is absent, is no MCAP file, or its header is unreadable.
        NoHeader: it ends before its header is complete.
        StorageError: the disk does not give the file away.
    """
    data = _read(path)
    end = _end_of_complete_records(data)
    steps: _Steps | None = None
    whole, damaged, problem = False, False, ""
    try:
        for record in _parse(data, end):
            if isinstance(record, Metadata) and record.name == METADATA_NAME:
                steps = steps or _Steps(EpisodeMeta.from_strings(record.metadata), images)
            elif isinstance(record, Footer):
                whole = data[-len(MCAP0_MAGIC) :] == MCAP0_MAGIC
            elif steps is not None:
                steps.take(record)
        if not whole:
            problem = "it is cut off"
    except _FAULTS as e:
        if steps is None:
            raise DataError(f"{path}: {e}") from e
        whole, damaged, problem = False, True, f"it is damaged after step {len(steps.records) - 1}: {e}"
    if steps is None:
        if _CHUNK_MARK in data:
            raise DataError(f"{path}: damaged episode header, though steps follow it")
        raise _no_header(path)
    return Scan(steps.meta, steps.records, whole, problem, damaged)


def read_header(path: Path) -> EpisodeMeta:
    """Only the header of an episode file; reads only its front.

    Raises:
        DataError: the file is absent, is no MCAP file, or its header is unreadable.
        NoHeader: it ends before its header is complete.
        StorageError: the disk does not give the file away.
    """
    front = _read(path, MAX_HEADER_BYTES)
    try:
        for record in _parse(front, _end_of_complete_records(front)):
            if isinstance(record, Metadata) and record.name == METADATA_NAME:
                return EpisodeMeta.from_strings(record.metadata)
    except _FAULTS as e:
        raise DataError(f"{path}: {e}") from e
    raise _no_header(path)


def _read(path: Path, size: int = -1) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(size)
    except OSError as e:
        if e.errno in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR):
            raise DataError(f"cannot read {path}: {e.strerror}") from e
        raise storage_error("read", path, e) from e
    if data[: len(MCAP0_MAGIC)] != MCAP0_MAGIC:
        if MCAP0_MAGIC.startswith(data):
            raise _no_header(path)
        raise DataError(f"{path} is not an episode file: it does not begin like an MCAP file")
    return data


def _no_header(path: Path) -> NoHeader:
    return NoHeader(f"{path} is half-written: it ends before its header and holds no step")


def _end_of_complete_records(data: bytes) -> int:
    at = len(MCAP0_MAGIC)
    while at + _FRAMING.size <= len(data):
        length: int = _FRAMING.unpack_from(data, at)[1]
        if at + _FRAMING.size + length > len(data):
            break
        at += _FRAMING.size + length
    return at


def _parse(data: bytes, end: int) -> Iterator[McapRecord]:
    # the closing magic looks like the framing of an absurdly long record: keep it for the parser if it is there
    keep = len(data) if data[end:] == MCAP0_MAGIC else end
    reader = StreamReader(
        io.BytesIO(data[:keep]), emit_chunks=True, validate_crcs=True, record_size_limit=MAX_CHUNK_BYTES
    )
    try:
        for record in reader.records:
            if isinstance(record, Chunk):
                _check_chunk(record)
                yield from breakup_chunk(record, validate_crc=True)
            else:
                yield record
    except EndOfFile:
        # the complete records are used up; whether the footer was among them is the caller's to judge
        return


def _check_chunk(chunk: Chunk) -> None:
    claimed = chunk.uncompressed_size
    if chunk.compression == "zstd":
        claimed = max(claimed, zstandard.frame_content_size(chunk.data))
    if claimed > MAX_CHUNK_BYTES:
        raise DataError(f"a chunk claims {claimed} bytes, at most {MAX_CHUNK_BYTES} are allowed")
    if chunk.uncompressed_crc == 0:
        raise DataError("a chunk has no checksum")


class _Steps:
    """Puts records together from the messages of a file; a step counts when its own message comes, after the rest."""

    def __init__(self, meta: EpisodeMeta, images: bool) -> None:
        self.meta = meta
        self.records: list[StepRecord] = []
        self._decode_images = images
        self._messages = messages_for(meta.state_spec)
        self._schemas: dict[int, Schema] = {}
        self._topics: dict[int, str] = {}
        self._pictures: dict[tuple[int, str], bytes] = {}
        self._final: tuple[int, bytes] | None = None

    def take(self, record: McapRecord) -> None:
        """Digest the next record of the file.

        Raises:
            DataError: it does not belong here.
        """
        if isinstance(record, Schema):
            self._schemas[record.id] = record
        elif isinstance(record, Channel):
            self._open(record)
        elif isinstance(record, Message):
            self._take_message(self._topics.get(record.channel_id, ""), record)

    def _open(self, channel: Channel) -> None:
        schema = self._schemas.get(channel.schema_id)
        expected = self._messages.definitions.get(schema.name) if schema else None
        if schema is None or expected is None:
            return
        if schema.data != expected.encode():
            raise DataError(f"topic {channel.topic} has another definition of {schema.name} than this program")
        self._topics[channel.id] = channel.topic

    def _take_message(self, topic: str, message: Message) -> None:
        if topic == STEP_TOPIC:
            self._take_step(message)
        elif topic == FINAL_TOPIC:
            self._final = message.sequence, message.data
        elif camera := camera_of(topic):
            self._pictures[message.sequence, camera] = message.data

    def _take_step(self, message: Message) -> None:
        step = self._messages.read_step(message.data)
        expected = len(self.records)
        first = self.records[0].episode_id if self.records else step.episode_id
        if (step.step_index, message.sequence, step.episode_id) != (expected, expected, first):
            raise DataError(f"step {step.step_index} of episode {step.episode_id!r} where step {expected} belongs")
        images = self._images(step.cameras, expected)
        final_obs = self._final_observation(expected + 1)
        self.records.append(self._messages.record(step, self.meta.task, images, final_obs))
        self._pictures.clear()

    def _final_observation(self, sequence: int) -> Observation | None:
        if self._final is None:
            return None
        if self._final[0] != sequence:
            raise DataError(f"final state number {self._final[0]} where {sequence} belongs")
        message: Any = self._messages.read_final_state(self._final[1])
        return Observation(self._messages.row(message.state), self._images(message.cameras, sequence))

    def _images(self, cameras: Sequence[str], sequence: int) -> dict[str, Image]:
        absent = [camera for camera in cameras if (sequence, camera) not in self._pictures]
        if absent:
            raise DataError(f"step {sequence} lacks the pictures of {absent}")
        if not self._decode_images:
            return {}
        return {camera: self._messages.read_image(self._pictures[sequence, camera]) for camera in cameras}
