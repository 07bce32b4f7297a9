"""An operator who steers by velocity: a device's buttons and twists become wishes to the arbiter.

A pure class without clock or input and output, like the arbiter. The operator has to engage, by holding a button or by
moving a stick, and lets go by the opposite. A device that falls silent while engaged has not let go: its wishes end,
and the arbiter then holds and faults as for every lost commander.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from robot_rl.controllers import se3
from robot_rl.core.types import Array

ZERO_AFTER_S = 0.2
LOST_AFTER_S = 0.5
_STICK = 0.05
_MAX_PERIOD_S = 0.05


class Grip(Enum):
    """What the operator does with the device."""

    AWAY = "away"
    """Not engaged."""
    ENGAGED = "engaged"
    LOST = "lost"
    """Was engaged when the device fell silent: has to let go first."""
    BLOCKED = "blocked"
    """Engaged, but a wish was not followed: has to let go first."""


@dataclass(frozen=True)
class Steer:
    """What a tick asks for: at most one of both.

    Attributes:
        wish: pose to submit ``[7]``, or None.
        let_go: the operator just let go of the device: release the arm.
    """

    wish: Array | None = None
    let_go: bool = False


class TwistOperator:
    """Turns twists into poses while the operator is engaged.

    Example:
        >>> operator = TwistOperator(deadman_button=0)
        >>> operator.joy(1.0, [], [1])
        >>> operator.twist(1.0, [0.1, 0, 0, 0, 0, 0], in_tool=False)
        True
        >>> steer = operator.tick(1.0, 0.01, np.array([0.4, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0]))
        >>> steer.wish.round(4).tolist()
        [0.401, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0]

    Args:
        deadman_button: index of the button that has to be held; -1 engages by moving a stick.
    """

    def __init__(self, deadman_button: int) -> None:
        self._button = deadman_button
        self._held = False
        self._joy_s = self._twist_s = -math.inf
        self._twist, self._in_tool = np.zeros(6), False
        self.grip = Grip.AWAY

    def joy(self, t_s: float, axes: Sequence[float], buttons: Sequence[int]) -> None:
        """What the device reports; a button that it does not have is not held."""
        self._joy_s = t_s
        if self._button < 0:
            self._held = any(abs(axis) > _STICK for axis in axes)
        else:
            self._held = self._button < len(buttons) and buttons[self._button] != 0

    def twist(self, t_s: float, twist: npt.ArrayLike, *, in_tool: bool) -> bool:
        """The wanted velocity ``[6]`` in m/s and rad/s, along the axes of base or tool; False if it is not finite."""
        values = np.array(twist, np.float64)
        if not np.isfinite(values).all():
            return False
        self._twist_s, self._twist, self._in_tool = t_s, values, in_tool
        return True

    def block(self) -> None:
        """A wish was not followed: nothing more until the operator let go."""
        self.grip = Grip.BLOCKED

    def tick(self, t_s: float, period_s: float, pose_base_tcp: Array | None) -> Steer:
        """What to ask of the arbiter now.

        Args:
            t_s: time now.
            period_s: since the last tick.
            pose_base_tcp: the arbiter's target ``[7]``: a wish counts from there, so that a blocked arm winds nothing
                up; None if there is none.
        """
        lost = min(self._joy_s, self._twist_s) <= t_s - LOST_AFTER_S
        if lost:
            self.grip = Grip.LOST if self.grip is Grip.ENGAGED else self.grip
            return Steer()
        if not self._held:
            let_go, self.grip = self.grip in (Grip.ENGAGED, Grip.LOST), Grip.AWAY
            return Steer(let_go=let_go)
        if self.grip in (Grip.BLOCKED, Grip.LOST) or pose_base_tcp is None:
            return Steer()
        self.grip = Grip.ENGAGED
        fresh = t_s - self._twist_s < ZERO_AFTER_S
        way = (self._twist if fresh else np.zeros(6)) * min(max(period_s, 0.0), _MAX_PERIOD_S)
        return Steer(wish=se3.apply_tool_delta(pose_base_tcp, way) if self._in_tool else _move(pose_base_tcp, way))


def _move(pose: Array, way: Array) -> Array:
    """A pose moved and turned along the axes of the base; the tool centre point is the centre of the turn."""
    turned = se3.quat_multiply(se3.rotvec_to_quat(way[3:]), pose[3:])
    return np.concatenate([pose[:3] + way[:3], se3.quat_normalize(turned)])
