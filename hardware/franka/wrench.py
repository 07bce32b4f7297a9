"""From the robot's estimate of the external wrench to what the environment expects of `ArmState.wrench_tcp`."""

from __future__ import annotations

import threading
from collections import deque

import numpy as np

from robot_rl.core.errors import DeviceError
from robot_rl.core.types import Array

CUTOFF_HZ = 30.0
TARE_S = 0.1
# A larger offset is a contact, or a load that the robot has not been told of, and must not be hidden.
MAX_TARE_N, MAX_TARE_NM = 10.0, 3.0
# Faster motion disturbs the estimate.
SLOW_M_S, SLOW_RAD_S = 0.01, 0.05


class WrenchFilter:
    """Low-pass and tare of a wrench on the tool, in the tool's frame.

    The offset is kept in the tool's frame: that of a weight stays right while the tool turns about the vertical, and
    becomes wrong as it tilts. Threads may share it.

    Args:
        cutoff_hz: of the first-order low-pass.
    """

    def __init__(self, cutoff_hz: float = CUTOFF_HZ) -> None:
        self._rate_rad_s = 2.0 * np.pi * cutoff_hz
        self._filtered: Array | None = None
        self._offset = np.zeros(6)
        self._t_s = 0.0
        self._still: deque[tuple[float, Array]] = deque()
        self._lock = threading.Lock()

    @property
    def offset(self) -> Array:
        """What is taken off ``[6]``."""
        return self._offset.copy()

    @property
    def settled(self) -> bool:
        """Whether the tool has been slow for long enough to tare."""
        with self._lock:
            return len(self._still) > 1 and self._still[-1][0] - self._still[0][0] >= TARE_S

    def update(self, wrench: Array, twist: Array, t_s: float) -> Array:
        """Take a reading; the low-passed wrench without the offset ``[6]``.

        Args:
            wrench: of the world on the tool ``[6]``.
            twist: of the tool ``[6]``, in any frame.
            t_s: when, on a clock that does not run backwards.
        """
        with self._lock:
            if self._filtered is None:
                self._filtered = wrench.copy()
            blend = -np.expm1(-self._rate_rad_s * max(t_s - self._t_s, 0.0))
            self._filtered += blend * (wrench - self._filtered)
            self._t_s = t_s
            if np.linalg.norm(twist[:3]) > SLOW_M_S or np.linalg.norm(twist[3:]) > SLOW_RAD_S:
                self._still.clear()
            self._still.append((t_s, wrench.copy()))
            while len(self._still) > 2 and t_s - self._still[1][0] >= TARE_S:
                self._still.popleft()
            tared: Array = self._filtered - self._offset
        return tared

    def forget(self) -> None:
        """Start the low-pass anew, after a gap in the readings; the offset stays."""
        with self._lock:
            self._filtered = None
            self._still.clear()

    def tare(self) -> None:
        """Take the mean of the last readings as the offset.

        Raises:
            DeviceError: the tool moved, or the mean is too large to be an offset; the offset stays as it was.
        """
        if not self.settled:
            raise DeviceError(
                f"the wrench can be tared once the tool has been slow for {TARE_S} s: hold, then try again"
            )
        with self._lock:
            mean = np.mean([wrench for _, wrench in self._still], axis=0)
        force_n, torque_nm = float(np.linalg.norm(mean[:3])), float(np.linalg.norm(mean[3:]))
        if force_n > MAX_TARE_N or torque_nm > MAX_TARE_NM:
            raise DeviceError(
                f"the wrench on the resting tool is {force_n:.1f} N and {torque_nm:.1f} Nm, expected at most "
                f"{MAX_TARE_N:g} N and {MAX_TARE_NM:g} Nm: free the tool, or tell of its load with robot.load_kg"
            )
        self._offset = mean
