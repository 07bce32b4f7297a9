"""Small files of a run, read as far as they can be, again and again at little cost."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

# More than the line of an evaluation of a thousand episodes.
_TAIL_BYTES = 2**18
_YAML: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C where libyaml is there, ten times as fast


def latest(read: Callable[[Path], Any], path: Path) -> Any:
    """What a reader makes of a file, which is read again only when it has changed."""
    try:
        stat = path.stat()
    except OSError:
        return read(path)
    return _read_once(read, path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=10_000)
def _read_once(read: Callable[[Path], Any], path: Path, size: int, mtime_ns: int) -> Any:
    return read(path)


def read_rows(path: Path) -> Iterator[dict[str, str]]:
    """Whole lines of a table, as far as it can be read; a later header line takes over."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    except OSError:
        return
    header: list[str] = []
    with suppress(csv.Error):
        for cells in csv.reader(line.replace("\0", "") for line in lines if line.endswith("\n")):
            if cells and (not header or cells[0] == header[0]):
                header = cells
            elif len(cells) == len(header):
                yield dict(zip(header, cells, strict=True))


def entries_of(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder; nothing if there is none."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []


def read_settings(path: Path) -> dict[str, Any]:
    """A YAML mapping; empty where there is none."""
    try:
        value = yaml.load(path.read_text(encoding="utf-8"), Loader=_YAML)
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return value if isinstance(value, dict) else {}


def read_last_object(path: Path) -> dict[str, Any]:
    """The last whole JSON object of a file with one a line."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            lines = file.read().splitlines()
    except OSError:
        return {}
    for line in reversed(lines):
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            return value
    return {}


def as_number(value: Any) -> float:
    """A cell or an entry as a number; NaN if it is none."""
    try:
        return math.nan if value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def as_count(value: Any) -> int:
    """The same as a whole number, 0 or more; 0 if it is none."""
    number = as_number(value)
    return max(0, int(number)) if math.isfinite(number) else 0
