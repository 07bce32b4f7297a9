"""A file that only grows, on a disk that may fill up, fall silent or vanish.

Bytes collect in memory until `AppendFile.flush` hands them to the operating system in one go: either all of them are in
the file afterwards or none. A process that dies loses nothing that was flushed; a computer that loses power loses at
most what was written since the last synchronisation.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from pathlib import Path

from robot_rl.core.errors import StorageError

SYNC_SHARE = 0.02
"""Largest part of the time that synchronising may take: a slow disk is synchronised more rarely."""


def storage_error(action: str, path: Path, error: OSError, kept: str = "") -> StorageError:
    """One sentence for what the disk refused.

    Args:
        action: for example ``write``.
        path: of the file or folder.
        error: what the operating system said.
        kept: what is not lost, as a clause.
    """
    return StorageError(f"cannot {action} {path}: {error.strerror or error}{f'; {kept}' if kept else ''}")


class AppendFile:
    """Collects what is written and appends it whole.

    Args:
        path: must not exist; its folder is created.
        sync_every_s: flushed bytes reach the disk itself at most this much later, as long as more is flushed; ``inf``
            leaves it to `close`.

    Raises:
        OSError: the file cannot be created.

    Attributes:
        path: where the file is.
        size: bytes handed to the operating system.
    """

    def __init__(self, path: Path, *, sync_every_s: float = 1.0) -> None:
        self.path = path
        self.size = 0
        self._pending: list[bytes] = []
        self._pending_size = 0
        self._sync_every_s = sync_every_s
        self._next_sync_s = time.monotonic() + sync_every_s
        self._named_on_disk = False
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)

    @property
    def closed(self) -> bool:
        """Whether the descriptor has been released."""
        return self._fd < 0

    def write(self, data: bytes) -> int:
        """Collect bytes for the next `flush`."""
        self._pending.append(bytes(data))
        self._pending_size += len(data)
        return len(data)

    def tell(self) -> int:
        """Where the next byte will be."""
        return self.size + self._pending_size

    def flush(self) -> None:
        """Append what has been collected.

        Raises:
            OSError: none of it has been appended; what is not in the file is forgotten.
        """
        data = memoryview(b"".join(self._pending))
        self._pending, self._pending_size = [], 0
        self._check_in_place()
        try:
            at = 0
            while at < len(data):
                at += os.pwrite(self._fd, data[at:], self.size + at)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self.size)
            raise
        self.size += len(data)
        self._sync_if_due()

    def rename(self, path: Path) -> None:
        """Give the file another name in its folder, replacing what bears it; everything flushed is on the disk first.

        Raises:
            OSError: the disk refuses; the file keeps its name.
        """
        self._check_in_place()
        os.fsync(self._fd)
        os.replace(self.path, path)
        self.path = path
        sync_folder(path.parent)

    def close(self, name: Path | None = None) -> None:
        """Flush, synchronise, give the file its final name if it gets one, release the descriptor.

        Raises:
            OSError: the disk refuses; the descriptor stays open for `abandon`.
        """
        self.flush()
        self.rename(name or self.path)
        os.close(self._fd)
        self._fd = -1

    def discard(self) -> None:
        """Remove the file and release the descriptor.

        Raises:
            OSError: the disk refuses; the descriptor stays open for `abandon`.
        """
        os.unlink(self.path)
        os.close(self._fd)
        self._fd = -1

    def abandon(self) -> Path | None:
        """Release the descriptor after an error.

        Returns:
            Where the flushed bytes are: usually `path`; elsewhere if the folder was moved; written anew if the file was
            removed. None if they are lost, or the descriptor has been released before.
        """
        if self.closed:
            return None
        try:
            if os.fstat(self._fd).st_nlink:
                return Path(os.readlink(f"/proc/self/fd/{self._fd}"))
            self._write_anew()
            return self.path
        except OSError:
            return None
        finally:
            # what was written may be refused only now; the descriptor is released all the same
            with contextlib.suppress(OSError):
                os.close(self._fd)
            self._fd = -1

    def _write_anew(self) -> None:
        # an open file outlives its name: what was removed can still be read here, and only here
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "xb") as copy:
            at = 0
            while data := os.pread(self._fd, 2**20, at):
                copy.write(data)
                at += len(data)
            copy.flush()
            os.fsync(copy.fileno())

    def _check_in_place(self) -> None:
        # a removed file or folder takes writes without complaint, and loses them when it is closed
        there, here = os.stat(self.path), os.fstat(self._fd)
        if (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino):
            raise OSError(errno.ESTALE, "another file has taken its place")

    def _sync_if_due(self) -> None:
        start_s = time.monotonic()
        if start_s < self._next_sync_s:
            return
        os.fdatasync(self._fd)
        if not self._named_on_disk:
            sync_folder(self.path.parent)
            self._named_on_disk = True
        end_s = time.monotonic()
        self._next_sync_s = end_s + max(self._sync_every_s, (end_s - start_s) / SYNC_SHARE)


def sync_folder(folder: Path) -> None:
    """Make names in a folder survive a loss of power.

    Raises:
        OSError: the disk refuses.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
