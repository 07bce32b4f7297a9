"""An arm behind ros2_control: a Cartesian controller that takes ``target_pose``, such as CRISP's, beside franka_ros2.

The controller and the broadcasters run in a namespace of their own (``robot.controller``); this driver talks to their
topics, and an arm node offers it to the cell like any other arm. So the one commander of the controller is this driver,
which holds the arm when the cell's arbiter falls silent: such controllers keep the last target for ever.

What is read, best effort, because franka_ros2's publishers are:
    ``current_pose`` (PoseStamped) and ``joint_states`` (JointState; the joints ``...joint1`` to ``...joint7`` are
    picked by name), both needed.
    ``current_twist`` (TwistStamped) in the base frame, or, where that is absent, differences of the pose.
    ``<broadcaster>/external_wrench_in_stiffness_frame`` (WrenchStamped), needed: what the robot exerts on the world, in
    the stiffness frame, which franka_ros2 puts where the end effector's is. Its sign is turned, it is low-passed and
    tared.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped, TwistStamped, WrenchStamped
from sensor_msgs.msg import JointState

from robot_rl.controllers.arbiter_readings import RobotMode
from robot_rl.controllers.safety import check_pose
from robot_rl.controllers.se3 import quat_between, quat_to_rotvec
from robot_rl.core.errors import DataError, DeviceError, SafetyFault
from robot_rl.core.types import ArmState, Array
from robot_rl.hardware.cell.description import CellConfig
from robot_rl.hardware.drivers import always
from robot_rl.hardware.franka.wrench import WrenchFilter
from robot_rl.hardware.ros import names, qos
from robot_rl.hardware.ros.client.heard import Heard, Newest
from robot_rl.hardware.ros.executor import Spinner
from robot_rl.hardware.ros.franka_ros2 import Reflexes, find_franka
from robot_rl.hardware.ros.joint_motion import JointMotion, arm_joints_of, find_joint_motion
from robot_rl.hardware.ros.messages import pose_message, pose_of, seconds_of, twist_of, wrench_of

FRESH_S = 0.2
FIRST_S = 5.0
TWIST_S = 0.02


class Ros2ControlArm:
    """`robot_rl.hardware.drivers.ArmDriver` over the topics of a Cartesian controller.

    Limits: without ``franka_msgs`` the robot's own mode is unknown, and it counts as ready while its states are fresh;
    without ``controller_manager_msgs`` there are no motions of the joints.

    Args:
        config: the cell.
        first_s: how long to wait for the first states.
        reflexes: of the robot; None to look for franka_ros2's messages.
        joint_motion: moves joints; None to look for the messages of the controller manager.

    Raises:
        DeviceError: a topic stayed silent; names it.
    """

    def __init__(
        self,
        config: CellConfig,
        *,
        first_s: float = FIRST_S,
        reflexes: Reflexes | None = None,
        joint_motion: JointMotion | None = None,
    ) -> None:
        self._robot, self._slope = config.robot, PoseSlope()
        self._spinner = Spinner("arm_driver", config)
        node, broadcaster = self._spinner.node, f"{config.robot.controller}/{config.robot.broadcaster}"
        self._pose = Newest(node, PoseStamped, self._name(names.CURRENT_POSE), self._tool)
        self._joints = Newest(node, JointState, self._name(names.JOINT_STATES), arm_joints_of)
        self._twist = Newest(node, TwistStamped, self._name(names.CURRENT_TWIST), self._twist_base)
        self._wrench = Newest(node, WrenchStamped, f"{broadcaster}/external_wrench_in_stiffness_frame", wrench_of)
        self._targets = node.create_publisher(PoseStamped, self._name(names.TARGET_POSE), qos.COMMAND)
        self._filter = WrenchFilter()
        self._tared, self._tare_problem = False, "the tool has not been at rest yet"
        self._closed = False
        end_s = time.monotonic() + first_s
        silent = [
            topic.topic
            for topic in (self._pose, self._joints, self._wrench)
            if not topic.wait(lambda _: True, max(end_s - time.monotonic(), 0.0))
        ]
        if silent:
            self._spinner.close()
            raise DeviceError(f"nothing was heard on {', '.join(silent)}: start ros2_control with its broadcasters")
        self._reflexes = reflexes or find_franka(self._spinner, config.robot)
        self._joint_motion = joint_motion or find_joint_motion(self._spinner, config.robot)

    def state(self) -> ArmState:
        """The newest reading, stamped with the oldest of the stamps of pose, joints and wrench."""
        pose, joints, wrench = self._pose.read(), self._joints.read(), self._wrench.read()
        (pose_base_tcp, slope), twist = pose.value, self._twist.newest
        twist_base = slope.copy() if twist is None or twist.age_s > FRESH_S else twist.value.copy()
        wrench_tcp = self._filter.update(-wrench.value, twist_base, wrench.t_s)
        if not self._tared and self._filter.settled:
            self._tare()
        mode = self.robot_mode()
        fault = None if mode is RobotMode.READY else mode.value
        t_s = min(_time_of(heard) for heard in (pose, joints, wrench))
        q_rad, dq_rad_s = joints.value.q_rad.copy(), joints.value.dq_rad_s.copy()
        return ArmState(q_rad, dq_rad_s, pose_base_tcp.copy(), twist_base, wrench_tcp, t_s, fault)

    def robot_mode(self) -> RobotMode:
        """Of the robot; unavailable when its states are old."""
        if any(topic.read().age_s > FRESH_S for topic in (self._pose, self._joints, self._wrench)):
            return RobotMode.UNAVAILABLE
        return RobotMode.READY if self._reflexes is None else self._reflexes.robot_mode()

    def set_target(self, pose_base_tcp: Array) -> None:
        """Send a target; see `robot_rl.core.protocols.Arm`.

        Raises:
            DeviceError: the pose is none, or somebody else commands the controller too.
            SafetyFault: the robot is not ready.
        """
        pose = check_pose(pose_base_tcp)
        if self._closed:
            raise DeviceError("the arm is closed: connect again")
        mode = self.robot_mode()
        if mode is not RobotMode.READY:
            raise SafetyFault(f"the robot is {mode.value} and takes no targets", mode.value)
        commanders = self._spinner.node.count_publishers(self._name(names.TARGET_POSE))
        if commanders > 1:
            raise DeviceError(f"{self._name(names.TARGET_POSE)} has {commanders} publishers, expected this one alone")
        self._targets.publish(pose_message(pose, self._robot.controller_frame, time.time()))

    def hold(self) -> None:
        """Make the measured pose the target."""
        if not self._closed:
            pose, _ = self._pose.read().value
            self._targets.publish(pose_message(pose, self._robot.controller_frame, time.time()))

    def move_joints(self, q_rad: Array, duration_s: float, go_on: Callable[[], bool] = always) -> None:
        """Move the joints by a trajectory controller, which takes over meanwhile.

        Raises:
            DeviceError: there is none, or the arm did not arrive.
        """
        if self._joint_motion is None:
            raise DeviceError("the joints cannot be moved: controller_manager_msgs is not installed in this workspace")
        self._joint_motion.move(q_rad, duration_s, lambda: self._joints.read().value, go_on)
        self.hold()

    def recover(self) -> None:
        """Have the robot clear its errors, then hold and tare.

        Raises:
            DeviceError: it needs a person, or it did not.
        """
        mode = self.robot_mode()
        if mode is RobotMode.REFLEX and self._reflexes is not None:
            self._reflexes.recover()
        elif mode is not RobotMode.READY:
            raise DeviceError(f"the robot is {mode.value}: see to it at the robot first")
        self.hold()
        self._tare()

    def health(self) -> Mapping[str, str]:
        """What is known and what is not."""
        age_s = max(topic.read().age_s for topic in (self._pose, self._joints, self._wrench))
        guessed, no_motion = self._reflexes is None, self._joint_motion is None
        return {
            "controller": self._name(names.TARGET_POSE),
            "takers of targets": str(self._targets.get_subscription_count()),
            "oldest state_s": f"{age_s:.3f}",
            "robot mode": "guessed from fresh states: franka_msgs is not installed" if guessed else "told",
            "joint motions": "none: controller_manager_msgs is not installed" if no_motion else "possible",
            "wrench offset": str(np.round(self._filter.offset, 2).tolist()),
            "wrench is not tared": self._tare_problem,
        }

    def close(self) -> None:
        """Hold, and leave the graph. May be called twice."""
        if not self._closed:
            self.hold()
            self._closed = True
            self._spinner.close()

    def _tare(self) -> None:
        """Take off what is read at rest; what is too large for an offset is a contact, and stays."""
        try:
            self._filter.tare()
        except DeviceError as e:
            self._tare_problem = str(e)
        else:
            self._tare_problem = ""
        self._tared = True

    def _name(self, topic: str) -> str:
        return f"{self._robot.controller.rstrip('/')}/{topic}"

    def _tool(self, message: PoseStamped) -> tuple[Array, Array]:
        """Pose and its slope; every message counts for the slope, also those that nobody reads."""
        pose = check_pose(pose_of(message))
        stamp_s = seconds_of(message.header.stamp)
        return pose, self._slope.update(pose, stamp_s if stamp_s > 0.0 else time.time())

    def _twist_base(self, message: TwistStamped) -> Array:
        frame = message.header.frame_id
        if frame not in ("", self._robot.controller_frame):
            raise DataError(f"a twist is in the frame {frame!r}, expected {self._robot.controller_frame!r}")
        return twist_of(message)


class PoseSlope:
    """Velocity from poses: their differences, low-passed.

    Args:
        time_constant_s: of the low-pass.
    """

    def __init__(self, time_constant_s: float = TWIST_S) -> None:
        self._time_constant_s = time_constant_s
        self._last: tuple[Array, float] | None = None
        self._twist: Array = np.zeros(6)

    def update(self, pose: Array, t_s: float) -> Array:
        """Take a pose ``[7]``; the twist ``[6]`` in the frame of the pose. The same time may be given twice."""
        if self._last is None or t_s <= self._last[1]:
            if self._last is None:
                self._last = pose.copy(), t_s
            return self._twist.copy()
        before, before_s = self._last
        passed_s = t_s - before_s
        turn = quat_to_rotvec(quat_between(before[3:], pose[3:]))
        slope = np.concatenate([pose[:3] - before[:3], turn]) / passed_s
        self._twist = self._twist - np.expm1(-passed_s / self._time_constant_s) * (slope - self._twist)
        self._last = pose.copy(), t_s
        return self._twist.copy()


def _time_of(heard: Heard[Any]) -> float:
    """Its stamp; some publishers send none."""
    return heard.t_s if heard.t_s > 0.0 else time.time() - heard.age_s
