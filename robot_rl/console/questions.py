"""What programs of this machine ask a person, and what whoever is in charge answers.

Such a program listens on a socket in this user's folder, as actors do (`robot_rl.runtime.attend.place`), and speaks the
little HTTP of its own page (`robot_rl.rewards.labeler_page`). It waits for as long as it takes: a console that ends
takes nothing with it, and the next one finds the question again.
"""

from __future__ import annotations

import http.client
import json
import queue
import socket
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from robot_rl.core.errors import DataError, StorageError
from robot_rl.runtime.attend.place import sockets_of_questions

LOOK_EVERY_S = 0.2
HURRY_EVERY_S, HURRY_FOR_S = 0.03, 2.0
"""After an answer, for whoever waits for the next question."""
TIMEOUT_S = 2.0
MAX_BYTES = 2**25
OK, UNCHANGED, GONE_BY = 200, 204, 409


@dataclass(frozen=True)
class Question:
    """Two clips to be compared.

    Attributes:
        id: of this question; no other has it.
        goal: what is to be achieved, in words.
        answered: questions of this session before this one.
        of: questions of this session.
        html: how it looks, as `robot_rl.rewards.labeler_view.question_html` makes it.
    """

    id: str
    goal: str
    answered: int
    of: int
    html: str


@dataclass(frozen=True)
class _Said:
    question: str
    saying: str
    by: str


class Questions:
    """Looks for questions in a thread of its own, and takes answers to them. Of several programs the oldest is heard.

    Attributes:
        asked: the question that waits for an answer; None for none.
        problem: why the last answer did not arrive, or why nobody can be asked; empty otherwise.
    """

    def __init__(self) -> None:
        self.asked: Question | None = None
        self.problem = ""
        self._path: Path | None = None
        self._said: queue.SimpleQueue[_Said] = queue.SimpleQueue()
        self._wake, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="questions", daemon=True)
        self._thread.start()

    def say(self, question: str, saying: str, by: str) -> None:
        """Answer; arrives soon, and counts only if that question still waits. Never blocks.

        Args:
            question: `Question.id` of what was seen.
            saying: what its button stands for.
            by: who says it.
        """
        self._said.put(_Said(question, saying, by))
        self._wake.set()

    def close(self) -> None:
        """Look no more. May be called twice."""
        self._ended.set()
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        hurry_until_s = 0.0
        while not self._ended.is_set():
            try:
                while not self._said.empty():
                    self._tell(self._said.get())
                    hurry_until_s = time.monotonic() + HURRY_FOR_S
                self._look()
            except StorageError as e:
                self.asked, self.problem = None, str(e)
            self._wake.wait(HURRY_EVERY_S if time.monotonic() < hurry_until_s else LOOK_EVERY_S)
            self._wake.clear()

    def _look(self) -> None:
        there = sockets_of_questions()
        # Whoever was heard stays it between two questions.
        for path in sorted(there, key=lambda path: path != self._path):
            try:
                asked = self._question_of(path)
            except (OSError, http.client.HTTPException, DataError):
                continue  # killed, busy, or no program of ours
            if asked is not None or path == self._path:
                self._path, self.asked = path, asked
                return
        self._path = self.asked = None

    def _question_of(self, path: Path) -> Question | None:
        before = self.asked if path == self._path else None
        seen = "" if before is None else before.id
        status, body = _exchange(path, "GET", f"/question?seen={quote(seen)}")
        return before if status == UNCHANGED else read_question(status, body)

    def _tell(self, said: _Said) -> None:
        path = self._path
        if path is None:
            return
        body = json.dumps({"id": said.question, "say": said.saying, "by": said.by}).encode()
        try:
            status, _ = _exchange(path, "POST", "/answer", body)
            self.problem = "" if status in (UNCHANGED, GONE_BY) else f"the answer was refused (status {status})"
        except (OSError, http.client.HTTPException) as e:
            self.problem = f"the answer did not arrive ({e or type(e).__name__}): answer again"


def read_question(status: int, body: bytes) -> Question | None:
    """What a program asks; None for nothing at this moment.

    Raises:
        DataError: it is no question.
    """
    try:
        data: Any = json.loads(body) if status == OK else None
        question = Question(*(data[name] for name in ("id", "goal", "answered", "of", "html"))) if data["id"] else None
    except (ValueError, TypeError, KeyError) as e:
        raise DataError(f"no question: status {status}, {body[:64]!r}") from e
    if question is None:
        return None
    texts, counts = (question.id, question.goal, question.html), (question.answered, question.of)
    if not all(type(v) is str for v in texts) or not all(type(v) is int for v in counts):
        raise DataError(f"no question: {body[:64]!r}")
    return question


class _Line(http.client.HTTPConnection):
    """HTTP over a socket in a folder."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        """To the path."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(str(self._path))


def _exchange(path: Path, method: str, target: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Status and body of the answer."""
    with closing(_Line(path)) as line:
        line.request(method, target, body)
        reply = line.getresponse()
        data = reply.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise http.client.HTTPException(f"an answer of more than {MAX_BYTES} bytes")
        return reply.status, data
