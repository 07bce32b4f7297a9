"""One process at a time in a folder: an advisory lock that the kernel releases however its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from datetime import datetime
from pathlib import Path

from robot_rl.core.errors import ConfigError, StorageError

LOCK_FILE = ".lock"
POLL_S = 0.05


class FolderLock:
    """Held from construction to `close`, or to the end of the process.

    Args:
        folder: what is locked; it must exist.
        purpose: what the holder does there, for the sentence a second one gets, for example ``trains in``.
        wait_s: how long to wait for another process to let go.

    Raises:
        ConfigError: another process holds it; says which, where and since when.
        StorageError: the lock file cannot be written.
    """

    def __init__(self, folder: Path, purpose: str, *, wait_s: float = 0.0) -> None:
        path = folder / LOCK_FILE
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as e:
            raise StorageError(f"cannot lock {folder}: {e.strerror}") from e
        try:
            self._acquire(wait_s)
            self._sign()
        except BlockingIOError:
            holder = _read(self._handle)
            self.close()
            raise ConfigError(f"{holder} {purpose} {folder}: end it first, or use another folder") from None
        except OSError as e:
            self.close()
            raise StorageError(f"cannot lock {folder}: {e.strerror}") from e

    def close(self) -> None:
        """Let others in. May be called twice."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _acquire(self, wait_s: float) -> None:
        end_s = time.monotonic() + wait_s
        while True:
            try:
                return fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= end_s:
                    raise
                time.sleep(POLL_S)

    def _sign(self) -> None:
        since = datetime.now().astimezone().isoformat(timespec="seconds")
        text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since})
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, text.encode(), 0)


def _read(handle: int) -> str:
    try:
        data = json.loads(os.pread(handle, 1000, 0))
        return f"process {data['pid']} on {data['host']}, since {data['since']},"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
