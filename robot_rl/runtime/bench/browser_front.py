"""The console's front, with a clock beside the keys."""

from __future__ import annotations

import time

from robot_rl.console.door_messages import Hands
from robot_rl.console.front import Front


class WatchedFront(Front):
    """Knows when the last key went down, by the page's clock, which is this machine's."""

    _began_s = 0.0
    _keys: tuple[str, ...] = ()

    def hands(self, client: int, hands: Hands) -> None:
        """What his hands do."""
        if hands.keys and not self._keys:
            self._began_s = hands.at_s + time.perf_counter() - time.time()
        self._keys = hands.keys
        super().hands(client, hands)

    def began_s(self) -> float:
        """When that was, by `time.perf_counter`."""
        return self._began_s
