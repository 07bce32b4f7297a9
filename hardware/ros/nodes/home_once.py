"""Where the next motion home of an arm goes, if it is to end elsewhere than at home."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rcl_interfaces.msg import ParameterDescriptor

from robot_rl.core.errors import ConfigError
from robot_rl.core.types import Array
from robot_rl.hardware.ros import names
from robot_rl.hardware.ros.node import CellNode


class HomeOnce:
    """Two parameters of the arm node, for the next motion home alone: a client that dies leaves no other home behind.

    Args:
        node: whose parameters they are.
    """

    def __init__(self, node: CellNode) -> None:
        self._config = node.config
        self._planned: tuple[Array, float] | None = None
        q_rad, duration_s = self._home()
        text = "where the next motion home goes, that one only"
        node.declare_parameter(names.HOME_ONCE, q_rad.tolist(), ParameterDescriptor(description=f"{text}, in rad"))
        node.declare_parameter(names.HOME_ONCE_S, duration_s, ParameterDescriptor(description="its shortest duration"))
        node.on_change(names.HOME_ONCE, self._plan)
        node.on_change(names.HOME_ONCE_S, self._plan_duration)

    def take(self) -> tuple[Array, float]:
        """Joint positions ``[7]`` and shortest duration in s of the motion that begins now."""
        goal, self._planned = self._planned or self._home(), None
        return goal

    def _home(self) -> tuple[Array, float]:
        return np.array(self._config.robot.q_home_rad), self._config.robot.home_s

    def _plan(self, values: Sequence[float]) -> None:
        q_rad, limits = np.array(values, np.float64), self._config.limits
        if q_rad.shape != (7,) or not ((q_rad >= limits.q_min_rad) & (q_rad <= limits.q_max_rad)).all():
            raise ConfigError(f"{names.HOME_ONCE} is {list(values)}, expected 7 joint positions within the limits")
        self._planned = q_rad, (self._planned or self._home())[1]

    def _plan_duration(self, duration_s: float) -> None:
        longest_s = self._config.limits.home_timeout_s
        if not 0.0 < duration_s <= longest_s:
            raise ConfigError(f"{names.HOME_ONCE_S} is {duration_s}, expected more than 0 and at most {longest_s:g} s")
        self._planned = (self._planned or self._home())[0], float(duration_s)
