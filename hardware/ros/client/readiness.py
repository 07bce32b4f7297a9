"""Getting a cell to where its arm takes commands, by itself or with the help of a person."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from robot_rl.controllers.arbiter_modes import Mode
from robot_rl.core.errors import DeviceError
from robot_rl.hardware.cell.description import CellConfig
from robot_rl.hardware.ros.client.arbiter import LATCHED, READY, ArbiterClient
from robot_rl.hardware.ros.client.arm import RosArm

RESTART_S = 30.0
REMIND_S = 30.0
_POLL_S = 0.05


def tell_operator(text: str) -> None:
    """One line on the terminal of whoever runs the environment."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Readiness:
    """Waits for nodes that restart, for motions home to end, and for a person or the arbiter to clear a fault.

    Attributes:
        config: the cell; its `supervision` says who recovers.
        arm: of the cell.
        arbiter: of the cell.
        tell: told what a person has to do, at once and then every 30 s.
    """

    config: CellConfig
    arm: RosArm
    arbiter: ArbiterClient
    tell: Callable[[str], None] = tell_operator

    def wait_for_nodes(self) -> None:
        """Wait until arm and arbiter are heard: nodes that died come back by themselves.

        Raises:
            DeviceError: they did not within 30 s.
        """
        if not self.arm.wait_after(time.time(), RESTART_S):
            raise DeviceError(f"no reading of the arm came within {RESTART_S:g} s: is its node up? (robot-rl cell up)")
        if not self.arbiter.wait_for(set(Mode), RESTART_S):
            raise DeviceError(f"the safety arbiter was silent for {RESTART_S:g} s: is its node up? (robot-rl cell up)")

    def clear(self) -> None:
        """See to it that no fault is latched; on a supervised cell also that somebody has enabled the arm.

        Raises:
            SafetyFault: the arbiter refuses to recover; says why.
            DeviceError: nobody came, or nobody answers.
        """
        self.arbiter.wait_for(set(Mode) - {Mode.HOMING}, self.config.limits.home_timeout_s)
        if self.config.supervision == "operator":
            self._wait_for_operator()
        elif self.arbiter.mode in LATCHED:
            self.arbiter.clear()

    def make_ready(self) -> None:
        """As `clear`, and the arm is enabled.

        Raises:
            SafetyFault: the arbiter refuses; says why.
            DeviceError: as `clear`.
        """
        self.clear()
        if self.arbiter.mode not in READY:
            self.arbiter.enable()

    def _wait_for_operator(self) -> None:
        limit_s = self.config.operator_timeout_s
        end_s, told_s = time.monotonic() + limit_s, -math.inf
        while self.arbiter.mode not in READY:
            now_s = time.monotonic()
            if now_s > end_s:
                raise DeviceError(f"nobody came within {limit_s:g} s: {self.arbiter.remedy}")
            if now_s - told_s >= REMIND_S:
                self.tell(f"{self.config.name}: {self.arbiter.remedy}")
                told_s = now_s
            time.sleep(_POLL_S)
