"""An operator's device on ``teleop/joy``, as an actor sees it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sensor_msgs.msg import Joy

from robot_rl.core.types import TeleopState
from robot_rl.hardware.joystick import teleop_of
from robot_rl.hardware.ros import names
from robot_rl.hardware.ros.client.heard import Newest
from robot_rl.hardware.ros.executor import Spinner

LOST_S = 0.5


class RosTeleop:
    """Reads what a joystick driver publishes; `robot_rl.hardware.joystick` says what axes and buttons mean.

    A device that has not been heard for half a second, or never, is not engaged: nobody holds it.

    Args:
        spinner: whose node listens; not closed by this device.
        deadman_button: index of the button without which nothing is engaged; -1 for none.
    """

    def __init__(self, spinner: Spinner, deadman_button: int = -1) -> None:
        self._deadman_button = deadman_button
        self._joys = Newest(
            spinner.node, Joy, names.TELEOP_JOY, lambda m: (tuple(m.axes), tuple(int(b) for b in m.buttons))
        )

    def read(self) -> TeleopState:
        """The newest input; ``age_s`` is infinite if there was none."""
        heard = self._joys.newest
        if heard is None:
            return TeleopState(age_s=math.inf)
        if heard.age_s > LOST_S:
            return TeleopState(age_s=heard.age_s)
        axes, buttons = heard.value
        state = teleop_of(axes, buttons, heard.age_s)
        return state if self._is_held(buttons) else TeleopState(buttons=state.buttons, age_s=state.age_s)

    def close(self) -> None:
        """Nothing to release: the node belongs to the cell."""

    def _is_held(self, buttons: Sequence[int]) -> bool:
        if self._deadman_button < 0:
            return True
        return self._deadman_button < len(buttons) and bool(buttons[self._deadman_button])
