"""Recording serialised messages as MCAP files that ROS 2 tools and Foxglove open, on a disk that may fill up.

A file is written in chunks; what is complete on disk is readable whatever comes after it, so a process that is killed
loses what came since the last flush. A file bears the suffix ``.partial`` until it is finished. Each file stands alone:
the last messages of latched topics are repeated at its beginning.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from mcap.well_known import MessageEncoding, Profile, SchemaEncoding
from mcap.writer import CompressionType, Writer
from rosbags.typesys import Stores, get_typestore

from robot_rl.core.config import Range, check_ranges
from robot_rl.core.errors import StorageError

PARTIAL = ".partial"
CHUNK_BYTES = 2**20
FLUSH_BYTES = 8 * 2**20


@dataclass(frozen=True)
class BagConfig:
    """When a new file begins.

    Attributes:
        max_bytes: of a file on disk.
        max_s: of the time that a file covers.
        min_free_bytes: recording ends before the disk has less left, so that nothing else of the computer breaks.
    """

    max_bytes: Annotated[int, Range(2**16)] = 2 * 2**30
    max_s: Annotated[float, Range(1.0)] = 600.0
    min_free_bytes: Annotated[int, Range(0)] = 2**30

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True)
class Sample:
    """One serialised message.

    Attributes:
        topic: absolute name.
        kind: type, such as ``geometry_msgs/msg/PoseStamped``, of which there is a `definition`.
        data: CDR, with its four bytes of header.
        log_ns: when it arrived, Unix time.
        publish_ns: when it was sent.
        latched: keep it for the next file, too.
    """

    topic: str
    kind: str
    data: bytes
    log_ns: int
    publish_ns: int
    latched: bool = False


class Bag:
    """Writes samples to ``<folder>/<name>_<UTC>_<number>.mcap``.

    Args:
        folder: created if absent.
        name: beginning of the file names.
        config: see there.

    Raises:
        StorageError: the disk refuses.

    Attributes:
        path: of the file that is being written, or was last.
        written: number of messages, in all files.
    """

    def __init__(self, folder: Path, name: str, config: BagConfig | None = None) -> None:
        self._folder, self._config = folder, config or BagConfig()
        self._stem = f"{name}_{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}_{os.getpid()}"
        self._latched: dict[str, Sample] = {}
        self._files, self.written = 0, 0
        self.path = folder
        self._sink: _Sink | None = None
        self._open()

    @property
    def closed(self) -> bool:
        """Whether it was closed, or the disk has refused."""
        return self._sink is None

    @property
    def size(self) -> int:
        """Bytes of the current file on disk."""
        return 0 if self._sink is None else self._sink.size

    def write(self, sample: Sample) -> None:
        """Add a message; it reaches the disk with the next full chunk or `flush`.

        Raises:
            StorageError: the disk refuses; nothing more can be written, and what was flushed before stays readable.
        """
        if sample.latched:
            self._latched[sample.topic] = sample
        if self._sink is None:
            raise StorageError(f"the recording in {self._folder} has ended")
        if self._sink.size > self._config.max_bytes or time.monotonic() - self._began_s > self._config.max_s:
            self.close()
            self._open()
        self._add(sample)
        self.written += 1

    def flush(self) -> None:
        """Hand everything to the operating system.

        Raises:
            StorageError: it refuses; the file ends with what was flushed before.
        """
        if self._sink is None:
            return
        try:
            free = os.statvfs(self._folder)
            if free.f_bavail * free.f_frsize < self._config.min_free_bytes:
                self.close()
                raise StorageError(
                    f"recording ended: less than {self._config.min_free_bytes / 2**20:.0f} MiB are free for"
                    f" {self._folder}; {self.path} is complete"
                )
            self._writer.flush()
        except OSError as e:
            raise self._failure(e) from e

    def close(self) -> None:
        """Finish the file and give it its final name. May be called twice.

        Raises:
            StorageError: the disk refuses; the file keeps the suffix.
        """
        if self._sink is None:
            return
        try:
            self._writer.finish()
            self._sink.close()
            final = self.path.with_name(self.path.name.removesuffix(PARTIAL))
            os.replace(self.path, final)
        except OSError as e:
            raise self._failure(e) from e
        self.path, self._sink = final, None

    def _open(self) -> None:
        self.path = self._folder / f"{self._stem}_{self._files}.mcap{PARTIAL}"
        self._files += 1
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._sink = _Sink(self.path)
            self._writer: Any = Writer(
                self._sink,  # type: ignore[arg-type]
                chunk_size=CHUNK_BYTES,
                compression=CompressionType.ZSTD,
                enable_data_crcs=True,
            )
            self._writer.start(profile=Profile.ROS2, library="robot_rl")
            self._began_s = time.monotonic()
            self._channels: dict[tuple[str, str], int] = {}
            self._schemas: dict[str, int] = {}
            for sample in self._latched.values():
                self._add(sample)
        except OSError as e:
            raise self._failure(e) from e

    def _add(self, sample: Sample) -> None:
        try:
            channel = self._channel(sample.topic, sample.kind)
            self._writer.add_message(channel, sample.log_ns, sample.data, sample.publish_ns)
        except OSError as e:
            raise self._failure(e) from e

    def _channel(self, topic: str, kind: str) -> int:
        if (topic, kind) not in self._channels:
            if kind not in self._schemas:
                text = definition(kind).encode()
                self._schemas[kind] = self._writer.register_schema(kind, SchemaEncoding.ROS2, text)
            channel = self._writer.register_channel(topic, MessageEncoding.CDR, self._schemas[kind])
            self._channels[topic, kind] = channel
        return self._channels[topic, kind]

    def _failure(self, error: OSError) -> StorageError:
        if self._sink is not None:
            with suppress(OSError):
                self._sink.close()
            self._sink = None
        kept = f"; what was written before is kept in {self.path}" if self.path.is_file() else ""
        return StorageError(f"recording ended: cannot write {self.path}: {error.strerror or error}{kept}")


class _Sink:
    """What a writer needs of a file: whole writes or none, so that a file on a full disk ends with a complete chunk."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self.size, self._pending = 0, bytearray()

    def write(self, data: bytes) -> int:
        self._pending += data
        if len(self._pending) > FLUSH_BYTES:
            self.flush()
        return len(data)

    def tell(self) -> int:
        return self.size + len(self._pending)

    def flush(self) -> None:
        data, at = memoryview(bytes(self._pending)), 0
        self._pending = bytearray()
        try:
            while at < len(data):
                at += os.pwrite(self._fd, data[at:], self.size + at)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._fd, self.size)
            raise
        self.size += at

    def close(self) -> None:
        self.flush()
        os.fsync(self._fd)
        os.close(self._fd)


@lru_cache(maxsize=256)
def definition(kind: str) -> str:
    """Text of a message type with the types that it uses; empty if it is none of ROS 2's own packages."""
    store = _store()
    return store.generate_msgdef(kind, ros_version=2)[0] if kind in store.types else ""


@lru_cache(maxsize=1)
def _store() -> Any:
    return get_typestore(Stores.ROS2_KILTED)
