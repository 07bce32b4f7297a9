"""What all nodes of a cell have in common: life cycle, health, live parameters, work that takes long.

A node opens its device in `open` and works between `start` and `halt`; `shut` releases what `open` got. It configures
and activates itself at the start and tries again while its device is not there, unless its parameter ``autostart`` is
false: then somebody else drives its life cycle by the usual services.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from lifecycle_msgs.msg import State as StateMessage
from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor, SetParametersResult
from rclpy.context import Context
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.task import Future
from rclpy.timer import Timer

from robot_rl.core.errors import RobotRlError
from robot_rl.hardware.cell.description import CellConfig
from robot_rl.hardware.ros.messages import stamp_of
from robot_rl.hardware.ros.names import DIAGNOSTICS
from robot_rl.hardware.ros.qos import QUIET

T = TypeVar("T")
AUTOSTART = "autostart"
RETRY_S = 2.0
DIAGNOSTICS_S = 1.0


class Level(Enum):
    """How well something is, in the codes of `DiagnosticStatus`."""

    OK = b"\x00"
    WARN = b"\x01"
    ERROR = b"\x02"
    STALE = b"\x03"


@dataclass(frozen=True)
class Health:
    """One line of `/diagnostics`.

    Attributes:
        level: how well it is.
        text: one sentence.
        values: facts.
        component: of the node, if it has several.
        hardware_id: serial number or address of the device.
    """

    level: Level
    text: str
    values: Mapping[str, object] = field(default_factory=dict)
    component: str = ""
    hardware_id: str = ""


class CellNode(LifecycleNode):
    """Base of all nodes.

    Args:
        name: of the node.
        config: the cell; its name is the namespace.
        context: of the process.
    """

    def __init__(self, name: str, config: CellConfig, context: Context) -> None:
        super().__init__(name, namespace=f"/{config.name}", context=context)
        self.config = config
        self._setters: dict[str, Callable[[Any], object]] = {}
        self._problem = ""
        self._opened = self._closed = False
        self.add_on_set_parameters_callback(self._on_parameters)
        self.declare_parameter(
            AUTOSTART, True, ParameterDescriptor(description="configure and activate at the start", read_only=True)
        )
        self._diagnostics = self.create_publisher(DiagnosticArray, DIAGNOSTICS, 10, event_callbacks=QUIET)
        self._diagnostics_timer = self.create_timer(DIAGNOSTICS_S, self._publish_health)
        self._retry: Timer | None = None
        if self.get_parameter(AUTOSTART).value:
            self._retry = self.create_timer(0.01, self._start_up)

    # What a node fills in.

    def open(self) -> None:
        """Get devices, publishers, subscriptions, services.

        Raises:
            RobotRlError: the device is not there; the node stays unconfigured and tries again.
        """

    def start(self) -> None:
        """Begin to work."""

    def halt(self) -> None:
        """Stop working; a device that moves holds."""

    def shut(self) -> None:
        """Release what `open` got, all of it or, after a failure, the part that there is."""

    def health(self) -> list[Health]:
        """How the node is, while it is active."""
        return [Health(Level.OK, "active")]

    # What a node uses.

    @property
    def active(self) -> bool:
        """Whether it works."""
        return bool(self._state_machine.current_state[0] == StateMessage.PRIMARY_STATE_ACTIVE)

    def now_s(self) -> float:
        """Seconds of the node's clock."""
        return float(self.get_clock().now().nanoseconds) * 1e-9

    def live(
        self, name: str, value: float, low: float, high: float, text: str, setter: Callable[[float], None]
    ) -> None:
        """Declare a number that may be changed while the node runs.

        Args:
            name: of the parameter.
            value: at the start; a value from the command line wins, and is set at once.
            low: smallest value.
            high: largest value.
            text: what it is, with its unit.
            setter: told every new value; a `RobotRlError` from it rejects the value.
        """
        bounds = [FloatingPointRange(from_value=float(low), to_value=float(high), step=0.0)]
        descriptor = ParameterDescriptor(description=text, floating_point_range=bounds)
        given = float(self.declare_parameter(name, float(value), descriptor).value)
        if given != float(value):
            setter(given)
        self._setters[name] = setter

    def on_change(self, name: str, setter: Callable[[Any], object]) -> None:
        """Be told every new value of a parameter of any type, also the one that a later declaration gives it.

        Args:
            name: of the parameter.
            setter: told every new value; a `RobotRlError` from it rejects the value.
        """
        self._setters[name] = setter

    def work(self, function: Callable[[], T]) -> Future[T]:
        """Run something slow in a thread of its own; ``await`` the answer in an ``async`` callback.

        An exception of the function is raised by the ``await``.
        """
        executor = self.executor
        future: Future[T] = Future(executor=executor)

        def run() -> None:
            try:
                future.set_result(function())
            except Exception as e:  # handed to whoever waits
                future.set_exception(e)
            if executor is not None:  # which otherwise goes on with the waiting callback at its next event only
                executor.wake()

        threading.Thread(target=run, name=f"{self.get_name()}-work", daemon=True).start()
        return future

    def close(self) -> None:
        """Halt, release, leave the graph. May be called twice."""
        if not self._closed:
            self._closed = True
            self._down()
            self.destroy_node()

    # Life cycle.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Open; a known error is a failure, said once."""
        self._opened = True
        try:
            self.open()
        except RobotRlError as e:
            self._release()
            if str(e) != self._problem:
                self.get_logger().error(f"{e} (trying again every {RETRY_S:g} s)")
            self._problem = str(e)
            return TransitionCallbackReturn.FAILURE
        self._problem = ""
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start."""
        answer = super().on_activate(state)
        self.start()
        self.get_logger().info("active")
        return answer

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Halt."""
        self.halt()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Halt and release."""
        if state.state_id == StateMessage.PRIMARY_STATE_ACTIVE:
            self.halt()
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release, and be unconfigured again."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def _start_up(self) -> None:
        assert self._retry is not None
        if self.trigger_configure() is TransitionCallbackReturn.SUCCESS:
            self.destroy_timer(self._retry)
            self._retry = None
            self.trigger_activate()
        elif self._retry.timer_period_ns < RETRY_S * 1e9:
            self.destroy_timer(self._retry)
            self._retry = self.create_timer(RETRY_S, self._start_up)

    def _down(self) -> None:
        if self.active:
            self.trigger_deactivate()
        self._release()

    def _release(self) -> None:
        if self._opened:
            self._opened = False
            self.shut()

    def _on_parameters(self, parameters: list[Parameter[Any]]) -> SetParametersResult:
        for parameter in parameters:
            setter = self._setters.get(parameter.name)
            if setter is not None:
                try:
                    setter(parameter.value)
                except RobotRlError as e:
                    return SetParametersResult(successful=False, reason=str(e))
        return SetParametersResult(successful=True)

    def _publish_health(self) -> None:
        if self.active:
            lines = self.health()
        else:
            lines = [Health(Level.ERROR if self._problem else Level.WARN, self._problem or "not active")]
        message = DiagnosticArray()
        message.header.stamp = stamp_of(self.now_s())
        message.status = [self._status(line) for line in lines]
        self._diagnostics.publish(message)

    def _status(self, line: Health) -> DiagnosticStatus:
        name = f"{self.get_fully_qualified_name()}: {line.component or self.get_name()}"
        values = [KeyValue(key=str(k), value=str(v)) for k, v in line.values.items()]
        return DiagnosticStatus(
            level=line.level.value, name=name, message=line.text, hardware_id=line.hardware_id, values=values
        )
