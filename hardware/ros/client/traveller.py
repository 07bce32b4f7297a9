"""Brings a real or emulated arm to the start of an episode, through the arbiter like any commander."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import numpy as np

from robot_rl.core.errors import DeviceError
from robot_rl.core.protocols import Gripper
from robot_rl.core.types import ArmState, Array
from robot_rl.hardware.cell.description import CellConfig
from robot_rl.hardware.ros.client.arbiter import ArbiterClient
from robot_rl.hardware.ros.client.arm import RosArm
from robot_rl.hardware.ros.client.clock import WallClock
from robot_rl.hardware.ros.client.travel import RATE_HZ, lifted, near, route, timed

ARRIVED_M, ARRIVED_RAD = 0.0015, 0.02
AT_REST_M_S, AT_REST_RAD_S = 0.005, 0.008
ACCEPTED_M, ACCEPTED_RAD = 0.005, 0.04
SETTLE_S = 2.0
GRIP_S, GRIP_M = 5.0, 0.002
_POLL_S = 0.02


class Traveller:
    """Lifts, travels, settles.

    Args:
        config: the cell, for speed, clearance and workspace.
        arm: of the cell.
        arbiter: of the cell.
        clock: that paces the targets.
    """

    def __init__(self, config: CellConfig, arm: RosArm, arbiter: ArbiterClient, clock: WallClock) -> None:
        self._world, self._ceiling_m = config.world, config.limits.box_max_m[2] - config.limits.reach_m
        self._arm, self._arbiter, self._clock = arm, arbiter, clock

    def lift(self) -> None:
        """Straight up by the clearance, as far as the workspace allows, and wait until the tool is there.

        Nothing may be moved under a tool that is not free yet: an arm can be later than its targets.

        Raises:
            SafetyFault: a fault is latched.
            DeviceError: the tool did not come up.
        """
        here = self._here()
        top = lifted(here, min(here[2] + self._world.clearance_m, max(self._ceiling_m, here[2])))
        self._follow(timed(here, top, self._world.travel_m_s))
        self._follow(self._until(top, lambda state: bool(state.pose_base_tcp[2] > top[2] - ACCEPTED_M)))
        below_mm = 1e3 * (top[2] - self._here()[2])
        if below_mm > 1e3 * ACCEPTED_M:
            raise DeviceError(f"the tool is {below_mm:.0f} mm below where it was to be lifted: is it stuck?")

    def go_to(self, pose_base_tcp: Array) -> None:
        """Up to the height of the goal, across, down, and wait until the tool is at rest there.

        Raises:
            SafetyFault: a fault is latched.
            DeviceError: the tool did not get there.
        """
        last = self._here()
        for corner in route(last, pose_base_tcp, 0.0, self._ceiling_m):
            self._follow(timed(last, corner, self._world.travel_m_s))
            last = corner
        self._follow(self._until(pose_base_tcp, lambda state: _at_rest(state, pose_base_tcp)))
        here = self._here()
        if not near(here, pose_base_tcp, ACCEPTED_M, ACCEPTED_RAD):
            off_mm = 1e3 * float(np.linalg.norm(here[:3] - pose_base_tcp[:3]))
            raise DeviceError(f"the tool is {off_mm:.1f} mm from the start of the episode: is something in its way?")

    def grip(self, gripper: Gripper, width_m: float) -> None:
        """Set the gripper's opening and wait for it; something between the fingers may keep them further apart.

        Raises:
            DeviceError: it did not open that far.
        """
        gripper.command(width_m)
        end_s = time.monotonic() + GRIP_S
        while abs(gripper.state().width_m - width_m) > GRIP_M:
            if time.monotonic() > end_s:
                break
            time.sleep(_POLL_S)
        if gripper.state().width_m < width_m - GRIP_M:
            raise DeviceError(f"the gripper is {gripper.state().width_m:.4f} m wide, expected {width_m:.4f} m")

    def _until(self, pose_base_tcp: Array, there: Callable[[ArmState], bool]) -> Iterable[Array]:
        for _ in range(round(SETTLE_S * RATE_HZ)):
            yield pose_base_tcp
            if there(self._arm.state()):
                return

    def _follow(self, targets: Iterable[Array]) -> None:
        tick_s = self._clock.now_s()
        for pose in targets:
            self._arm.set_target(pose)
            tick_s += 1.0 / RATE_HZ
            self._clock.sleep_until(tick_s)

    def _here(self) -> Array:
        return self._arm.state().pose_base_tcp


def _at_rest(state: ArmState, pose_base_tcp: Array) -> bool:
    arrived = near(state.pose_base_tcp, pose_base_tcp, ARRIVED_M, ARRIVED_RAD)
    speed_m_s, rate_rad_s = np.linalg.norm(state.twist_base_tcp.reshape(2, 3), axis=1)
    return arrived and bool(speed_m_s < AT_REST_M_S and rate_rad_s < AT_REST_RAD_S)
