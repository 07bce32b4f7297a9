"""Services of the arbiter: what a person or a program may ask of it, and what it asks of the arm for that."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.client import Client
from std_srvs.srv import SetBool, Trigger

from robot_rl.controllers.arbiter import Answer, Mode, RobotMode
from robot_rl.hardware.ros import names

if TYPE_CHECKING:
    from robot_rl.hardware.ros.nodes.arbiter import ArbiterNode

_SERVICE_S = 1.0
_RECOVER_S = 15.0
# The arm's own answer comes first, even when its motion takes as long as it may.
_HOME_SLACK_S = 2.0
_MODE_ARRIVES_S = 0.05
_WAIT_S = 0.005
_READING_S = 1.0
_NEEDS_ROBOT = (RobotMode.REFLEX, RobotMode.UNAVAILABLE)


class Verbs:
    """Offers the services while it lives.

    Args:
        node: of the arbiter.
    """

    def __init__(self, node: ArbiterNode) -> None:
        self._node, self._arbiter = node, node.arbiter
        # A callback that awaits would keep the others of an exclusive group, and with them the tick, from running.
        self._group = ReentrantCallbackGroup()
        roles = {names.release(role): partial(self._release, role) for role in node.config.limits.roles}
        triggers: dict[str, Callable[..., Any]] = {
            names.STOP: self._stop,
            names.RECOVER: self._recover,
            names.HOME: self._home,
            **roles,
        }
        self._services = [self._serve(SetBool, names.ENABLE, self._enable)]
        self._services += [self._serve(Trigger, name, verb) for name, verb in triggers.items()]
        self._clients: dict[str, Client[Any, Any]] = {
            name: node.create_client(Trigger, name, callback_group=self._group)
            for name in (names.ARM_HOME, names.ARM_RECOVER)
        }
        self._recovered = 0

    def close(self) -> None:
        """Take the services back."""
        for service in self._services:
            self._node.destroy_service(service)
        for client in self._clients.values():
            self._node.destroy_client(client)

    def recover_robot(self) -> None:
        """Ask the arm once for its error recovery, for each reflex; do not wait for it."""
        reflexes = self._arbiter.counts["reflex"]
        if reflexes != self._recovered:
            self._recovered = reflexes
            self._node.get_logger().warning("the robot stopped itself; recovering it without a person")
            self._node.work(self._recover_and_log)

    def _serve(self, kind: Any, name: str, verb: Callable[..., Any]) -> Any:
        return self._node.create_service(kind, name, verb, callback_group=self._group)

    def _enable(self, request: Any, response: Any) -> Any:
        now_s = self._node.now_s()
        if not request.data:
            return self._reply(response, self._arbiter.disable(now_s))
        if not self._node.active:
            return self._reply(response, Answer(False, "cannot enable: the arbiter's node is not active"))
        return self._reply(response, self._arbiter.enable(now_s))

    def _stop(self, _: Any, response: Any) -> Any:
        return self._reply(response, self._arbiter.stop(self._node.now_s(), "somebody called the service stop"))

    def _release(self, role: str, _: Any, response: Any) -> Any:
        return self._reply(response, self._arbiter.release(self._node.now_s(), role))

    async def _recover(self, _: Any, response: Any) -> Any:
        """The robot first: while it is in a reflex, a recovered arbiter could not be enabled."""
        if self._robot_needs_recovery() and not self._arbiter.estop:
            answer = await self._node.work(self._recover_robot)
            if answer is None or not answer.done:
                reason = answer.message if answer else "no answer"
                return self._reply(response, Answer(False, f"cannot recover the robot: {reason}"))
            if self._arbiter.mode is Mode.DISABLED:
                return self._reply(response, Answer(True, "the robot is ready again, now disabled"))
        return self._reply(response, self._arbiter.recover(self._node.now_s()))

    async def _home(self, _: Any, response: Any) -> Any:
        answer = self._reply(response, self._arbiter.home(self._node.now_s()))
        if not answer.success:
            return response
        moved = await self._node.work(self._move_home)
        arrived, reason = (moved.done, moved.message) if moved else (False, "no answer")
        if self._arbiter.mode is not Mode.HOMING:
            faults = "; ".join(f"{fault.name}: {fault.reason}" for fault in self._arbiter.faults)
            broken_off = f"the motion home was broken off, now {self._arbiter.mode.value} ({faults or reason})"
            return self._reply(response, Answer(False, broken_off))
        finished = self._arbiter.home_finished(self._node.now_s(), arrived=arrived, reason=reason)
        return self._reply(response, Answer(finished.done, "at home" if finished.done else finished.message))

    def _move_home(self) -> Answer:
        """In a thread of its own: the motion, and a reading that was taken after its end."""
        # The arm breaks off when it does not hear the mode `homing`, which was published just now.
        time.sleep(_MODE_ARRIVES_S)
        answer = self._ask(names.ARM_HOME, self._node.arbiter.config.home_timeout_s + _HOME_SLACK_S)
        end_s = self._node.now_s()
        if answer.done:
            _wait_until(lambda: (reading := self._arbiter.reading) is not None and reading.t_s > end_s)
        return answer

    def _robot_needs_recovery(self) -> bool:
        reading = self._arbiter.reading
        return reading is not None and reading.robot_mode in _NEEDS_ROBOT

    def _recover_robot(self) -> Answer:
        """In a thread of its own: the robot's error recovery, and a reading that shows it."""
        answer = self._ask(names.ARM_RECOVER, _RECOVER_S)
        if answer.done:
            _wait_until(lambda: not self._robot_needs_recovery())
        return answer

    def _recover_and_log(self) -> None:
        answer = self._ask(names.ARM_RECOVER, _RECOVER_S)
        if not answer.done:
            self._node.get_logger().error(f"the robot did not recover: {answer.message}")

    def _ask(self, name: str, timeout_s: float) -> Answer:
        """Call a service of the arm and wait; never on the executor's thread."""
        client = self._clients[name]
        if not client.wait_for_service(_SERVICE_S):
            return Answer(False, f"nobody offers {client.service_name}: is the arm's node running?")
        answered = threading.Event()
        future = client.call_async(Trigger.Request())
        future.add_done_callback(lambda _: answered.set())
        if not answered.wait(timeout_s):
            client.remove_pending_request(future)
            return Answer(False, f"{client.service_name} did not answer within {timeout_s:g} s")
        result = future.result()
        return Answer(bool(result.success), str(result.message)) if result else Answer(False, "no answer")

    def _reply(self, response: Any, answer: Answer) -> Any:
        """Fill a response in; what changed is published before it goes out."""
        self._node.publish_state()
        response.success, response.message = answer.done, answer.message
        return response


def _wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a reading that makes it true; without one, the arbiter's own checks decide what follows."""
    give_up_s = time.monotonic() + _READING_S
    while not condition() and time.monotonic() < give_up_s:
        time.sleep(_WAIT_S)
