"""The target of the next tick, from what is wished, what was sent last and where the arm is."""

from __future__ import annotations

from robot_rl.controllers.arbiter_config import ArbiterConfig
from robot_rl.controllers.arbiter_modes import ENABLED, Mode
from robot_rl.controllers.safety import LimitedTarget, limit_target
from robot_rl.core.types import Array


def next_target(
    mode: Mode, previous: Array | None, measured: Array, wish: Array | None, period_s: float, config: ArbiterConfig
) -> LimitedTarget:
    """Where the arm is to go, and the limits that acted on the wish.

    Args:
        mode: of the arbiter.
        previous: last target ``pose_base_tcp`` ``[7]``; None at the start, and for an arm that is moved by others.
        measured: pose of the arm ``[7]``.
        wish: of the commander in charge ``[7]``; None to stay at the previous target.
        period_s: since the previous target.
        config: limits.
    """
    if previous is None or mode is Mode.HOMING:
        return LimitedTarget(measured, frozenset())
    if mode not in ENABLED:
        # A frozen target is dragged along by an arm that is pushed away, so that it never springs back far.
        return LimitedTarget(limit_target(previous, previous, measured, config.leash).pose, frozenset())
    return limit_target(previous if wish is None else wish, previous, measured, config.limits(period_s))
