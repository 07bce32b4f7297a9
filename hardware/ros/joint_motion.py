"""Moving joints beside a Cartesian controller: a trajectory controller takes over and hands back."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from robot_rl.core.errors import DataError, DeviceError
from robot_rl.core.types import Array
from robot_rl.hardware.cell.description import RobotConfig
from robot_rl.hardware.ros import qos
from robot_rl.hardware.ros.calls import Calls
from robot_rl.hardware.ros.executor import Spinner
from robot_rl.hardware.ros.messages import joints_of

CARTESIAN, TRAJECTORY = "cartesian_impedance_controller", "joint_trajectory_controller"
ARRIVED_RAD = 0.02
SLACK_S = 5.0
STOP_S = 0.3
_POLL_S = 0.02
_ARM_JOINT = re.compile(r"(?<!finger_)joint([1-7])$")
Switch = Callable[[str, str], None]


@dataclass(frozen=True)
class ArmJoints:
    """The arm's part of a joint state.

    Attributes:
        names: of the joints, ``...joint1`` to ``...joint7``.
        q_rad: positions ``[7]``.
        dq_rad_s: velocities ``[7]``.
    """

    names: tuple[str, ...]
    q_rad: Array
    dq_rad_s: Array


def arm_joints_of(message: JointState) -> ArmJoints:
    """The joints named ``...joint1`` to ``...joint7``, in this order, whatever else is in the message.

    Raises:
        DataError: one is missing.
    """
    at = {found[1]: i for i, name in enumerate(message.name) if (found := _ARM_JOINT.search(name))}
    missing = [f"joint{i}" for i in range(1, 8) if str(i) not in at]
    if missing:
        raise DataError(f"a joint state of {list(message.name)} lacks {', '.join(missing)}")
    order = [at[str(i)] for i in range(1, 8)]
    q_rad, dq_rad_s = joints_of(message, len(message.name))
    return ArmJoints(tuple(message.name[i] for i in order), q_rad[order], dq_rad_s[order])


class JointMotion:
    """Moves joints with the standard trajectory controller.

    Args:
        spinner: whose node talks.
        space: namespace of the controllers.
        switch: told which controller to activate and which to deactivate; raises `DeviceError`.
        cartesian: name of the controller that rests meanwhile.
        trajectory: name of the one that moves.
    """

    def __init__(
        self, spinner: Spinner, space: str, switch: Switch, cartesian: str = CARTESIAN, trajectory: str = TRAJECTORY
    ) -> None:
        self._switch, self._cartesian, self._trajectory = switch, cartesian, trajectory
        topic = f"{space.rstrip('/')}/{trajectory}/joint_trajectory"
        self._out = spinner.node.create_publisher(JointTrajectory, topic, qos.COMMAND)

    def move(self, q_rad: Array, duration_s: float, read: Callable[[], ArmJoints], go_on: Callable[[], bool]) -> None:
        """Move, and hand back to the Cartesian controller. Blocks.

        Args:
            q_rad: joint positions ``[7]``.
            duration_s: of the motion.
            read: newest joints.
            go_on: asked every 20 ms; False stops the joints where they are.

        Raises:
            DeviceError: the joints did not arrive in time, or the motion was broken off.
        """
        self._switch(self._trajectory, self._cartesian)
        try:
            self._follow(np.asarray(q_rad, np.float64), duration_s, read, go_on)
        except DeviceError:
            self._send(read(), read().q_rad, STOP_S)
            time.sleep(STOP_S)
            with suppress(DeviceError):  # the first reason is the one to tell
                self._switch(self._cartesian, self._trajectory)
            raise
        self._switch(self._cartesian, self._trajectory)

    def _follow(
        self, q_rad: Array, duration_s: float, read: Callable[[], ArmJoints], go_on: Callable[[], bool]
    ) -> None:
        self._send(read(), q_rad, duration_s)
        end_s = time.monotonic() + duration_s + SLACK_S
        while (off_rad := float(np.abs(read().q_rad - q_rad).max())) > ARRIVED_RAD:
            if not go_on():
                raise DeviceError(f"the motion of the joints was broken off, {off_rad:.3f} rad from its end")
            if time.monotonic() > end_s:
                raise DeviceError(f"the joints did not arrive: {off_rad:.3f} rad off after {duration_s + SLACK_S:g} s")
            time.sleep(_POLL_S)

    def _send(self, joints: ArmJoints, q_rad: Array, duration_s: float) -> None:
        seconds, rest = divmod(round(duration_s * 1e9), 1_000_000_000)
        point = JointTrajectoryPoint(
            positions=[float(q) for q in q_rad], time_from_start=Duration(sec=seconds, nanosec=rest)
        )
        self._out.publish(JointTrajectory(joint_names=list(joints.names), points=[point]))


def find_joint_motion(spinner: Spinner, robot: RobotConfig) -> JointMotion | None:
    """With the controller manager of the robot; None if ``controller_manager_msgs`` is not installed."""
    try:
        services = import_module("controller_manager_msgs.srv")
    except ModuleNotFoundError:
        return None
    space, calls = robot.controller.rstrip("/"), Calls(spinner)

    def switch(activate: str, deactivate: str) -> None:
        request: Any = services.SwitchController.Request()
        request.activate_controllers, request.deactivate_controllers = [activate], [deactivate]
        request.strictness = request.STRICT
        answer = calls.call(services.SwitchController, f"{space}/controller_manager/switch_controller", request)
        if not answer.ok:
            raise DeviceError(f"the controller manager does not switch from {deactivate} to {activate}")

    return JointMotion(spinner, space, switch)
