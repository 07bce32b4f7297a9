"""The node of an arm, whatever drives it: readings out at a steady rate, targets of the arbiter in.

Readings go on during a homing motion and while nobody commands. A target is only taken if there is one commander, and
an arm whose commander falls silent holds: what the arbiter promises must not depend on the arbiter being alive.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from geometry_msgs.msg import PoseStamped, TwistStamped, WrenchStamped
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.context import Context
from rclpy.timer import Timer
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger

from robot_rl.controllers.arbiter_modes import Mode
from robot_rl.controllers.arbiter_readings import RobotMode
from robot_rl.core.errors import ConfigError, DeviceError, RobotRlError
from robot_rl.core.types import ArmState
from robot_rl.hardware.cell.description import CellConfig
from robot_rl.hardware.cell.scene import Scene
from robot_rl.hardware.drivers import ArmDriver
from robot_rl.hardware.ros import names
from robot_rl.hardware.ros.messages import (
    joints_message,
    pose_message,
    pose_of,
    seconds_of,
    text_message,
    twist_message,
    wrench_message,
)
from robot_rl.hardware.ros.node import CellNode, Health, Level
from robot_rl.hardware.ros.nodes.home_once import HomeOnce
from robot_rl.hardware.ros.nodes.rate import RateMeter
from robot_rl.hardware.ros.qos import COMMAND, LATCHED, QUIET, STREAM_OUT

ARBITER_SILENT_S = 0.5
POLL_S = 0.01
UNHEARD = ""
FROZEN = tuple(mode.value for mode in (Mode.DISABLED, Mode.FAULT, Mode.STOPPED))
"""Modes in which the arbiter's target stays near where the arm was when they began."""


class ArmNode(CellNode):
    """Publishes what the arm says, hands it what the arbiter says.

    Args:
        config: of the cell.
        driver_factory: connects to the arm; called again after a failure or a cleanup.
        context: of the process.
    """

    def __init__(self, config: CellConfig, driver_factory: Callable[[], ArmDriver], context: Context) -> None:
        super().__init__("arm", config, context)
        self._make_driver = driver_factory
        self._driver: ArmDriver | None = None
        self._ticks: Timer | None = None
        self._rate = RateMeter(1.0 / config.robot.state_hz)
        self._robot_mode: RobotMode | None = None
        self._trouble = ""
        self._taken = self._refused = self._refused_before = 0
        self._target_s: float | None = None
        self._anew_s = 0.0
        self._wait_for_enable, self._judged_s = False, 0.0
        self._homing = False
        self._home_once = HomeOnce(self)
        self._safety_mode, self._safety_mode_s = UNHEARD, -np.inf
        self._pose = self.create_publisher(PoseStamped, names.CURRENT_POSE, STREAM_OUT, event_callbacks=QUIET)
        self._twist = self.create_publisher(TwistStamped, names.CURRENT_TWIST, STREAM_OUT, event_callbacks=QUIET)
        self._joints = self.create_publisher(JointState, names.JOINT_STATES, STREAM_OUT, event_callbacks=QUIET)
        self._wrench = self.create_publisher(WrenchStamped, names.EXTERNAL_WRENCH, STREAM_OUT, event_callbacks=QUIET)
        self._mode = self.create_publisher(String, names.ROBOT_MODE, LATCHED, event_callbacks=QUIET)
        self._targets = self.create_subscription(PoseStamped, names.TARGET_POSE, self._on_target, COMMAND)
        self.create_subscription(String, names.MODE, self._on_safety_mode, LATCHED)
        # A callback that waits would block all others of its group.
        waiting = ReentrantCallbackGroup()
        self.create_service(Trigger, names.ARM_HOME, self._on_home, callback_group=waiting)
        self.create_service(Trigger, names.ARM_RECOVER, self._on_recover, callback_group=waiting)
        self._show_mode(RobotMode.UNAVAILABLE)

    def open(self) -> None:
        """Connect to the arm."""
        self._driver = self._make_driver()

    def start(self) -> None:
        """Publish readings."""
        self._rate.start()
        self._ticks = self.create_timer(1.0 / self.config.robot.state_hz, self.tick)

    def halt(self) -> None:
        """Hold; the readings end."""
        if self._ticks is not None:
            self.destroy_timer(self._ticks)
            self._ticks = None
        self._hold()
        self._show_mode(RobotMode.UNAVAILABLE)

    def shut(self) -> None:
        """Let the arm go."""
        if self._driver is not None:
            self._driver.close()
            self._driver = None

    def recovered(self) -> None:
        """Told after the robot was recovered."""

    def begin_anew(self, t_s: float) -> None:
        """The arm was put elsewhere: targets from before are void, as are those of an arbiter that is not enabled.

        Args:
            t_s: time of it.
        """
        self._anew_s, self._wait_for_enable, self._target_s = t_s, True, None
        # What was heard last may be the word of an arbiter that has died since; a living one repeats itself.
        self._safety_mode, self._judged_s = UNHEARD, 0.0

    def publish_state(self) -> None:
        """Publish a reading now, if the node is active."""
        state = self._read() if self.active else None
        if state is None:
            return
        self._pose.publish(pose_message(state.pose_base_tcp, names.BASE_FRAME, state.t_s))
        self._twist.publish(twist_message(state.twist_base_tcp, names.BASE_FRAME, state.t_s))
        self._joints.publish(joints_message(names.JOINT_NAMES, state.q_rad, state.t_s, state.dq_rad_s))
        self._wrench.publish(wrench_message(state.wrench_tcp, names.TCP_FRAME, state.t_s))
        self._rate.tick(state.t_s)

    def health(self) -> list[Health]:
        """Of the arm and of the stream of readings."""
        rate, refused = self._rate.report(), self._refused - self._refused_before
        self._refused_before = self._refused
        mode = self._robot_mode or RobotMode.UNAVAILABLE
        facts = {
            "robot_mode": mode.value,
            "fault": self._trouble,
            **rate.facts(),
            "commands": self._taken,
            "rejected": self._refused,
            **(self._driver.health() if self._driver is not None else {}),
        }
        if mode is not RobotMode.READY:
            level = Level.ERROR if mode is RobotMode.UNAVAILABLE else Level.WARN
            return [Health(level, f"the robot is {mode.value}: {self._trouble or 'no reason given'}", facts)]
        if rate.stale:
            return [Health(Level.STALE, f"the last reading is {rate.age_s:.2f} s old", facts)]
        if refused:
            return [Health(Level.WARN, f"{refused} targets were refused in the last second", facts)]
        return [Health(Level.OK, "ready", facts)]

    # The stream of readings.

    def tick(self) -> None:
        """What the arm's timer does."""
        self.publish_state()
        if self._target_s is not None and time.monotonic() - self._target_s > self.config.limits.hold_after_s:
            self.get_logger().warning(f"no target for {self.config.limits.hold_after_s:g} s: the arm holds")
            self._hold()

    def _read(self) -> ArmState | None:
        if self._driver is None:
            return None
        try:
            state, mode = self._driver.state(), self._driver.robot_mode()
        except RobotRlError as e:
            self._trouble = str(e)
            self._show_mode(RobotMode.UNAVAILABLE)
            return None
        self._trouble = state.fault or ""
        self._show_mode(mode)
        return state

    def _show_mode(self, mode: RobotMode) -> None:
        if mode is not self._robot_mode:
            self._robot_mode = mode
            self._mode.publish(text_message(mode.value))

    # Targets.

    def _on_target(self, message: PoseStamped) -> None:
        if self._driver is None or not self.active or self._homing or self._is_void(message):
            return
        if self._targets.get_publisher_count() > 1:
            self._refuse("there is more than one publisher of target_pose: the arbiter must be the only one")
        elif message.header.frame_id != names.BASE_FRAME:
            self._refuse(f"a target is in frame {message.header.frame_id!r}, expected {names.BASE_FRAME!r}")
        else:
            try:
                self._driver.set_target(pose_of(message))
            except RobotRlError as e:
                self._refuse(str(e))
            else:
                self._taken += 1
                self._target_s = time.monotonic()

    def _is_void(self, message: PoseStamped) -> bool:
        """Whether a target belongs to where the arm was before it was put elsewhere."""
        if self._wait_for_enable:
            now_s = time.monotonic()
            self._judged_s = self._judged_s or now_s
            # A living arbiter says its mode ten times a second; whoever never does has no modes.
            unheard = self._safety_mode == UNHEARD and now_s - self._judged_s < ARBITER_SILENT_S
            self._wait_for_enable = unheard or self._safety_mode in FROZEN
        return self._wait_for_enable or seconds_of(message.header.stamp) <= self._anew_s

    def _refuse(self, reason: str) -> None:
        self._refused += 1
        self.get_logger().warning(f"target refused: {reason}", throttle_duration_sec=2.0)

    def _hold(self) -> None:
        self._target_s = None
        if self._driver is not None:
            try:
                self._driver.hold()
            except RobotRlError as e:
                self.get_logger().error(f"the arm could not be told to hold: {e}")

    # Motions that take long.

    def _on_safety_mode(self, message: String) -> None:
        self._safety_mode, self._safety_mode_s = message.data, time.monotonic()

    async def _on_home(self, _: Trigger.Request, answer: Trigger.Response) -> Trigger.Response:
        driver = self._driver
        if driver is None or not self.active or self._homing:
            return _say(answer, "the arm is homing already" if self._homing else "the arm is not ready")
        self._homing, self._target_s = True, None
        try:
            await self.work(lambda: self._go_home(driver))
        except RobotRlError as e:
            return _say(answer, str(e))
        finally:
            self._homing = False
        return _say(answer)

    def _go_home(self, driver: ArmDriver) -> None:
        # The arbiter says that it is homing before it asks for it; the two may arrive in any order.
        end_s = time.monotonic() + ARBITER_SILENT_S
        while not self._may_home():
            if time.monotonic() > end_s:
                raise DeviceError(f"safety/mode is {self._safety_mode!r}, expected 'homing': ask the arbiter to home")
            time.sleep(POLL_S)
        q_rad, duration_s = self._home_once.take()
        driver.move_joints(q_rad, duration_s, self._may_home)

    def _may_home(self) -> bool:
        fresh = time.monotonic() - self._safety_mode_s < ARBITER_SILENT_S
        return fresh and self._safety_mode == Mode.HOMING.value and self.active

    async def _on_recover(self, _: Trigger.Request, answer: Trigger.Response) -> Trigger.Response:
        driver = self._driver
        if driver is None or not self.active:
            return _say(answer, "the arm is not ready")
        try:
            await self.work(driver.recover)
        except RobotRlError as e:
            return _say(answer, str(e))
        self._target_s = None
        self.recovered()
        self.publish_state()
        return _say(answer)


def make_nodes(config: CellConfig, scene: Scene, context: Context) -> Sequence[CellNode]:
    """The node of the arm that the cell has.

    Raises:
        ConfigError: the arm is simulated, which is the node ``sim``.
    """
    if config.robot.provider == "sim":
        raise ConfigError("robot.provider is sim: a simulated arm runs in the node sim, together with its world")
    if config.robot.provider == "ros2_control":
        from robot_rl.hardware.ros.nodes import ros2_control

        return ros2_control.make_nodes(config, scene, context)
    from robot_rl.hardware.franka.arm import FrankyArm

    robot = replace(config.robot, impedance=config.robot.impedance or scene.impedance)
    return [ArmNode(config, lambda: FrankyArm(robot), context)]


def _say(answer: Trigger.Response, problem: str = "") -> Trigger.Response:
    answer.success, answer.message = not problem, problem
    return answer
