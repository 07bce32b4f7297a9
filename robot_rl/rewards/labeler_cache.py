"""Answers of a model that always answers alike, kept by what it was asked, so that nothing is paid for twice."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from robot_rl.core.errors import DataError
from robot_rl.data.append_file import storage_error
from robot_rl.rewards.preferences import EQUAL, PREFERENCES, Answer, append_line


def cache_key(model: str, question: Any, options: Mapping[str, Any] | None = None) -> str:
    """Hash of all that an answer depends on: model, words, pictures and options."""
    text = json.dumps({"model": model, "question": question, "options": dict(options or {})}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class AnswerCache:
    """A file of JSON lines, read whole and appended to. Refusals, nonsense and failures are not kept.

    Args:
        path: of the file; absent at first.

    Raises:
        StorageError: the disk does not give the file away.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            data = path.read_bytes() if path.exists() else b""
        except OSError as e:
            raise storage_error("read", path, e) from e
        self._answers: dict[str, Answer] = {}
        for line in data.split(b"\n"):
            try:
                entry = json.loads(line)
                self._answers[str(entry["key"])] = Answer(**entry["answer"])
            except (ValueError, TypeError, KeyError, DataError):
                # a line that was cut costs one call, not the file
                continue

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, key: str) -> Answer | None:
        """What was answered, at no cost this time; None if nothing was."""
        known = self._answers.get(key)
        return None if known is None else replace(known, calls=0, tokens_in=0, tokens_out=0, seconds=0.0)

    def put(self, key: str, answer: Answer) -> None:
        """Keep an answer, if it is one.

        Raises:
            StorageError: the disk refuses.
        """
        if answer.outcome not in (*PREFERENCES, EQUAL):
            return
        with self._lock:
            append_line(self._path, json.dumps({"key": key, "answer": asdict(answer)}, ensure_ascii=False) + "\n")
            self._answers[key] = answer
