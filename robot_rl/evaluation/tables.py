"""Reading the CSV and JSON-lines files of a run that may still be written, or was cut off in the middle of a row."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from robot_rl.core.types import Array

_TRUE, _FALSE = frozenset({"true", "yes"}), frozenset({"false", "no"})


@dataclass(frozen=True)
class Table:
    """Columns of text with a numeric view.

    Attributes:
        columns: cells by column name, all of equal length.
        bad_rows: rows that were left out because they were incomplete.
    """

    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    bad_rows: int = 0

    def __len__(self) -> int:
        """Number of whole rows."""
        return len(next(iter(self.columns.values()), ()))

    def __contains__(self, name: str) -> bool:
        """Whether there is such a column."""
        return name in self.columns

    def text(self, name: str) -> tuple[str, ...]:
        """Cells of a column; empty strings when the column is missing."""
        return self.columns.get(name, ("",) * len(self))

    def numbers(self, name: str) -> Array:
        """A column as floats ``[n]``; NaN where a cell is empty, no number or the column is missing."""
        return np.array([_number(cell) for cell in self.text(name)], np.float64)


def _number(cell: str) -> float:
    text = cell.strip().lower()
    if text in _TRUE or text in _FALSE:
        return float(text in _TRUE)
    try:
        return float(text)
    except ValueError:
        return math.nan


def read_table(path: Path) -> Table:
    """Read a CSV file leniently.

    A row with too few or too many cells is counted and left out, and so is a last row without its line end, because a
    value cut in the middle still looks like a number. A second header line (written when columns were added on
    resume) takes over; cells of columns it does not know are empty.

    Args:
        path: of the file; a missing or unreadable file gives an empty table.
    """
    raw = _read(path)
    whole, _, tail = raw.rpartition("\n")
    bad = int(bool(tail.strip()))
    header: list[str] = []
    rows: list[dict[str, str]] = []
    names: dict[str, None] = {}
    for cells in csv.reader(io.StringIO(whole.replace("\0", ""))):
        if not cells:
            continue
        if not header or cells[0] == header[0]:
            header = cells
            names.update(dict.fromkeys(cells))
        elif len(cells) == len(header):
            rows.append(dict(zip(header, cells, strict=True)))
        else:
            bad += 1
    return Table({name: tuple(row.get(name, "") for row in rows) for name in names}, bad)


def read_json_lines(path: Path) -> tuple[tuple[dict[str, Any], ...], int]:
    """Read objects of a JSON-lines file leniently.

    Returns:
        The objects, and how many lines were none. A missing file gives no objects.
    """
    rows, bad = [], 0
    for line in _read(path).splitlines():
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            row = None
        if isinstance(row, dict):
            rows.append(row)
        else:
            bad += 1
    return tuple(rows), bad


def read_json(path: Path) -> dict[str, Any]:
    """Read one JSON object; an empty one when the file is missing or broken."""
    try:
        value = json.loads(_read(path))
    except json.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
