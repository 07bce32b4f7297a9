"""Drawing n-step windows from packed rows: the one loop that every sampled transition passes.

A row holds ``state | action | reward components | guided | link``. The link says what is known about the step to the
next row; a window follows links and can therefore cross neither an episode, nor the ring pointer, nor a gap, nor an
unknown successor. The row behind a linked one always holds the frame seen next. Guided is 1 where the policy did not
act itself (`robot_rl.core.transition.StepRecord.guided`).
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DataError
from robot_rl.core.specs import ACTION_SIZE
from robot_rl.core.transition import Batch
from robot_rl.core.types import Float32

NO_LINK, BOOTSTRAPS, TERMINATES = 0.0, 1.0, 2.0
Slots = npt.NDArray[np.int64]
_BLOCK = 64


class Chunks(NamedTuple):
    """The first h steps of windows, see `robot_rl.core.transition.ChunkBatch`.

    Attributes:
        actions: ``[B, h, 7]``.
        valid: ``[B, h]``.
        guided: ``[B, h]``.
    """

    actions: Float32
    valid: Float32
    guided: Float32


NO_CHUNKS = Chunks(np.empty((0, 0, ACTION_SIZE), np.float32), *(np.empty((0, 0), np.float32) for _ in range(2)))


def check_chunk(chunk: int, n_step: int) -> None:
    """Check how many steps of each window are wanted.

    Raises:
        DataError: it is less than one, or more than a window has.
    """
    if not 1 <= chunk <= n_step:
        raise DataError(
            f"chunks of {chunk} steps from windows of at most {n_step}; expected 1 <= chunk <= n_step: raise n_step, "
            "or choose shorter chunks"
        )


def gather(
    rows: Float32,
    slots: Slots,
    out: Batch,
    ends: Slots,
    weights: tuple[Float32, Float32],
    gamma: float,
    n_step: int,
    chunks: Chunks = NO_CHUNKS,
) -> None:
    """Fill `out` with the windows that begin at `slots`.

    With ``k <= n_step`` followed links: ``reward = sum_i gamma^i r_i``, ``discount = gamma^k (1 - terminated)``
    (n-step returns, Sutton and Barto 2018, section 7.1), and the successor is the frame after the k-th step.

    Args:
        rows: ``[slots, n + 7 + components + 2]``.
        slots: first slot of each window ``[B]``, each with a link.
        out: arrays ``[B, ...]`` written in place.
        ends: receives the slot of the successor ``[B]``.
        weights: of the components in `Batch.reward` and in `Batch.gripper_reward`.
        gamma: discount per step.
        n_step: longest window, at least 1.
        chunks: receives the first h <= n_step steps of each window, if they are wanted.
    """
    _gather(
        rows, slots, out.state, out.action, out.reward, out.gripper_reward, out.discount, out.next_state, ends,
        *weights, gamma, n_step, *chunks,
    )  # fmt: skip


@numba.njit(cache=True, nogil=True)
def _gather(
    rows: Float32,
    slots: Slots,
    state: Float32,
    action: Float32,
    reward: Float32,
    gripper_reward: Float32,
    discount: Float32,
    next_state: Float32,
    ends: Slots,
    weights: Float32,
    gripper_weights: Float32,
    gamma: float,
    n_step: int,
    chunk_action: Float32,
    chunk_valid: Float32,
    chunk_guided: Float32,
) -> None:
    n, width, actions, horizon = state.shape[1], rows.shape[1], action.shape[1], chunk_valid.shape[1]
    values = rows.reshape(-1)
    # Plain copies of a block first: the processor fetches many random rows at once, which the arithmetic between
    # them would prevent. Twice as fast as one pass. Loops, because numba's slice assignment is slow.
    block = np.empty((_BLOCK, n_step * width + n), np.float32)
    for start in range(0, slots.shape[0], _BLOCK):
        stop = min(start + _BLOCK, slots.shape[0])
        for b in range(start, stop):
            first = slots[b] * width
            # near the end of the storage there is less to copy; links keep windows from reading beyond
            count = min(block.shape[1], values.shape[0] - first)
            source, run = values[first : first + count], block[b - start]
            for c in range(count):
                run[c] = source[c]
        for b in range(start, stop):
            run = block[b - start]
            state_row, action_row, next_row = state[b], action[b], next_state[b]
            for c in range(n):
                state_row[c] = run[c]
            for c in range(actions):
                action_row[c] = run[n + c]
            total, gripper_total, factor, at, k = 0.0, 0.0, 1.0, 0, 0
            for _ in range(n_step):
                link = run[at + width - 1]
                if link == NO_LINK:
                    break
                step_reward, gripper_step = 0.0, 0.0
                for c in range(weights.shape[0]):
                    component = run[at + n + actions + c]
                    step_reward += weights[c] * component
                    gripper_step += gripper_weights[c] * component
                total += factor * step_reward
                gripper_total += factor * gripper_step
                factor *= gamma
                at += width
                k += 1
                if link == TERMINATES:
                    factor = 0.0
                    break
            reward[b], gripper_reward[b], discount[b], ends[b] = total, gripper_total, factor, slots[b] + k
            for c in range(n):
                next_row[c] = run[at + c]
            for i in range(horizon):
                held = i < k
                step = i * width if held else at - width
                chunk_valid[b, i] = 1.0 if held else 0.0
                chunk_guided[b, i] = run[step + width - 2] if held else 0.0
                for c in range(actions):
                    chunk_action[b, i, c] = run[step + n + c]


def gather_returns(
    rows: Float32, slots: Slots, out: Float32, state_size: int, weights: Float32, gamma: float, floor: float
) -> None:
    """Discounted return from each slot to the end of what is stored of its episode, with the rewards as they are now.

    Nothing is kept between calls, so relabelled rewards and new weights count at once. What is cut, not yet over or
    behind a gap is assumed to earn `floor` from there on, as in `robot_rl.data.rewards.mc_returns`.

    Args:
        rows: ``[slots, n + 7 + components + 2]``.
        slots: first slot of each return ``[B]``, each with a link.
        out: receives the returns ``[B]``.
        state_size: n.
        weights: of the components.
        gamma: discount per step.
        floor: value after the last link unless that one terminates.
    """
    _gather_returns(rows, slots, out, state_size + ACTION_SIZE, weights, gamma, floor)


@numba.njit(cache=True, nogil=True)
def _gather_returns(
    rows: Float32, slots: Slots, out: Float32, components: int, weights: Float32, gamma: float, floor: float
) -> None:
    for b in range(slots.shape[0]):
        total, factor, at = 0.0, 1.0, slots[b]
        link = rows[at, -1]
        while link != NO_LINK:
            for c in range(weights.shape[0]):
                total += factor * weights[c] * rows[at, components + c]
            factor *= gamma
            if link == TERMINATES:
                factor = 0.0
                break
            at += 1
            link = rows[at, -1]
        out[b] = total + factor * floor
