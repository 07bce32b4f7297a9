"""Arm and gripper of a simulated cell in real time, as drivers that nodes drive like those of a robot."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from robot_rl.controllers.arbiter_readings import RobotMode
from robot_rl.controllers.min_jerk import min_jerk_duration
from robot_rl.controllers.safety import check_pose
from robot_rl.core.errors import DeviceError, SafetyFault
from robot_rl.core.types import ArmState, Array, GripperState
from robot_rl.hardware.drivers import always
from robot_rl.hardware.mujoco.realtime import RealtimePlant

MAX_JOINT_SPEED_RAD_S = 1.0
POLL_S = 0.005


class RealtimeArm:
    """`robot_rl.hardware.drivers.ArmDriver` on a simulation.

    The simulated robot never refuses by itself. `emulate` has it say what a real one says after a collision or with its
    user stop pressed, so that what must happen then can be tried.

    Args:
        plant: outlives this.
        sleep: lets time pass during `move_joints`.
    """

    def __init__(self, plant: RealtimePlant, sleep: Callable[[float], None] = time.sleep) -> None:
        self._plant, self._sleep = plant, sleep
        self._mode = RobotMode.READY

    def state(self) -> ArmState:
        """The newest reading; physics first catches up with the clock.

        Raises:
            DeviceError: the simulation is unstable until it is reset.
        """
        with self._plant.lock:
            self._plant.advance()
            seen = self._plant.cell.arm.state()
            fault = seen.fault if self._mode is RobotMode.READY else self._mode.value
            return replace(seen, t_s=self._plant.wall_time_s(seen.t_s), fault=fault)

    def set_target(self, pose_base_tcp: Array) -> None:
        """Track a pose; see `robot_rl.core.protocols.Arm`."""
        target = check_pose(pose_base_tcp)
        with self._plant.lock:
            if self._mode is not RobotMode.READY:
                raise SafetyFault(f"the robot is {self._mode.value} and takes no target", self._mode.value)
            self._plant.advance()
            self._plant.cell.arm.set_target(target)

    def hold(self) -> None:
        """Stay at the measured pose; breaks a motion off."""
        with self._plant.lock:
            self._plant.advance()
            self._plant.cell.arm.hold()

    def move_joints(self, q_rad: Array, duration_s: float, go_on: Callable[[], bool] = always) -> None:
        """Minimum-jerk joint motion in real time, then hold; others may use the cell meanwhile.

        Raises:
            DeviceError: the goal is none, or the motion was broken off.
        """
        goal = np.asarray(q_rad, np.float64)
        loop = self._plant.sim.loop
        with self._plant.lock:
            self.hold()
            if self._mode is not RobotMode.READY:
                raise SafetyFault(f"the robot is {self._mode.value} and does not move", self._mode.value)
            way = goal - loop.q_rad if goal.shape == (7,) else 0.0
            shortest_s = float(np.nan_to_num(min_jerk_duration(way, MAX_JOINT_SPEED_RAD_S)))
            loop.start_joint_motion(goal, max(duration_s, shortest_s))
            resets = self._plant.resets
        try:
            while self._moving(resets):
                if not go_on():
                    raise DeviceError("the motion of the joints was broken off")
                self._sleep(POLL_S)
        finally:
            self.hold()

    def recover(self) -> None:
        """Clear an emulated reflex; the arm then holds.

        Raises:
            DeviceError: the emulated robot was stopped by something that only a person undoes.
        """
        if self._mode not in (RobotMode.READY, RobotMode.REFLEX):
            raise DeviceError(f"the robot is {self._mode.value}, which is undone at the robot, not from here")
        self._mode = RobotMode.READY
        self.hold()

    def robot_mode(self) -> RobotMode:
        """READY, or what `emulate` was told."""
        return self._mode

    def emulate(self, mode: RobotMode) -> None:
        """Be in a mode from now on; unless it is READY the arm holds and takes no targets."""
        if mode is not self._mode:
            self._mode = mode
            self.hold()

    def health(self) -> Mapping[str, str]:
        """How well the simulation keeps up."""
        return self._plant.report().facts()

    def close(self) -> None:
        """Nothing to release: the plant is others' too."""

    def _moving(self, resets: int) -> bool:
        with self._plant.lock:
            self._plant.advance()
            if self._plant.resets != resets or self._plant.sim.loop.mode != "joint":
                raise DeviceError("the motion of the joints was broken off by another command")
            return not self._plant.sim.loop.joint_motion_done


class RealtimeGripper:
    """`robot_rl.hardware.drivers.GripperDriver` on a simulation.

    Args:
        plant: outlives this.
    """

    def __init__(self, plant: RealtimePlant) -> None:
        self._plant = plant

    def state(self) -> GripperState:
        """The newest reading; physics first catches up with the clock."""
        with self._plant.lock:
            self._plant.advance()
            seen = self._plant.cell.gripper.state()
            return replace(seen, t_s=self._plant.wall_time_s(seen.t_s))

    def command(self, width_m: float) -> None:
        """Move towards an opening; see `robot_rl.core.protocols.Gripper`."""
        with self._plant.lock:
            self._plant.advance()
            self._plant.cell.gripper.command(width_m)

    def home(self) -> None:
        """A simulated gripper knows its end stops."""

    def health(self) -> Mapping[str, str]:
        """Nothing beyond the state."""
        return {}

    def close(self) -> None:
        """Nothing to release: the plant is others' too."""
