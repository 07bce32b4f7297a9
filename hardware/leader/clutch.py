"""When the person at a leader arm has taken over by moving it."""

from __future__ import annotations

import math

import numpy as np

from robot_rl.controllers.se3 import tool_delta
from robot_rl.core.types import Array


class MotionClutch:
    """Closes when the tool moves, opens when it has stood still for a while.

    Args:
        engage_m_s: speed above which the tool moves.
        engage_rad_s: turn above which it does.
        release_s: stillness after which it is let go of.
    """

    def __init__(self, engage_m_s: float, engage_rad_s: float, release_s: float) -> None:
        self._engage_m_s, self._engage_rad_s, self._release_s = engage_m_s, engage_rad_s, release_s
        self.begin_anew()

    def begin_anew(self) -> None:
        """Nothing is known of the tool: it counts as let go of."""
        self._pose: Array | None = None
        self._seen_s, self._moved_s = 0.0, -math.inf

    def update(self, pose: Array, t_s: float) -> bool:
        """Whether it is closed.

        Args:
            pose: of the tool ``[7]``.
            t_s: when it was there; a pose of the same time says nothing new.
        """
        passed_s = t_s - self._seen_s
        if self._pose is None or passed_s > 0.0:
            if self._pose is not None:
                way = tool_delta(self._pose, pose)
                fast = np.linalg.norm(way[:3]) > self._engage_m_s * passed_s
                turning = np.linalg.norm(way[3:]) > self._engage_rad_s * passed_s
                self._moved_s = t_s if fast or turning else self._moved_s
            self._pose, self._seen_s = pose, t_s
        return t_s - self._moved_s <= self._release_s
