"""How far a long piece of work has come and how long it will still take, on one line of the terminal."""

from __future__ import annotations

import sys
import time


class Meter:
    """Shows progress on stderr: in a terminal a line that is written over, elsewhere a line for each tenth.

    Args:
        what: is being done, for example ``labelling``.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._began_s = time.monotonic()
        self._shown_s = 0.0
        self._tenth = 0
        self._live = sys.stderr.isatty()

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """So much is done.

        Args:
            done: pieces.
            total: of how many, the same in every call.
            note: what else is known.
        """
        now_s = time.monotonic()
        tenth = 10 * done // max(total, 1)
        due = now_s - self._shown_s > 0.1 or done >= total if self._live else tenth > self._tenth
        if not due:
            return
        self._shown_s, self._tenth = now_s, tenth
        left_s = (now_s - self._began_s) / done * (total - done) if done else 0.0
        text = f"{self._what}: {done} of {total}, {clock(left_s)} left{f', {note}' if note else ''}"
        if self._live:
            print(f"\r\x1b[K{text}", end="\n" if done >= total else "", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)


def clock(seconds: float) -> str:
    """A duration as ``m:ss`` or ``h:mm:ss``."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02d}:{s:02d}" if hours else f"{m}:{s:02d}"
