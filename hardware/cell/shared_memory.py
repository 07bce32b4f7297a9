"""Shared memory of processes that were killed: 17 MB each that nobody else would give back before the next boot."""

from __future__ import annotations

import fcntl
import os
import re
import time
from contextlib import suppress
from pathlib import Path

FOLDER = Path("/dev/shm")
# A process that starts has made its lock file a moment before it holds the lock.
YOUNG_S = 5.0
_LOCK = re.compile(r"(fastdds_[0-9a-f]{16})_el")


def sweep(folder: Path = FOLDER) -> list[str]:
    """Remove segments of Fast DDS whose owners are gone, which the lock beside each tells.

    Args:
        folder: where they lie.

    Returns:
        Names of those removed. Others' segments, and those of running processes, stay.
    """
    removed = []
    with suppress(OSError):
        for lock in sorted(folder.iterdir()):
            match = _LOCK.fullmatch(lock.name)
            if match and _abandoned(lock):
                for path in (lock.with_name(match[1]), lock):
                    path.unlink(missing_ok=True)
                removed.append(match[1])
    return removed


def _abandoned(lock: Path) -> bool:
    try:
        status = lock.stat()
        if status.st_uid != os.getuid() or time.time() - status.st_mtime < YOUNG_S:
            return False
        handle = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True
