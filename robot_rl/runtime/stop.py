"""Ctrl-C and SIGTERM as a flag that loops look at, so that a run ends between two steps and saves."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class StopFlag:
    """Set once somebody asked the program to end.

    Attributes:
        requested: end at the next good place, such as the end of the episode.
        urgent: asked again: end after this step.
    """

    def __init__(self) -> None:
        self.requested = False
        self.urgent = False

    def set(self) -> None:
        """Ask for the end; twice for soon."""
        self.urgent = self.requested
        self.requested = True


class ParentFlag(StopFlag):
    """Also set when the process that started this one is gone."""

    def __init__(self, parent: int, inner: StopFlag) -> None:
        self._parent = parent
        self._inner = inner

    @property
    def requested(self) -> bool:  # type: ignore[override]
        """Somebody asked to end, or nobody is left who could."""
        return self._inner.requested or self._orphaned

    @property
    def urgent(self) -> bool:  # type: ignore[override]
        """Somebody asked again, or nobody is left to send anything to."""
        return self._inner.urgent or self._orphaned

    @property
    def _orphaned(self) -> bool:
        return os.getppid() != self._parent


@contextmanager
def stop_on_signals() -> Iterator[StopFlag]:
    """Turn SIGINT and SIGTERM into a flag while inside; a third one has its usual effect."""
    flag = StopFlag()
    before: dict[signal.Signals, Any] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        if flag.urgent:
            for s, old in before.items():
                signal.signal(s, old)
            raise KeyboardInterrupt
        flag.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, handle)
    try:
        yield flag
    finally:
        for number, old in before.items():
            signal.signal(number, old)
