"""The node of the safety arbiter: the only publisher of ``target_pose``.

It reads, ticks and publishes at 100 Hz. After a start or restart it is disabled; while it is gone, ``target_pose`` is
silent and the arm's node holds. `docs/safety.md` shows its layers, modes and faults.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from geometry_msgs.msg import PoseStamped
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType  # type: ignore[attr-defined]
from rclpy.context import Context
from rclpy.duration import Duration
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.timer import Timer
from std_msgs.msg import Bool, String

from robot_rl.controllers.arbiter import Command, Fault, Output, SafetyArbiter, Verdict
from robot_rl.controllers.arbiter_commands import SOUND
from robot_rl.controllers.arbiter_modes import FAULTS
from robot_rl.controllers.arbiter_twist import TwistOperator
from robot_rl.core.errors import ConfigError, RobotRlError
from robot_rl.core.types import Array
from robot_rl.hardware.cell.description import CellConfig
from robot_rl.hardware.cell.scene import Scene
from robot_rl.hardware.ros import names
from robot_rl.hardware.ros.messages import pose_message, pose_of, seconds_of, text_message
from robot_rl.hardware.ros.node import CellNode, Health
from robot_rl.hardware.ros.nodes.arbiter_health import LimitLog, TickPace, arbiter_health
from robot_rl.hardware.ros.nodes.arbiter_inputs import WISHES, ArmInputs, Mailbox, Sources
from robot_rl.hardware.ros.nodes.arbiter_limits import changed_limits, declare_limits
from robot_rl.hardware.ros.nodes.arbiter_operator import OPERATOR, OperatorInput
from robot_rl.hardware.ros.nodes.arbiter_verbs import Verbs
from robot_rl.hardware.ros.qos import COMMAND, LATCHED

TICK_HZ = 100.0
HEARTBEAT_S = 0.1
_LOG_EVERY_S = 1.0
_DELIVER = Duration(seconds=0.3)
_SWITCH = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)


class ArbiterNode(CellNode):
    """Decides what the arm gets.

    Args:
        config: the cell.
        context: of the process.
    """

    def __init__(self, config: CellConfig, context: Context) -> None:
        self.arbiter = SafetyArbiter(config.limits)
        self._started = False
        super().__init__("arbiter", config, context)
        self.arbiter = SafetyArbiter(declare_limits(self, config.limits))
        self._started = True
        self._out: Output | None = None
        self._shown: tuple[str, str] | None = None
        self._shown_s = -HEARTBEAT_S
        self._fault: Fault | None = None
        self._logged_s: dict[str, float] = {}
        self._estop_sent = 0
        self._switched: deque[int] = deque(maxlen=32)
        self._undo: list[Callable[[], object]] = []
        self._timer: Timer | None = None

    def open(self) -> None:
        """Topics and services."""
        limits = self.arbiter.config
        self._inputs = self._keep(ArmInputs(self, len(limits.q_min_rad)))
        self._wishes = {role: self._keep(Mailbox(self, PoseStamped, names.wish(role), WISHES)) for role in limits.roles}
        # A subscription for states that were sent before it misses publishers that keep none, and the other way round.
        self._switches = [self._keep(Mailbox(self, Bool, names.ESTOP, qos)) for qos in (LATCHED, _SWITCH)]
        self._operator = self._open_operator()
        self._sources = Sources()
        self._target = self._publisher(PoseStamped, names.TARGET_POSE, COMMAND)
        self._mode = self._publisher(String, names.MODE, LATCHED)
        self._faults = self._publisher(String, names.FAULT, LATCHED)
        self._verbs = self._keep(Verbs(self))
        self._pace, self._limited = TickPace(1.0 / TICK_HZ), LimitLog()

    def start(self) -> None:
        """Tick, by a clock that is never set."""
        self._timer = self.create_timer(1.0 / TICK_HZ, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def halt(self) -> None:
        """Disable first, so that the last target is a frozen one."""
        if self._timer is not None:
            self.destroy_timer(self._timer)
            self._timer = None
        self.arbiter.disable(self.now_s())
        self._tick()
        # A publisher that is destroyed takes with it what was not delivered yet.
        for publisher in (self._target, self._mode):
            publisher.wait_for_all_acked(_DELIVER)

    def shut(self) -> None:
        """Leave the topics and services."""
        while self._undo:
            self._undo.pop()()
        self._shown = None

    def health(self) -> list[Health]:
        """Mode, faults, counts, pace and ages."""
        now_s = self.now_s()
        ages_s = {topic: now_s - stamp_s for topic, stamp_s in self._inputs.stamps_s.items()}
        return [arbiter_health(self.arbiter, self._out, self._pace, self._limited.recent(now_s), ages_s)]

    def publish_state(self) -> None:
        """Mode and first fault: what changed at once, the mode also as a sign of life."""
        faults, now_s = self.arbiter.faults, self.now_s()
        shown = (self.arbiter.mode.value, f"{faults[0].name}: {faults[0].reason}" if faults else "")
        changed = shown != self._shown
        # The reason first: who hears the mode wants to know it.
        if self._shown is None or shown[1] != self._shown[1]:
            self._faults.publish(text_message(shown[1]))
        if changed or not 0.0 <= now_s - self._shown_s < HEARTBEAT_S - 0.5 / TICK_HZ:
            self._mode.publish(text_message(shown[0]))
            self._shown_s = now_s
        if changed and self._shown is not None and shown[0] != self._shown[0]:
            self.get_logger().info(f"{self._shown[0]} -> {shown[0]}")
        self._shown = shown
        self._log_faults()

    def _tick(self) -> None:
        # The clock is read after all that is stamped: on a busy machine something newer could come in between.
        measurement = self._inputs.measurement()
        wishes = [(role, *wish) for role, box in self._wishes.items() for wish in box.take()]
        now_s, period_s = self.now_s(), self._pace.note()
        self._read_switches(now_s)
        for role, message, info in wishes:
            self._submit(now_s, role, message, *self._sources.name(role, info))
        if self._operator is not None:
            self._steer(self._operator, now_s, period_s)
        out = self._out = self.arbiter.tick(now_s, measurement)
        self._limited.note(out.limited, now_s)
        if out.pose_base_tcp is not None:
            self._target.publish(pose_message(out.pose_base_tcp, names.BASE_FRAME, now_s))
        if out.recover_robot:
            self._verbs.recover_robot()
        self.publish_state()

    def _submit(self, now_s: float, role: str, message: PoseStamped, source: str, sequence: int | None) -> None:
        header = message.header
        wish = Command(role, source, pose_of(message), seconds_of(header.stamp), sequence, header.frame_id)
        verdict = self.arbiter.submit(now_s, wish)
        if role == OPERATOR and self._operator is not None:
            self._operator.heard_pose(now_s)
        self._log_rejection(role, source, verdict)

    def _steer(self, operator: OperatorInput, now_s: float, period_s: float) -> None:
        target: Array | None = self._out.pose_base_tcp if self._out is not None else None
        steer = operator.tick(now_s, period_s, target, self.arbiter.config.hold_after_s)
        if steer.let_go:
            self.arbiter.release(now_s, OPERATOR, names.TELEOP_TWIST)
        if steer.wish is None:
            return
        verdict = self.arbiter.submit(now_s, Command(OPERATOR, names.TELEOP_TWIST, steer.wish, now_s))
        if verdict is not Verdict.ACCEPTED:
            operator.block()
        self._log_rejection(OPERATOR, names.TELEOP_TWIST, verdict)

    def _read_switches(self, now_s: float) -> None:
        """Every press counts; of releases, those that were sent after all else. A message may lie in both boxes."""
        news = [(int(info["source_timestamp"]), message.data) for box in self._switches for message, info in box.take()]
        for sent, pressed in sorted(news):
            if sent and sent in self._switched:
                continue
            self._switched.append(sent)
            if pressed or sent >= self._estop_sent:
                self._estop_sent = sent
                self.arbiter.set_estop(now_s, pressed=bool(pressed))

    def _log_rejection(self, role: str, source: str, verdict: Verdict) -> None:
        now_s = self.now_s()
        if verdict in SOUND or abs(now_s - self._logged_s.get(verdict.value, 0.0)) < _LOG_EVERY_S:
            return
        self._logged_s[verdict.value] = now_s
        self.get_logger().warning(f"rejected a command of {role} from {source}: {verdict.value}")

    def _log_faults(self) -> None:
        history = self.arbiter.history
        if not history or history[-1] is self._fault:
            return
        known = next((k + 1 for k in reversed(range(len(history))) if history[k] is self._fault), 0)
        for fault in history[known:]:
            meaning, remedy = FAULTS[fault.name]
            self.get_logger().error(f"{fault.name}: {fault.reason}. It means: {meaning}. Do: {remedy}, recover, enable")
        self._fault = history[-1]

    def _on_parameters(self, parameters: list[Parameter[Any]]) -> SetParametersResult:
        """All limits of one request are changed together, or none."""
        if self._started:
            try:
                limits = changed_limits(self.arbiter.config, parameters)
                if limits is not self.arbiter.config:
                    self.arbiter.configure(limits)
            except RobotRlError as e:
                return SetParametersResult(successful=False, reason=str(e))
        return super()._on_parameters(parameters)

    def _open_operator(self) -> OperatorInput | None:
        if self.config.teleop.provider == "none":
            return None
        if OPERATOR not in self.arbiter.config.roles:
            raise ConfigError(f"teleop needs the role {OPERATOR!r} in limits.roles, got {self.arbiter.config.roles}")
        operator = OperatorInput(self, TwistOperator(self.config.teleop.grip_button))
        self._undo.append(operator.close)
        return operator

    def _keep(self, thing: Any) -> Any:
        """Close it when the node is shut."""
        self._undo.append(thing.close)
        return thing

    def _publisher(self, kind: Any, topic: str, qos: QoSProfile) -> Any:
        publisher = self.create_publisher(kind, topic, qos)
        self._undo.append(partial(self.destroy_publisher, publisher))
        return publisher


def make_nodes(config: CellConfig, scene: Scene, context: Context) -> list[CellNode]:
    """The arbiter of a cell, which does not care what is in it."""
    return [ArbiterNode(config, context)]
