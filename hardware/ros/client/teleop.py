"""An operator's device on ``teleop/joy``, as an actor sees it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

from sensor_msgs.msg import Joy

from robot_rl.core.types import TeleopState
from robot_rl.hardware.joystick import BUTTONS, teleop_of
from robot_rl.hardware.presses import Presses
from robot_rl.hardware.ros import names
from robot_rl.hardware.ros.client.heard import Heard, Newest
from robot_rl.hardware.ros.executor import Spinner
from robot_rl.hardware.ros.qos import EVENTS_IN

LOST_S = 0.5

_Said = tuple[tuple[float, ...], tuple[int, ...]]


class RosTeleop:
    """Reads what a joystick driver publishes; `robot_rl.hardware.joystick` says what axes and buttons mean.

    A device that has not been heard for half a second, or never, is not engaged: nobody holds it. So is one whose
    messages still come but bear an older stamp: its node runs, and the device is gone. A press that came and went
    between two readings is in the next one.

    Args:
        spinner: whose node listens; not closed by this device.
        deadman_button: index of the button without which nothing is engaged; it marks nothing. -1 for none.
    """

    def __init__(self, spinner: Spinner, deadman_button: int = -1) -> None:
        self._deadman_button = deadman_button
        self._presses = Presses()
        self._joys = Newest(spinner.node, Joy, names.TELEOP_JOY, self._hear, EVENTS_IN)

    def read(self) -> TeleopState:
        """The newest input; ``age_s`` is infinite if there was none."""
        heard = self._joys.newest
        age_s = math.inf if heard is None else _age_s(heard)
        if heard is None or age_s > LOST_S:
            self._presses.update(())
            return TeleopState(buttons=self._presses.take(), age_s=age_s)
        axes, buttons = heard.value
        state = teleop_of(axes, buttons, age_s)
        pressed = self._presses.take()
        if not self._is_held(buttons):
            return TeleopState(buttons=pressed, age_s=state.age_s)
        return replace(state, buttons=pressed)

    def close(self) -> None:
        """Nothing to release: the node belongs to the cell."""

    def _hear(self, message: Joy) -> _Said:
        axes, buttons = tuple(message.axes), tuple(int(b) for b in message.buttons)
        marks = teleop_of((), buttons, 0.0).buttons
        self._presses.update(marks.difference(BUTTONS[i] for i in (self._deadman_button,) if 0 <= i < len(BUTTONS)))
        return axes, buttons

    def _is_held(self, buttons: Sequence[int]) -> bool:
        if self._deadman_button < 0:
            return True
        return self._deadman_button < len(buttons) and bool(buttons[self._deadman_button])


def _age_s(heard: Heard[_Said]) -> float:
    """Since the device said it; of messages without a stamp, since they came."""
    return max(heard.age_s, time.time() - heard.t_s) if heard.t_s > 0.0 else heard.age_s
