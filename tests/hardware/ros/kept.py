"""An arm over ROS 2 that many tests share."""

from __future__ import annotations

import time
from contextlib import suppress

import numpy as np

from robot_rl.core.errors import SafetyFault
from robot_rl.core.types import ArmState, Array
from robot_rl.hardware.ros.client.arm import RosArm


class Kept:
    """An arm whose commander does not fall silent while a test waits, and which outlives the test."""

    def __init__(self, arm: RosArm) -> None:
        self.arm, self.move_joints = arm, arm.move_joints
        self._target: Array | None = None

    def state(self) -> ArmState:
        return self.arm.state()

    def set_target(self, pose_base_tcp: Array) -> None:
        self.arm.set_target(pose_base_tcp)
        self._target = np.array(pose_base_tcp)

    def hold(self) -> None:
        self._target = None
        self.arm.hold()

    def recover(self) -> None:
        self._target = None
        self.arm.recover()

    def close(self) -> None:
        self.hold()

    def wait(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while (rest_s := end_s - time.monotonic()) > 0.0:
            with suppress(SafetyFault):
                if self._target is not None:
                    self.arm.set_target(self._target)
            time.sleep(min(rest_s, 0.1))
