"""From what a six-axis device reports to motion that is zero when the operator means zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from robot_rl.core.config import Range, check_ranges
from robot_rl.core.types import Array


@dataclass(frozen=True)
class AxisConfig:
    """How readings are cleaned.

    Attributes:
        dead_band: deflection below which an axis rests; what is above is stretched to the full range.
        static_s: a device that has not reported for so long is at rest, whatever its last report said: its report of
            zero may be lost.
        bias_s: time constant with which the reading at rest is learned.
    """

    dead_band: Annotated[float, Range(0.0, 0.9)] = 0.08
    static_s: Annotated[float, Range(0.02, 10.0)] = 0.25
    bias_s: Annotated[float, Range(0.01, 100.0)] = 1.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


class AxisFilter:
    """Removes the bias at rest, the dead band and deflections that are no longer reported.

    Args:
        config: see there.

    Attributes:
        bias: of the axes at rest ``[n]``, never larger than the dead band.
    """

    def __init__(self, config: AxisConfig, n: int = 6) -> None:
        self._config = config
        self.bias: Array = np.zeros(n)
        self._reported_s: float | None = None
        self._last_s: float | None = None

    def update(self, raw: Array, t_s: float, *, reported: bool) -> Array:
        """Motion now ``[n]`` in [-1, 1].

        Args:
            raw: last reported deflection of each axis ``[n]``, about 1 at full deflection.
            t_s: time now, of a clock that does not run backwards.
            reported: whether the device has reported since the last call.
        """
        if reported or self._reported_s is None:
            self._reported_s = t_s
        passed_s = 0.0 if self._last_s is None else t_s - self._last_s
        self._last_s = t_s
        if not np.isfinite(raw).all():
            return np.zeros_like(self.bias)
        if np.abs(raw).max() <= self._config.dead_band:
            # only here is the device known to be at rest, which bounds the bias by the dead band
            self.bias += -np.expm1(-passed_s / self._config.bias_s) * (raw - self.bias)
            return np.zeros_like(self.bias)
        if t_s - self._reported_s >= self._config.static_s:
            return np.zeros_like(self.bias)
        return dead_band(raw - self.bias, self._config.dead_band)


def dead_band(deflection: Array, width: float) -> Array:
    """Zero within `width` of zero; from there it rises evenly to 1 at a deflection of 1, and stays there.

    Args:
        deflection: any finite numbers.
        width: at least 0 and less than 1.
    """
    above = np.maximum(np.abs(deflection) - width, 0.0) / (1.0 - width)
    return np.sign(deflection) * np.minimum(above, 1.0)
