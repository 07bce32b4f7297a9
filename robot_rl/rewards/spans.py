"""What single frames of recorded episodes show, said by whoever recorded them: ``frames.jsonl`` beside the episodes.

One line an episode, the last one counts. The frames of an episode of T steps are 0 to T: what was seen before each step
and after the last. Episode files themselves are never edited.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

from robot_rl.core.errors import DataError
from robot_rl.data.append_file import storage_error

FRAMES_FILE = "frames.jsonl"
FORMAT = 1
YES, NO, UNKNOWN = 1, 0, -1


@dataclass(frozen=True)
class Span:
    """A stretch of an episode.

    Attributes:
        first: its first frame.
        last: its last one.
        success: 1 the task is done, 0 it is not, -1 nobody can say.
        bucket: what kind of situation it is, for example ``near_miss``.
    """

    first: int
    last: int
    success: int
    bucket: str


def spans_of(success: Sequence[int], buckets: Sequence[str]) -> list[Span]:
    """Frame by frame statements as stretches."""
    out, at = [], 0
    for (value, bucket), group in groupby(zip(success, buckets, strict=True)):
        n = len(list(group))
        out.append(Span(at, at + n - 1, int(value), bucket))
        at += n
    return out


def write_spans(folder: Path, episode_id: str, spans: Sequence[Span], by: str) -> None:
    """Say what the frames of an episode show; on the disk when this returns.

    Raises:
        StorageError: the disk refuses.
    """
    fields = {"format": FORMAT, "episode_id": episode_id, "by": by, "spans": [asdict(s) for s in spans]}
    path = folder / FRAMES_FILE
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(fields) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as e:
        raise storage_error("write", path, e) from e


def read_spans(folder: Path) -> dict[str, list[Span]]:
    """Stretches by episode; empty where nobody has said anything. A last line that a crash cut is left out.

    Raises:
        DataError: a whole line is no such statement.
        StorageError: the disk does not give the file away.
    """
    path = folder / FRAMES_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except OSError as e:
        raise storage_error("read", path, e) from e
    return dict(_parsed(path, text))


def _parsed(path: Path, text: str) -> Iterator[tuple[str, list[Span]]]:
    for number, line in enumerate(text[: text.rfind("\n") + 1].splitlines(), 1):
        try:
            fields = json.loads(line)
            if fields["format"] != FORMAT:
                raise ValueError(f"format {fields['format']!r}")
            yield str(fields["episode_id"]), [Span(**s) for s in fields["spans"]]
        except (ValueError, KeyError, TypeError) as e:
            raise DataError(f"line {number} of {path} says nothing about frames ({e}): correct or delete it") from e
