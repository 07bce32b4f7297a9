"""The arm of a cell on ROS 2, as an environment sees it."""

from __future__ import annotations

import time

from geometry_msgs.msg import PoseStamped, TwistStamped, WrenchStamped
from sensor_msgs.msg import JointState

from robot_rl.controllers.safety import check_pose
from robot_rl.core.errors import DeviceError, SafetyFault
from robot_rl.core.types import ArmState, Array
from robot_rl.hardware.ros import names
from robot_rl.hardware.ros.calls import Calls
from robot_rl.hardware.ros.client.arbiter import READY, ArbiterClient
from robot_rl.hardware.ros.client.heard import Newest
from robot_rl.hardware.ros.executor import Spinner
from robot_rl.hardware.ros.messages import joints_of, pose_of, twist_of, wrench_of

ARM_NODE = "arm"


class RosArm:
    """Readings of the arm node, targets by way of the safety arbiter.

    A reading is put together from four topics; its time is the oldest of their stamps. `ArmState.fault` is what the
    arbiter has latched, ``disabled``, or ``arbiter_silent``. After a target has been set, others must follow or `hold`
    be called: the arbiter takes a silent commander for a broken one.

    Args:
        spinner: whose node talks; closed with the arm.
        calls: through which services are called.
        arbiter: of the cell.
        home_timeout_s: for a motion of the joints beyond the duration asked for.
    """

    def __init__(self, spinner: Spinner, calls: Calls, arbiter: ArbiterClient, home_timeout_s: float = 30.0) -> None:
        node = spinner.node
        self._spinner, self._calls, self._arbiter = spinner, calls, arbiter
        self._home_timeout_s = home_timeout_s
        self._pose = Newest(node, PoseStamped, names.CURRENT_POSE, pose_of)
        self._twist = Newest(node, TwistStamped, names.CURRENT_TWIST, twist_of)
        self._joints = Newest(node, JointState, names.JOINT_STATES, lambda m: joints_of(m, 7))
        self._wrench = Newest(node, WrenchStamped, names.EXTERNAL_WRENCH, wrench_of)
        self._commanding = self._closed = False

    @property
    def unheard(self) -> list[str]:
        """Topics on which there has been nothing."""
        return [t.topic for t in (self._pose, self._twist, self._joints, self._wrench) if t.newest is None]

    def state(self) -> ArmState:
        """The newest reading.

        Raises:
            DeviceError: a topic was never heard; names it.
        """
        pose, twist, joints, wrench = self._pose.read(), self._twist.read(), self._joints.read(), self._wrench.read()
        q_rad, dq_rad_s = joints.value
        t_s = min(pose.t_s, twist.t_s, joints.t_s, wrench.t_s)
        fault = self._arbiter.fault
        return ArmState(
            q_rad.copy(), dq_rad_s.copy(), pose.value.copy(), twist.value.copy(), wrench.value.copy(), t_s, fault
        )

    def set_target(self, pose_base_tcp: Array) -> None:
        """Tell the arbiter where the tool should be; see `robot_rl.core.protocols.Arm`.

        Raises:
            DeviceError: the pose is not finite or its quaternion not of unit length, or the cell is closed.
            SafetyFault: the arbiter has latched a fault, is disabled or silent.
        """
        pose = check_pose(pose_base_tcp)
        self._check_open()
        fault = self._arbiter.fault
        if fault is not None:
            raise SafetyFault(self._arbiter.remedy, fault)
        self._arbiter.wish(pose)
        self._commanding = True

    def hold(self) -> None:
        """Call the arm to where it is measured, and let it go. Blocks for some ticks of the arbiter.

        No error if there is no arbiter that could be told: the arm then stands anyway.
        """
        if self._closed:
            return
        if self._commanding and self._arbiter.fault is None:
            self._arbiter.bring(self._pose.read().value)
        self._commanding = False
        self._arbiter.release()

    def move_joints(self, q_rad: Array, duration_s: float) -> None:
        """Move to a joint configuration by way of the arbiter, then hold. Blocks.

        Raises:
            DeviceError: the configuration is refused, or the arm did not get there.
            SafetyFault: a fault is latched, or latched on the way.
        """
        self._check_open()
        goal = {names.HOME_ONCE: [float(v) for v in q_rad], names.HOME_ONCE_S: float(duration_s)}
        self.hold()
        self._calls.set_parameters(ARM_NODE, goal)
        self._arbiter.home(duration_s + self._home_timeout_s)
        self.wait_after(time.time(), 1.0)

    def recover(self) -> None:
        """Clear a latched fault and enable the arm, which then holds.

        Raises:
            SafetyFault: the arbiter refuses; says why.
            DeviceError: it does not answer.
        """
        self._check_open()
        self._arbiter.clear()
        if self._arbiter.mode not in READY:
            self._arbiter.enable()
        self.hold()

    def wait_after(self, t_s: float, timeout_s: float) -> bool:
        """Wait for a reading that was taken after `t_s`; False if none came in time."""
        end_s = time.monotonic() + timeout_s
        topics = (self._pose, self._twist, self._joints, self._wrench)
        return all(t.wait(lambda heard: heard.t_s > t_s, max(end_s - time.monotonic(), 0.0)) for t in topics)

    def close(self) -> None:
        """Let go, and leave the graph: the other devices of the cell are closed with it. May be called twice."""
        self.hold()
        self._closed = True
        self._spinner.close()

    def _check_open(self) -> None:
        if self._closed:
            raise DeviceError("the arm is closed: open the cell again")
