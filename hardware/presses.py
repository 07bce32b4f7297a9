"""Buttons that are down, and those that went down and up again while nobody looked."""

from __future__ import annotations

import threading
from collections.abc import Iterable


class Presses:
    """Written by the thread that listens to a device, read once a control step; a short tap is never lost."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: frozenset[str] = frozenset()
        self._went_down: set[str] = set()

    @property
    def held(self) -> frozenset[str]:
        """Names that are down."""
        return self._held

    def update(self, held: Iterable[str]) -> None:
        """Say which names are down now, all of them."""
        with self._lock:
            now = frozenset(held)
            self._went_down |= now - self._held
            self._held = now

    def take(self) -> frozenset[str]:
        """Names that are down, or went down since the last call."""
        with self._lock:
            taken = self._held | self._went_down
            self._went_down.clear()
            return taken
