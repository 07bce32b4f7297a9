"""From where the tool is to where a hand has dragged it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from robot_rl.controllers.se3 import tool_delta
from robot_rl.core.types import Array

GAIN = 0.3
"""Share of the way that is asked for in a step. The pose that is known may be a step old while the arm still moves:
with more, the tool then goes too far, which matters where it touches something."""


def twist_towards(
    pose_base_tcp: npt.ArrayLike, pose_base_goal: npt.ArrayLike, step: npt.ArrayLike, active: Sequence[int]
) -> Array:
    """The motion that brings the tool nearer, slower and slower at the end.

    Args:
        pose_base_tcp: where it is ``[7]``.
        pose_base_goal: where it is to be ``[7]``.
        step: tool delta at full deflection ``[6]``, in m and rad.
        active: axes of the six that may move; the others are zero.

    Returns:
        Motion ``[6]`` in [-1, 1], tool frame. What would be too fast is scaled down as a whole, so that the tool goes
        straight.

    Raises:
        DataError: a pose is not of seven values.
    """
    scale = np.asarray(step, np.float64)
    moves = np.zeros(6, bool)
    moves[list(active)] = True
    moves &= scale > 0.0
    asked = np.zeros(6)
    asked[moves] = GAIN * tool_delta(pose_base_tcp, pose_base_goal)[moves] / scale[moves]
    return asked / max(1.0, float(np.abs(asked).max()))
