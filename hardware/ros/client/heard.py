"""The newest message of a topic, converted as it arrives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from rclpy.node import Node
from rclpy.qos import QoSProfile

from robot_rl.core.errors import DeviceError, RobotRlError
from robot_rl.hardware.ros.messages import seconds_of
from robot_rl.hardware.ros.qos import STREAM_IN

T = TypeVar("T")


@dataclass(frozen=True)
class Heard(Generic[T]):
    """One message.

    Attributes:
        value: what it says.
        t_s: its stamp; of messages without one, the system's time on arrival.
        arrived_s: monotonic time on arrival.
    """

    value: T
    t_s: float
    arrived_s: float

    @property
    def age_s(self) -> float:
        """Since it arrived, on a clock that nobody turns."""
        return time.monotonic() - self.arrived_s


class Newest(Generic[T]):
    """Listens to one topic. Read it from any thread; messages that cannot be converted are dropped.

    Args:
        node: served by a `robot_rl.hardware.ros.executor.Spinner`.
        kind: class of the messages.
        topic: relative to the namespace.
        convert: from a message to what it says; may raise `RobotRlError`.
        qos: of the subscription.
    """

    def __init__(
        self, node: Node, kind: Any, topic: str, convert: Callable[[Any], T], qos: QoSProfile = STREAM_IN
    ) -> None:
        self.topic = topic
        self._convert = convert
        self._heard: Heard[T] | None = None
        self._problem = ""
        self._came = threading.Condition()
        node.create_subscription(kind, topic, self._on_message, qos)

    @property
    def newest(self) -> Heard[T] | None:
        """The newest message; None if there has been none."""
        return self._heard

    def read(self) -> Heard[T]:
        """The newest message.

        Raises:
            DeviceError: nothing usable was heard.
        """
        heard = self._heard
        if heard is None:
            raise DeviceError(f"nothing was heard on {self.topic}{self._problem and f' but {self._problem}'}")
        return heard

    def wait(self, good: Callable[[Heard[T]], bool], timeout_s: float) -> bool:
        """Wait for a message; False if none came in time."""
        with self._came:
            return self._came.wait_for(lambda: self._heard is not None and good(self._heard), timeout_s)

    def _on_message(self, message: Any) -> None:
        header = getattr(message, "header", None)
        try:
            value = self._convert(message)
        except RobotRlError as e:
            self._problem = str(e)
            return
        t_s = time.time() if header is None else seconds_of(header.stamp)
        with self._came:
            self._heard = Heard(value, t_s, time.monotonic())
            self._came.notify_all()
