"""Watchdog and force guard: faults that latch, and stay until someone recovers them on purpose."""

from __future__ import annotations

import math
from enum import Enum

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import ConfigError, DeviceError


class CommandState(Enum):
    """What the watchdog asks of the arm."""

    FOLLOW = "follow"
    HOLD = "hold"
    FAULT = "fault"


class Watchdog:
    """Guards against a policy that stopped talking. It keeps no clock of its own.

    It rests until the first command, and again after `rest`: a pause on purpose is no fault.

    Example:
        >>> dog = Watchdog()
        >>> dog.feed(10.0)
        >>> dog.check(10.1), dog.check(10.3), dog.check(11.5)
        (<CommandState.FOLLOW: 'follow'>, <CommandState.HOLD: 'hold'>, <CommandState.FAULT: 'fault'>)

    Args:
        hold_after_s: age of the last command from which the arm is to hold.
        fault_after_s: age from which it is to freeze at the measured pose, with a latched fault.

    Raises:
        ConfigError: the times are not positive and in order.
    """

    FAULT = "command_timeout"

    def __init__(self, hold_after_s: float = 0.2, fault_after_s: float = 1.0) -> None:
        if not 0.0 < hold_after_s <= fault_after_s:
            raise ConfigError(f"watchdog needs 0 < hold <= fault, got {hold_after_s} s and {fault_after_s} s")
        self.hold_after_s, self.fault_after_s = hold_after_s, fault_after_s
        self._last_s: float | None = None
        self._latched = False

    @property
    def fault(self) -> str | None:
        """Name of the latched fault."""
        return self.FAULT if self._latched else None

    def feed(self, t_s: float) -> None:
        """A command arrived. Does not clear a fault.

        Raises:
            DeviceError: the command is older than one before it.
        """
        if not math.isfinite(t_s) or (self._last_s is not None and t_s < self._last_s):
            raise DeviceError(f"command of t = {t_s} s is out of order: the last was of t = {self._last_s} s")
        if self._latched or self.check(t_s) is CommandState.FAULT:
            return
        self._last_s = t_s

    def check(self, t_s: float) -> CommandState:
        """What to do at this time; latches the fault."""
        if self._latched:
            return CommandState.FAULT
        if self._last_s is None:
            return CommandState.HOLD
        age_s = t_s - self._last_s
        self._latched = age_s >= self.fault_after_s
        if self._latched:
            return CommandState.FAULT
        return CommandState.HOLD if age_s >= self.hold_after_s else CommandState.FOLLOW

    def rest(self) -> None:
        """Commands pause on purpose, for instance between episodes. Does not clear a fault."""
        self._last_s = None

    def recover(self) -> None:
        """Clear the fault and rest until the next command."""
        self._last_s, self._latched = None, False


class ForceGuard:
    """Latches a fault when the low-passed external force or torque gets too large.

    The 1 ms peak of an impact is no measure of harm: it is momentum over sampling time. The guard therefore filters.

    Example:
        >>> guard = ForceGuard(max_force_n=30.0, cutoff_hz=None)
        >>> guard.update([0, 0, 40, 0, 0, 0], dt_s=0.001)
        'force_limit'

    Args:
        max_force_n: limit of the norm of the force.
        max_torque_nm: limit of the norm of the torque.
        cutoff_hz: of the first-order low-pass; None for readings that are filtered already.

    Raises:
        ConfigError: a limit is not positive.
    """

    FAULT = "force_limit"

    def __init__(self, max_force_n: float, max_torque_nm: float = math.inf, cutoff_hz: float | None = 30.0) -> None:
        if not (max_force_n > 0.0 and max_torque_nm > 0.0 and (cutoff_hz is None or cutoff_hz > 0.0)):
            raise ConfigError(
                f"force guard limits must be positive, got {max_force_n} N, {max_torque_nm} Nm, {cutoff_hz} Hz"
            )
        self.max_force_n, self.max_torque_nm, self.cutoff_hz = max_force_n, max_torque_nm, cutoff_hz
        self._filtered = np.zeros(6)
        self._latched = False

    @property
    def fault(self) -> str | None:
        """Name of the latched fault."""
        return self.FAULT if self._latched else None

    def update(self, wrench: npt.ArrayLike, dt_s: float) -> str | None:
        """Take in a reading.

        Args:
            wrench: ``[6]`` in N and Nm, in any frame that stays the same.
            dt_s: time since the last reading.

        Returns:
            Name of the latched fault, or None. A reading that is not finite is a fault too.
        """
        reading = np.asarray(wrench, np.float64)
        if reading.shape != (6,):
            raise DeviceError(f"a wrench has 6 values, got an array of shape {list(reading.shape)}")
        blend = 1.0 if self.cutoff_hz is None else -math.expm1(-2.0 * math.pi * self.cutoff_hz * dt_s)
        filtered = self._filtered + blend * (reading - self._filtered)
        # Written so that nan, which compares false, latches.
        within = math.hypot(*filtered[:3]) <= self.max_force_n and math.hypot(*filtered[3:]) <= self.max_torque_nm
        self._latched = self._latched or not within
        self._filtered = filtered if np.isfinite(filtered).all() else np.zeros(6)
        return self.fault

    def recover(self) -> None:
        """Clear the fault and forget the readings."""
        self._filtered, self._latched = np.zeros(6), False
