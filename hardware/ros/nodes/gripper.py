"""The node of a parallel gripper, whatever drives it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.context import Context
from rclpy.timer import Timer
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import Trigger

from robot_rl.core.errors import ConfigError, DeviceError, RobotRlError
from robot_rl.core.types import GripperState
from robot_rl.hardware.cell.description import CellConfig
from robot_rl.hardware.cell.scene import Scene
from robot_rl.hardware.drivers import GripperDriver
from robot_rl.hardware.ros import names
from robot_rl.hardware.ros.messages import joints_message, numbers_message
from robot_rl.hardware.ros.node import CellNode, Health, Level
from robot_rl.hardware.ros.nodes.rate import RateMeter
from robot_rl.hardware.ros.qos import COMMAND, LATCHED, QUIET, STREAM_OUT

STATE_HZ = 30.0
REST_S = 0.3
MOTION_S = 5.0
ARRIVED_M = 0.002
RESTING_M = 0.0005
POLL_S = 0.02
# A width that was once a float32 may lie this much beyond the end.
TOLERANCE_M = 1e-6


class GripperNode(CellNode):
    """Publishes the opening, takes openings.

    Args:
        config: of the cell.
        driver_factory: connects to the gripper; called again after a failure or a cleanup.
        context: of the process.
        state_hz: readings per second; None if somebody else calls `publish_state` at a steady rate.
    """

    def __init__(
        self,
        config: CellConfig,
        driver_factory: Callable[[], GripperDriver],
        context: Context,
        state_hz: float | None = STATE_HZ,
    ) -> None:
        super().__init__("gripper", config, context)
        self._make_driver, self._period_s = driver_factory, 1.0 / state_hz if state_hz else None
        self._driver: GripperDriver | None = None
        self._ticks: Timer | None = None
        self._rate = RateMeter(self._period_s or 1.0 / STATE_HZ)
        self._shown_target_m: float | None = None
        self._trouble = ""
        self._taken = self._refused = self._refused_before = 0
        self._states = self.create_publisher(JointState, names.GRIPPER_STATES, STREAM_OUT, event_callbacks=QUIET)
        self._target = self.create_publisher(Float64MultiArray, names.GRIPPER_TARGET, LATCHED, event_callbacks=QUIET)
        self.create_subscription(Float64MultiArray, names.GRIPPER_COMMAND, self._on_command, COMMAND)
        # A callback that waits would block all others of its group.
        waiting = ReentrantCallbackGroup()
        self.create_service(Trigger, names.GRIPPER_HOME, self._on_home, callback_group=waiting)
        self.create_service(Trigger, names.GRIPPER_OPEN, self._on_open, callback_group=waiting)
        self.create_service(Trigger, names.GRIPPER_GRASP, self._on_grasp, callback_group=waiting)

    def open(self) -> None:
        """Connect to the gripper."""
        self._driver = self._make_driver()

    def start(self) -> None:
        """Publish readings."""
        self._rate.start()
        if self._period_s is not None:
            self._ticks = self.create_timer(self._period_s, self.publish_state)

    def halt(self) -> None:
        """The readings end; the gripper keeps what it holds."""
        if self._ticks is not None:
            self.destroy_timer(self._ticks)
            self._ticks = None

    def shut(self) -> None:
        """Let the gripper go."""
        if self._driver is not None:
            self._driver.close()
            self._driver = None

    def publish_state(self) -> None:
        """Publish a reading now, if the node is active."""
        if self._driver is None or not self.active:
            return
        try:
            state = self._driver.state()
        except RobotRlError as e:
            self._trouble = str(e)
            return
        self._trouble = ""
        self._states.publish(joints_message((names.GRIPPER_JOINT,), (state.width_m,), state.t_s))
        if state.target_m != self._shown_target_m:
            self._shown_target_m = state.target_m
            self._target.publish(numbers_message((state.target_m,)))
        self._rate.tick(state.t_s)

    def health(self) -> list[Health]:
        """Of the gripper and of the stream of readings."""
        rate, refused = self._rate.report(), self._refused - self._refused_before
        self._refused_before = self._refused
        facts = {
            **rate.facts(),
            "commands": self._taken,
            "rejected": self._refused,
            **(self._driver.health() if self._driver is not None else {}),
        }
        if self._trouble:
            return [Health(Level.ERROR, self._trouble, facts)]
        if rate.stale:
            return [Health(Level.STALE, f"the last reading is {rate.age_s:.2f} s old", facts)]
        if refused:
            return [Health(Level.WARN, f"{refused} commands were refused in the last second", facts)]
        return [Health(Level.OK, "active", facts)]

    def _on_command(self, message: Float64MultiArray) -> None:
        if self._driver is None or not self.active:
            return
        try:
            self._driver.command(opening_of(message, self.config.gripper.max_width_m))
        except RobotRlError as e:
            self._refused += 1
            self.get_logger().warning(f"command refused: {e}", throttle_duration_sec=2.0)
        else:
            self._taken += 1

    # Verbs, which answer when the gripper is at rest.

    async def _on_home(self, _: Trigger.Request, answer: Trigger.Response) -> Trigger.Response:
        return await self._do(answer, _home)

    async def _on_open(self, _: Trigger.Request, answer: Trigger.Response) -> Trigger.Response:
        return await self._do(answer, _open)

    async def _on_grasp(self, _: Trigger.Request, answer: Trigger.Response) -> Trigger.Response:
        return await self._do(answer, _grasp)

    async def _do(self, answer: Trigger.Response, verb: Callable[[GripperDriver], str]) -> Trigger.Response:
        driver = self._driver
        if driver is None or not self.active:
            answer.success, answer.message = False, "the gripper is not ready"
            return answer
        try:
            text = await self.work(lambda: verb(driver))
        except RobotRlError as e:
            answer.success, answer.message = False, str(e)
        else:
            answer.success, answer.message = True, text or ""
        return answer


def opening_of(message: Float64MultiArray, max_width_m: float) -> float:
    """The opening in m that a command asks for.

    Raises:
        DeviceError: it is not one number between 0 and `max_width_m`.
    """
    values = [float(v) for v in message.data]
    if len(values) != 1 or not math.isfinite(values[0]) or not -TOLERANCE_M <= values[0] <= max_width_m + TOLERANCE_M:
        raise DeviceError(f"a gripper command is one opening between 0 and {max_width_m:g} m, got {values}")
    return min(max(values[0], 0.0), max_width_m)


def make_nodes(config: CellConfig, scene: Scene, context: Context) -> Sequence[CellNode]:
    """The node of the gripper that the cell has.

    Raises:
        ConfigError: there is none, or it is simulated, which is the node ``sim``.
    """
    provider = config.gripper.provider
    if provider == "sim":
        raise ConfigError("gripper.provider is sim: a simulated gripper runs in the node sim, together with its world")
    if provider == "none":
        raise ConfigError("gripper.provider is none: there is nothing to start")
    if provider == "position":
        from robot_rl.hardware.ros.nodes import position_gripper

        return position_gripper.make_nodes(config, scene, context)
    from robot_rl.hardware.franka.hand import FrankyHand

    return [GripperNode(config, lambda: FrankyHand(config.gripper, config.robot.address), context)]


def _home(driver: GripperDriver) -> str:
    driver.home()
    return "the end stops are known"


def _open(driver: GripperDriver) -> str:
    driver.command(driver.state().max_width_m)
    state = _at_rest(driver)
    if state.max_width_m - state.width_m > ARRIVED_M:
        raise DeviceError(f"the gripper stopped at {state.width_m:.4f} m of {state.max_width_m:.4f} m")
    return f"open at {state.width_m:.4f} m"


def _grasp(driver: GripperDriver) -> str:
    driver.command(0.0)
    state = _at_rest(driver)
    if state.width_m < ARRIVED_M:
        raise DeviceError("the gripper closed on nothing")
    return f"holds something {state.width_m:.4f} m wide"


def _at_rest(driver: GripperDriver) -> GripperState:
    """Wait until fresh readings have not changed for a while."""
    state = driver.state()
    began_s = rest_s = time.monotonic()
    rest_t_s, rest_m = state.t_s, state.width_m
    while time.monotonic() - began_s < MOTION_S:
        time.sleep(POLL_S)
        state = driver.state()
        if abs(state.width_m - rest_m) > RESTING_M:
            rest_s, rest_t_s, rest_m = time.monotonic(), state.t_s, state.width_m
        elif time.monotonic() - rest_s > REST_S and state.t_s - rest_t_s > 0.5 * REST_S:
            return state
    raise DeviceError(f"the gripper did not come to rest within {MOTION_S:g} s")
