"""Which of two clips is nearer to the goal: what was asked, what was answered, and the file that keeps it.

A folder of preferences holds ``question.json``, what is asked, and ``answers.jsonl``, one line for each answer,
appended and on the disk before the next pair is asked. An answer that prefers neither clip, or is none at all, is kept
as what it is: a refusal, nonsense or a time-out never becomes a preference.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from robot_rl.core.errors import DataError, unknown_name
from robot_rl.data.append_file import storage_error

ANSWERS_FILE, QUESTION_FILE = "answers.jsonl", "question.json"
FORMAT = 1
FIRST, SECOND, EQUAL = "first", "second", "equal"
INCONSISTENT, REFUSED, NONSENSE, TIMEOUT, ERROR = "inconsistent", "refused", "nonsense", "timeout", "error"
WITHDRAWN = "withdrawn"
"""The answer before it is taken back; the pair is asked again."""
PREFERENCES = (FIRST, SECOND)
FAILURES = (INCONSISTENT, REFUSED, NONSENSE, TIMEOUT, ERROR)
OUTCOMES = (*PREFERENCES, EQUAL, *FAILURES, WITHDRAWN)
RETRIED = (TIMEOUT, ERROR)
"""Outcomes that say nothing of the pair: it is asked again when labelling goes on."""
MAX_WHY = 500
_HEAD = b'{"format"'


@dataclass(frozen=True)
class Clip:
    """Some pictures of one episode.

    Attributes:
        episode_id: which episode.
        steps: of the pictures, ascending; the number of steps stands for the observation after the last one.
    """

    episode_id: str
    steps: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            DataError: the steps are none, negative or not ascending.
        """
        if not self.steps or self.steps[0] < 0 or any(b <= a for a, b in zip(self.steps, self.steps[1:], strict=False)):
            raise DataError(f"the steps of a clip must ascend from 0 or more, got {list(self.steps)}")


@dataclass(frozen=True)
class Pair:
    """Two clips to be compared.

    Attributes:
        first: shown first.
        second: shown second.
        gold: the order is known: the second clip is the better one. It tests who answers, and nobody learns from it.
    """

    first: Clip
    second: Clip
    gold: bool = False

    @property
    def id(self) -> str:
        """Short hash of the two clips, the same in either order."""
        texts = sorted(json.dumps(asdict(clip)) for clip in (self.first, self.second))
        return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Answer:
    """What came of asking about one pair.

    Attributes:
        outcome: one of `OUTCOMES`.
        p_second: probability that the second clip is the better one, for a preference and for ``equal``; else None.
        why: what was said for it, or what went wrong.
        calls: how often somebody was asked; 0 for what was known from before.
        tokens_in: read by a language model.
        tokens_out: written by a language model.
        seconds: that it took.
    """

    outcome: str
    p_second: float | None = None
    why: str = ""
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            DataError: the outcome is unknown, or the probability is missing, superfluous or contradicts it.
        """
        if self.outcome not in OUTCOMES:
            raise DataError(unknown_name("outcome of a question", self.outcome, OUTCOMES))
        p = self.p_second
        fits = {
            FIRST: p is not None and 0.0 <= p < 0.5,
            SECOND: p is not None and 0.5 < p <= 1.0,
            EQUAL: p == 0.5,
        }
        if not fits.get(self.outcome, p is None):
            raise DataError(f"outcome {self.outcome!r} does not go with a probability of {p} for the second clip")


@dataclass(frozen=True)
class Labelled:
    """One line of the file: a pair, what came of asking, who was asked and when."""

    pair: Pair
    answer: Answer
    by: str
    time_s: float

    @property
    def right(self) -> bool | None:
        """Of a gold pair, whether the known order was found; None where there is no answer to compare."""
        return self.answer.outcome == SECOND if self.pair.gold and self.answer.p_second is not None else None


@dataclass(frozen=True)
class Question:
    """What is asked about every pair of a folder.

    Attributes:
        goal: what is to be achieved, in words.
        cameras: whose pictures are shown.
        frames: pictures in a clip.
        stride: steps between them.
        crop: (left, top, right, bottom) of the part of every picture that is shown, relative to it, in [0, 1].
    """

    goal: str
    cameras: tuple[str, ...]
    frames: int = 1
    stride: int = 5
    crop: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            DataError: naming what is wrong.
        """
        if not self.goal.strip() or not self.cameras or not 1 <= self.frames <= 8 or self.stride < 1:
            raise DataError(
                f"a question needs a goal in words, at least one camera, 1 to 8 frames and a stride of 1 or more, got "
                f"{self.goal!r}, {list(self.cameras)}, {self.frames}, {self.stride}"
            )


class PreferenceStore:
    """A folder of preferences, read whole and appended to. One program may write at a time; any may read.

    Args:
        folder: is created if it is absent.
        question: what is asked; None takes the one that the folder has.

    Raises:
        DataError: the folder has no question yet, or another one; or a complete line is no answer.
        StorageError: the disk refuses.

    Attributes:
        question: what is asked.
        labelled: what has been answered so far, oldest first.
    """

    def __init__(self, folder: Path, question: Question | None = None) -> None:
        self.folder = folder
        self.question = _settle_question(folder, question)
        self._path = folder / ANSWERS_FILE
        try:
            data = self._path.read_bytes() if self._path.exists() else b""
        except OSError as e:
            raise storage_error("read", self._path, e) from e
        self.labelled = _parse(data, self._path)

    def append(self, labelled: Labelled) -> None:
        """Keep an answer; on the disk when this returns.

        Raises:
            StorageError: the disk refuses.
        """
        line = json.dumps({"format": FORMAT, **asdict(labelled)}, ensure_ascii=False) + "\n"
        append_line(self._path, line)
        self.labelled.append(labelled)

    def settled(self) -> set[str]:
        """Ids of the pairs that need not be asked again."""
        return {x.pair.id for x in _newest(self.labelled) if x.answer.outcome != WITHDRAWN}

    def usable(self, *, equal: bool = False) -> list[Labelled]:
        """The newest preference of each pair that is no gold pair, to learn from.

        Args:
            equal: also those that prefer neither clip.
        """
        wanted = (*PREFERENCES, EQUAL) if equal else PREFERENCES
        return [x for x in _newest(self.labelled) if x.answer.outcome in wanted and not x.pair.gold]


def append_line(path: Path, line: str) -> None:
    """Append a line to a file of JSON lines; on the disk when this returns.

    Args:
        path: of the file; it is created.
        line: with its end.

    Raises:
        StorageError: the disk refuses.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            size = os.fstat(fd).st_size
            # a line that a dying computer left half written must not swallow this one
            cut = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
            os.write(fd, (("\n" if cut else "") + line).encode("utf-8"))
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as e:
        raise storage_error("write", path, e) from e


def _settle_question(folder: Path, question: Question | None) -> Question:
    path = folder / QUESTION_FILE
    try:
        if path.exists():
            data = json.loads(path.read_text(encoding="utf-8"))
            known = Question(**{**data, "cameras": tuple(data["cameras"]), "crop": tuple(data["crop"])})
            if question not in (None, known):
                raise DataError(
                    f"{folder} holds answers to another question: {known}, not {question}; choose another folder"
                )
            return known
        if question is None:
            raise DataError(f"{folder} holds no preferences: robot-rl label-prefs writes them, with {QUESTION_FILE}")
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(question), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return question
    except OSError as e:
        raise storage_error("use", path, e) from e
    except (ValueError, TypeError, KeyError) as e:
        raise DataError(f"{path} is no question ({e}): correct or delete it") from e


def _parse(data: bytes, path: Path) -> list[Labelled]:
    """Whole lines only: one without an end was cut by a crash, and its pair is asked again."""
    found = []
    for number, line in enumerate(data[: data.rfind(b"\n") + 1].split(b"\n")[:-1], 1):
        try:
            found.append(_labelled(json.loads(line)))
        except (ValueError, TypeError, KeyError, AttributeError, DataError) as e:
            cut = _HEAD.startswith(line[: len(_HEAD)]) and not line.endswith(b"}")
            if not cut:
                raise DataError(f"line {number} of {path} is no answer of format {FORMAT}: correct or delete it") from e
    return found


def _labelled(data: dict[str, Any]) -> Labelled:
    if data["format"] != FORMAT:
        raise DataError(f"format {data['format']}")
    both = data["pair"]["first"], data["pair"]["second"]
    clips = [Clip(str(c["episode_id"]), tuple(map(int, c["steps"]))) for c in both]
    answer = Answer(**data["answer"])
    if not (answer.p_second is None or math.isfinite(answer.p_second)):
        raise DataError("not finite")
    pair = Pair(clips[0], clips[1], gold=bool(data["pair"]["gold"]))
    return Labelled(pair, answer, str(data["by"]), float(data["time_s"]))


def gold_score(labelled: Sequence[Labelled]) -> tuple[int, int]:
    """(right, answered) of the gold pairs, the newest answer of each."""
    right = [x.right for x in _newest(labelled) if x.right is not None]
    return sum(right), len(right)


def _newest(labelled: Sequence[Labelled]) -> list[Labelled]:
    """The newest line of each pair that says something of it."""
    return list({x.pair.id: x for x in labelled if x.answer.outcome not in RETRIED}.values())
