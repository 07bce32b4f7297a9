"""Two numbers about a dataset: how good its episodes are (TQ) and how much of the task they show (SACo).

Schweighofer et al. 2022, "A Dataset Perspective on Offline Reinforcement Learning", arXiv 2111.04714, adapted to a
robot cell, where the best data one can compare with are the demonstrations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from robot_rl.core.specs import StateSpec
from robot_rl.core.transition import StepRecord

POSITION_PART, ROTATION_PART = "tcp_position", "tcp_rotation"
POSITION_CELL_M = 0.01
ROTATION_CELL_RAD = math.radians(5.0)
STATE_CELL = 0.25
"""Edge of a cell in units of a part's scale, for states without a tool pose."""

Cells = npt.NDArray[np.int32]


def trajectory_quality(returns: Sequence[float], demo_returns: Sequence[float]) -> float | None:
    """``TQ(D) = (g(D) - g_min) / (g_max - g_min)`` with ``g`` the mean discounted return of the episodes of a dataset.

    ``g_min = 0`` is the return of doing nothing; ``g_max`` is ``g`` of the run's demonstrations, where the paper takes
    the best policy of online training. 1 means as good as the demonstrations, more is better than they are.

    Args:
        returns: discounted return of each finished episode from its first step.
        demo_returns: the same of the demonstrations.

    Returns:
        TQ, or None when there are no episodes, no demonstrations, or these earn nothing.
    """
    if not returns or not demo_returns or not np.mean(demo_returns) > 0.0:
        return None
    return float(np.mean(returns) / np.mean(demo_returns))


def coverage_cells(records: Sequence[StepRecord], spec: StateSpec) -> Cells:
    """The state-action cell of each step, one row of whole numbers each.

    The state's part of a cell is that of the tool pose: ``floor(tcp_position / 1 cm)`` and ``floor(tcp_rotation / 5
    deg)``, the rotation vector from the home pose, six numbers. A state without these parts is binned whole: every
    value, normalised by its part, in cells of a quarter of its scale. The action's part is the octant of the executed
    translation: for x, y and z whether it is negative.

    Args:
        records: steps of any episodes with this state layout.
        spec: the layout.

    Returns:
        ``int32[T, k]``; two steps are in one cell exactly when their rows are equal.
    """
    if not records:
        return np.empty((0, 0), np.int32)
    states = np.stack([r.obs.state for r in records]).astype(np.float64)
    actions = np.stack([r.action_executed for r in records])
    sizes = {p.name: (p.size, p.unit) for p in spec.parts}
    if sizes.get(POSITION_PART) == (3, "m") and sizes.get(ROTATION_PART) == (3, "rad"):
        position = states[:, spec.slices[POSITION_PART]] / POSITION_CELL_M
        rotation = states[:, spec.slices[ROTATION_PART]] / ROTATION_CELL_RAD
        where = np.concatenate([position, rotation], 1)
    else:
        where = (states - spec.center) / spec.scale / STATE_CELL
    # readings far outside of any cell the task has would not fit the integers; their number is what counts
    limit = np.iinfo(np.int32).max / 2
    return np.concatenate([np.floor(where.clip(-limit, limit)), actions[:, :3] < 0.0], 1).astype(np.int32)


def unique_cells(cells: Sequence[Cells]) -> int:
    """``u(D)``: how many different cells occur; counted exactly, not estimated as in the paper."""
    filled = [c for c in cells if len(c)]
    return len(np.unique(np.concatenate(filled), axis=0)) if filled else 0


def coverage(cells: int, demo_cells: int) -> float | None:
    """``SACo(D) = u(D) / u(D_ref)`` relative to the run's demonstrations; None without any.

    The reference of the paper is a dataset of the same size; the demonstrations are usually smaller, so the number
    grows with the dataset and is to be read beside the two numbers of steps.
    """
    return cells / demo_cells if demo_cells else None


def log_coverage(cells: int, demo_cells: int) -> float | None:
    """``lSACo(D) = log u(D) / log u(D_ref)``; None when one of them is below 2."""
    return math.log(cells) / math.log(demo_cells) if min(cells, demo_cells) >= 2 else None
