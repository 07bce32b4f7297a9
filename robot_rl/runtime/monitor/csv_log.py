"""Append-only CSV files with one header line.

A run that goes on from a checkpoint first drops the rows after that checkpoint, so everything appears once.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from robot_rl.core.errors import StorageError
from robot_rl.runtime.run_folder import replace_text


class CsvLog:
    """An append-only CSV file, flushed after every row."""

    def __init__(self, path: Path, columns: Sequence[str] | None = None) -> None:
        self.path = path
        self._columns = tuple(columns) if columns is not None else _header(path)
        self._file: io.TextIOWrapper | None = None

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a line; the first one fixes the columns, later unknown ones are left out.

        Raises:
            StorageError: the file cannot be written.
        """
        try:
            if self._file is None:
                self._file = self._open(row)
            assert self._columns is not None
            csv.writer(self._file, lineterminator="\n").writerow([_cell(row.get(c, "")) for c in self._columns])
            self._file.flush()
        except OSError as e:
            with suppress(OSError):  # what could not be written cannot be flushed either
                self.close()
            raise StorageError(f"cannot write {self.path}: {e.strerror}") from e

    def close(self) -> None:
        """Close the file. May be called twice."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _open(self, row: Mapping[str, Any]) -> io.TextIOWrapper:
        existing = _header(self.path)
        if self._columns is None:
            self._columns = existing or tuple(row)
        if existing is not None and existing != self._columns:
            # Another version's columns: keep its file whole and start anew beside it.
            self.path.replace(self.path.with_suffix(f".{int(time.time())}.csv"))
            existing = None
        file = self.path.open("a", encoding="utf-8", newline="")
        if existing is None:
            csv.writer(file, lineterminator="\n").writerow(self._columns)
        return file


def drop_rows_after(path: Path, column: str, limit: float) -> int:
    """Remove the lines whose `column` exceeds `limit`, and any half-written last line.

    Returns:
        How many were removed.
    """
    if not path.is_file():
        return 0
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    if not rows or column not in rows[0]:
        return 0
    at, width = rows[0].index(column), len(rows[0])
    keep = [r for r in rows[1:] if len(r) == width and _number(r[at]) <= limit]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([rows[0], *keep])
    replace_text(path, out.getvalue())
    return len(rows) - 1 - len(keep)


def _header(path: Path) -> tuple[str, ...] | None:
    if not path.is_file():
        return None
    with path.open(encoding="utf-8", newline="") as file:
        first = next(csv.reader(file), None)
    return tuple(first) if first else None


def _cell(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float | np.floating) else value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("inf")
