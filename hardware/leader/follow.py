"""From the motion of one tool to commands for another: a pure function.

What the follower was told so far is kept as a pose among the leader's. A command is the way from there to where the
leader is now, as far as one step reaches; what a step does not reach is still there at the next.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robot_rl.controllers.se3 import apply_tool_delta, tool_delta
from robot_rl.core.errors import ConfigError
from robot_rl.core.types import Array

# A leader at rest commands exactly nothing.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class FollowLimits:
    """How far one command reaches, and how much is left for later ones.

    Attributes:
        step_m: translation of the follower at full deflection.
        step_rad: rotation of it at full deflection.
        scale: translation of the follower per translation of the leader.
        carry_m: translation of the follower that may be left over.
        carry_rad: rotation that may be left over.
    """

    step_m: float
    step_rad: float
    scale: float = 1.0
    carry_m: float = 0.05
    carry_rad: float = 0.3

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: a step or the scale is not above zero.
        """
        for name in ("step_m", "step_rad", "scale"):
            if not getattr(self, name) > 0.0:
                raise ConfigError(f"a leader's {name} is {getattr(self, name)}, expected more than 0")


def follow(pose_told: Array, pose_leader: Array, limits: FollowLimits) -> tuple[Array, Array]:
    """One command.

    Args:
        pose_told: where the follower was told to be so far, in the leader's base frame ``[7]``.
        pose_leader: where the leader's tool is, in the same frame ``[7]``.
        limits: of commands.

    Returns:
        The command ``[6]`` in [-1, 1], in the axes of the tool that was told, and what the follower is told with it
        ``[7]``. Translation and rotation are each shortened as a whole, so that the way stays straight.
    """
    unit = np.repeat([limits.step_m / limits.scale, limits.step_rad], 3)
    share = tool_delta(pose_told, pose_leader) / unit
    share[np.abs(share) < _ROUNDING] = 0.0
    for part in (slice(0, 3), slice(3, 6)):
        share[part] /= max(1.0, float(np.abs(share[part]).max()))
    told = apply_tool_delta(pose_told, share * unit)
    rest = tool_delta(told, pose_leader)
    for part, carried in ((slice(0, 3), limits.carry_m / limits.scale), (slice(3, 6), limits.carry_rad)):
        left = float(np.linalg.norm(rest[part]))
        rest[part] *= max(0.0, 1.0 - carried / left) if left > 0.0 else 0.0
    return share, apply_tool_delta(told, rest) if rest.any() else told
