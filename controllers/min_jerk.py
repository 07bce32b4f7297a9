"""Minimum-jerk time law: the smoothest way from rest to rest.

``s(u) = 10 u^3 - 15 u^4 + 6 u^5`` for ``u = t / duration`` in [0, 1] (Flash and Hogan, "The coordination of arm
movements", J. Neuroscience 1985, equation 2).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from robot_rl.controllers.compiled import compiled
from robot_rl.core.errors import ConfigError

PEAK_SPEED = 15.0 / 8.0
"""Largest ``ds/du``, reached half way."""
PEAK_ACCELERATION = 10.0 / math.sqrt(3.0)
"""Largest ``d2s/du2``, reached at ``u = (1 - 1/sqrt 3) / 2``."""


@compiled
def min_jerk(elapsed_s: float, duration_s: float) -> tuple[float, float]:
    """Share of the way and its rate.

    Args:
        elapsed_s: time since the start; before it the motion rests at 0, after `duration_s` at 1.
        duration_s: of the motion; 0 jumps.

    Returns:
        Share in [0, 1], and its time derivative in 1/s.
    """
    if elapsed_s >= duration_s:
        return 1.0, 0.0
    u = max(elapsed_s, 0.0) / duration_s
    share = u * u * u * (10.0 + u * (6.0 * u - 15.0))
    rate = 30.0 * u * u * (1.0 - u) * (1.0 - u) / duration_s
    return share, rate


def min_jerk_duration(
    distance: npt.ArrayLike, max_speed: npt.ArrayLike, max_acceleration: npt.ArrayLike = math.inf
) -> float:
    """Shortest duration that keeps every coordinate within its limits.

    Args:
        distance: way of each coordinate, in rad or m, of either sign.
        max_speed: per coordinate or for all, per second, positive.
        max_acceleration: the same per second squared.

    Returns:
        Duration in s; 0 for no distance.

    Raises:
        ConfigError: a limit is not positive.
    """
    way, speed, acceleration = (np.asarray(v, np.float64) for v in (distance, max_speed, max_acceleration))
    if not ((speed > 0.0).all() and (acceleration > 0.0).all()):
        raise ConfigError(f"limits of a motion must be positive, got {speed} per s and {acceleration} per s^2")
    by_speed = PEAK_SPEED * np.abs(way) / speed
    by_acceleration = np.sqrt(PEAK_ACCELERATION * np.abs(way) / acceleration)
    return float(max(by_speed.max(initial=0.0), by_acceleration.max(initial=0.0)))
