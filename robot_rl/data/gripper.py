"""The gripper value of an action as one of three labels, and what counts as a toggle.

HIL-SERL (Luo et al. 2024, arXiv 2410.21845) learns the gripper with a discrete critic over {close, keep, open} and
charges only commands that really change the gripper. Labels are taken from the executed action.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from robot_rl.core.specs import GRIPPER, GRIPPER_THRESHOLD

CLOSE, KEEP, OPEN = 0, 1, 2


def gripper_label(action: npt.NDArray[np.floating]) -> npt.NDArray[np.int8]:
    """Label of an action: 0 closes (value < -0.5), 1 keeps, 2 opens (value > 0.5).

    Args:
        action: ``[..., 7]`` in [-1, 1].

    Returns:
        ``int8[...]``, without the last axis.
    """
    value = np.asarray(action)[..., GRIPPER]
    return (1 + (value > GRIPPER_THRESHOLD).astype(np.int8) - (value < -GRIPPER_THRESHOLD).astype(np.int8)).astype(
        np.int8
    )


def toggles(action: npt.NDArray[np.floating], closed: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Whether a command really changes the gripper: opening a closed one or closing an open one.

    Args:
        action: ``[..., 7]``.
        closed: whether the gripper was commanded closed before the action ``[...]``.
    """
    label = gripper_label(action)
    was_closed = np.asarray(closed, bool)
    toggled: npt.NDArray[np.bool_] = np.where(was_closed, label == OPEN, label == CLOSE)
    return toggled


def grasp_penalty(
    action: npt.NDArray[np.floating], closed: npt.ArrayLike, penalty: float = -1.0
) -> npt.NDArray[np.float32]:
    """`penalty` (<= 0) for each command that toggles the gripper, else zero ``float32[...]``.

    The default is a count; `robot_rl.data.rewards.RewardWeights` scales it when a batch is drawn.
    """
    return np.where(toggles(action, closed), np.float32(penalty), np.float32(0.0))
