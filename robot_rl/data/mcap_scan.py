"""Reading an MCAP file from the front for as long as it is sound.

The usual readers start from the summary at the end, which a crash leaves unwritten. Here the file is cut after its
last complete record and read forwards; the first fault ends the scan and is reported, what came before it counts.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import zstandard
from mcap.exceptions import EndOfFile, McapError
from mcap.records import Chunk, Footer, McapRecord, Message, Metadata
from mcap.stream_reader import StreamReader, breakup_chunk
from mcap.writer import MCAP0_MAGIC

from robot_rl.core.errors import DataError
from robot_rl.core.transition import StepRecord
from robot_rl.data.codec import MAX_MESSAGE_BYTES, unpack_record
from robot_rl.data.episode_meta import METADATA_NAME, EpisodeMeta

_FRAMING = struct.Struct("<BQ")  # opcode and length before every record


@dataclass
class Scan:
    """Result of `scan`.

    Attributes:
        meta: header of the episode.
        records: every complete step, from 0 without gaps.
        whole: the file ends as it should and all checksums hold.
        problem: what ended the scan early, or empty.
    """

    meta: EpisodeMeta
    records: list[StepRecord] = field(default_factory=list)
    whole: bool = False
    problem: str = ""


def scan(path: Path, *, steps: bool = True) -> Scan:
    """Read an episode file up to its first fault.

    Args:
        path: the file.
        steps: decode the steps; otherwise stop after the header.

    Raises:
        DataError: the file cannot be read, is no MCAP file, or its header is unreadable.
    """
    try:
        data = path.read_bytes()
    except OSError as e:
        raise DataError(f"cannot read {path}: {e.strerror}") from e
    if data[: len(MCAP0_MAGIC)] != MCAP0_MAGIC:
        raise DataError(f"{path} is not an episode file: it does not begin like an MCAP file")
    end = _end_of_complete_records(data)
    result: Scan | None = None
    try:
        for record in _parse(data, end):
            if isinstance(record, Metadata) and record.name == METADATA_NAME:
                result = Scan(EpisodeMeta.from_strings(record.metadata))
                if not steps:
                    return result
            elif isinstance(record, Message) and result is not None:
                _take_step(result, record)
            elif isinstance(record, Footer) and result is not None:
                result.whole = data[-len(MCAP0_MAGIC) :] == MCAP0_MAGIC
        if result is not None and not result.whole:
            result.problem = "it is cut off"
    except (McapError, ValueError, struct.error, zstandard.ZstdError, OverflowError, MemoryError, DataError) as e:
        if result is None:
            raise DataError(f"{path}: {e}") from e
        result.whole = False
        result.problem = f"it is damaged after step {len(result.records) - 1}: {e}"
    if result is None:
        raise DataError(f"{path} is half-written: it ends before its header, no step can be recovered")
    return result


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
        io.BytesIO(data[:keep]), emit_chunks=True, validate_crcs=True, record_size_limit=MAX_MESSAGE_BYTES
    )
    try:
        for record in reader.records:
            if isinstance(record, Chunk):
                _check_size(record)
                yield from breakup_chunk(record, validate_crc=True)
            else:
                yield record
    except EndOfFile:
        # the complete records are used up; whether the footer was among them is the caller's to judge
        return


def _check_size(chunk: Chunk) -> None:
    claimed = chunk.uncompressed_size
    if chunk.compression == "zstd":
        claimed = max(claimed, zstandard.frame_content_size(chunk.data))
    if claimed > MAX_MESSAGE_BYTES:
        raise DataError(f"a chunk claims {claimed} bytes, at most {MAX_MESSAGE_BYTES} are allowed")


def _take_step(result: Scan, message: Message) -> None:
    record = unpack_record(message.data)
    expected = len(result.records)
    first = result.records[0].episode_id if result.records else record.episode_id
    if (record.step_index, record.episode_id) != (expected, first):
        raise DataError(f"step {record.step_index} of episode {record.episode_id!r} where step {expected} belongs")
    result.records.append(record)
