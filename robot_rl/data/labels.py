"""What a person said about an episode after it was over: ``labels.jsonl`` beside the episode files.

Episode files are never edited. Each label is one JSON line that is appended, with who said it and when; the newest one
of an episode counts, and older ones stay readable. `robot_rl.data.episode_log.read_episode` applies it, so everything
that reads episodes follows it: the replay of a resumed run, demonstrations, the dataset card, the export.

A label says whether the task was done at the end of the episode:

- ``success``: the last step has the reward of success and terminates the episode.
- ``failure``: no step has it. The episode counts as cut there, unless a person had ended it as hopeless: only what
  truly ends a task may stop the value from continuing.
- ``unknown``: nobody can say. As ``failure``, whoever had ended it.
- ``recorded``: as it was recorded; takes back what was said before.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

from robot_rl.core.errors import DataError, unknown_name
from robot_rl.core.marks import FAILURE, SUCCESS
from robot_rl.core.transition import StepRecord
from robot_rl.data.append_file import storage_error
from robot_rl.data.rewards import relabel_records

LABELS_FILE = "labels.jsonl"
FORMAT = 1
UNKNOWN, RECORDED = "unknown", "recorded"
OUTCOMES = (SUCCESS, FAILURE, UNKNOWN, RECORDED)
MAX_TEXT = 200
_HEAD = b'{"format"'


@dataclass(frozen=True)
class Label:
    """One statement about one episode.

    Attributes:
        episode_id: which episode.
        outcome: one of `OUTCOMES`.
        by: who said it.
        time_s: Unix time.
        version: 1 for the first statement about this episode, then 2, 3, ...
    """

    episode_id: str
    outcome: str
    by: str
    time_s: float
    version: int

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            DataError: naming what is wrong.
        """
        if self.outcome not in OUTCOMES:
            raise DataError(unknown_name("label", self.outcome, OUTCOMES))
        for name, text in (("episode id", self.episode_id), ("name of who labels", self.by)):
            if not 0 < len(text) <= MAX_TEXT:
                raise DataError(f"the {name} must have 1 to {MAX_TEXT} characters, got {len(text)}")
        if self.version < 1:
            raise DataError(f"the version of a label counts from 1, got {self.version}")


def write_label(folder: Path, episode_id: str, outcome: str, by: str) -> Label:
    """Say something about an episode; on the disk when this returns. Several programs may do so at a time.

    Args:
        folder: where the episode's file is.
        episode_id: as in its steps.
        outcome: one of `OUTCOMES`.
        by: who says so.

    Returns:
        What was written, with its version.

    Raises:
        DataError: the outcome or a text is not allowed, or what is there cannot be read.
        StorageError: the disk refuses.
    """
    path = folder / LABELS_FILE
    Label(episode_id, outcome, by, 0.0, 1)  # what is wrong is refused before the file exists
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            before = path.read_bytes()
            known = _parse(before, path).get(episode_id)
            label = Label(episode_id, outcome, by, time.time(), 1 if known is None else known.version + 1)
            line = json.dumps({"format": FORMAT, **asdict(label)}, ensure_ascii=False) + "\n"
            # A line that a dying computer left half written must not swallow this one.
            start = "\n" if before and not before.endswith(b"\n") else ""
            os.write(fd, (start + line).encode("utf-8"))
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as e:
        raise storage_error("write", path, e) from e
    return label


def read_labels(folder: Path) -> dict[str, Label]:
    """The newest label of each episode of a folder by id; empty where nobody has said anything.

    Raises:
        DataError: a line that is complete is no label; names it.
        StorageError: the disk does not give the file away.
    """
    path = folder / LABELS_FILE
    try:
        facts = path.stat()
        return dict(_cached(path, facts.st_mtime_ns, facts.st_size))
    except FileNotFoundError:
        return {}
    except OSError as e:
        raise storage_error("read", path, e) from e


def apply_label(records: Sequence[StepRecord], label: Label | None) -> list[StepRecord]:
    """The steps of one episode as labelled; the given ones stay as they are.

    An episode without its last step is returned unchanged: there is no end to judge.

    Args:
        records: from step 0.
        label: of this episode; None for no label.

    Raises:
        DataError: the label is about another episode.
    """
    if label is None or label.outcome == RECORDED or not (records and records[-1].last):
        return list(records)
    if records[-1].episode_id != label.episode_id:
        raise DataError(f"a label of episode {label.episode_id!r} cannot be applied to {records[-1].episode_id!r}")
    success = label.outcome == SUCCESS
    values = [0.0] * (len(records) - 1) + [float(success)]
    labelled = relabel_records(records, SUCCESS, values, records[-1].reward_version + label.version)
    last = labelled[-1]
    terminated = success or (label.outcome == FAILURE and last.stop_reason == FAILURE)
    reason = SUCCESS if success else label.outcome if last.stop_reason in (SUCCESS, FAILURE) else last.stop_reason
    labelled[-1] = replace(last, terminated=terminated, truncated=not terminated, stop_reason=reason)
    return labelled


def label_records(path: Path, records: Sequence[StepRecord]) -> list[StepRecord]:
    """The steps of an episode file, as the labels beside the file have it.

    Raises:
        DataError: as `read_labels`.
        StorageError: likewise.
    """
    if not records:
        return []
    return apply_label(records, read_labels(path.parent).get(records[-1].episode_id))


@lru_cache(maxsize=64)
def _cached(path: Path, mtime_ns: int, size: int) -> dict[str, Label]:
    return _parse(path.read_bytes(), path)


def _parse(data: bytes, path: Path) -> dict[str, Label]:
    """Whole lines only: one without an end was cut by a crash, and what it said was never confirmed."""
    labels: dict[str, Label] = {}
    whole = data[: data.rfind(b"\n") + 1]
    for number, line in enumerate(whole.split(b"\n")[:-1], 1):
        label = _label(line)
        if label is not None:
            labels[label.episode_id] = label
        elif not _cut(line):
            raise DataError(f"line {number} of {path} is no label of format {FORMAT}: correct or delete it")
    return labels


def _label(line: bytes) -> Label | None:
    try:
        fields = json.loads(line)
        if fields.pop("format") != FORMAT:
            return None
        label = Label(**fields)
    except (ValueError, TypeError, KeyError, AttributeError, DataError):
        return None
    kinds = (str, str, str, int | float, int)
    return label if all(isinstance(v, kind) for v, kind in zip(vars(label).values(), kinds, strict=True)) else None


def _cut(line: bytes) -> bool:
    """Whether it is the beginning of a line that lost its end."""
    return _HEAD.startswith(line[: len(_HEAD)]) and not line.endswith(b"}")
