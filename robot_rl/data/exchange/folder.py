"""A folder that appears under its name only once everything in it is written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from robot_rl.core.errors import DataError, StorageError

UNFINISHED = ".partial"


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Write into ``path.partial``, which becomes `path` at the end and is removed after an error.

    Raises:
        DataError: `path` or its unfinished twin exists already; an empty folder may.
        StorageError: the disk refuses.
    """
    work = path.with_name(path.name + UNFINISHED)
    for existing in (path, work):
        if existing.is_file() or (existing.is_dir() and any(existing.iterdir())):
            raise DataError(f"{existing} exists already and is not overwritten: remove it or choose another folder")
    try:
        work.mkdir(parents=True, exist_ok=True)
        yield work
        if path.is_dir():
            path.rmdir()
        os.replace(work, path)
    except OSError as e:
        raise StorageError(f"cannot write {path}: {e.strerror or e}; nothing of it is kept") from e
    finally:
        shutil.rmtree(work, ignore_errors=True)
