"""Training windows: what was seen up to a step and the actions from that step on, never across episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DataError
from robot_rl.core.specs import ACTION_SIZE
from robot_rl.core.types import Float32, Image

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Demonstration:
    """One episode to imitate, T steps.

    Attributes:
        states: seen before each action ``float32[T, n]``, and after the last one if ``[T + 1, n]``.
        actions: executed ``float32[T, 7]`` in [-1, 1].
        images: by camera ``uint8[T, H, W, 3]``, or T + 1 of them.
    """

    states: Float32
    actions: Float32
    images: Mapping[str, Image] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """T."""
        return len(self.actions)


@dataclass(frozen=True)
class Windows:
    """Windows as rows of the joined episodes; N windows, R states, S actions.

    Attributes:
        states: of all episodes ``float32[R, n]``.
        actions: of all episodes ``float32[S, 7]``.
        images: by camera ``uint8[R, H, W, 3]``; of a row without a picture a copy of the one before.
        seen: rows of each window's observations, oldest first, the first of the episode repeated ``int64[N, T_o]``.
        planned: rows of its actions, the last of the episode repeated ``int64[N, T_p]``.
        valid: which of them are not repetitions ``bool[N, T_p]``.
        last: row of the last state of its episode ``int64[N]``.
    """

    states: Float32
    actions: Float32
    images: Mapping[str, Image]
    seen: Rows
    planned: Rows
    valid: npt.NDArray[np.bool_]
    last: Rows

    def __len__(self) -> int:
        """How many."""
        return len(self.seen)


def make_windows(
    demos: Sequence[Demonstration],
    observations: int,
    horizon: int,
    *,
    cameras: Sequence[str] = (),
    pad_after: int | None = None,
) -> Windows:
    """The windows of some episodes; every step begins one unless `pad_after` says otherwise.

    Args:
        demos: at least one.
        observations: T_o; the first observation is repeated up to T_o - 1 times before the episode.
        horizon: T_p.
        cameras: whose pictures are needed.
        pad_after: most repetitions of the last action in a window; T_p - 1 unless given. Diffusion Policy (2303.04137)
            has the number of executed actions less one.

    Raises:
        DataError: there is no episode or no step, shapes differ, or a number is not finite.
    """
    if not demos:
        raise DataError("there are no demonstrations to learn from: record some, or name another folder")
    for i, demo in enumerate(demos):
        _check(demo, i, demos[0], cameras)
    pad = horizon - 1 if pad_after is None else pad_after
    seen, planned, valid, last = [], [], [], []
    state_row = action_row = 0
    for demo in demos:
        starts = np.arange(min(demo.steps, max(0, demo.steps - horizon + 1 + pad)))
        ahead = starts[:, None] + np.arange(horizon)
        behind = starts[:, None] + np.arange(1 - observations, 1)
        seen.append(np.maximum(behind, 0) + state_row)
        planned.append(np.minimum(ahead, demo.steps - 1) + action_row)
        valid.append(ahead < demo.steps)
        last.append(np.full(len(starts), state_row + len(demo.states) - 1))
        state_row += len(demo.states)
        action_row += demo.steps
    if not sum(map(len, seen)):
        raise DataError(f"no episode is long enough for a window of {horizon} actions with {pad} repeated ones")
    return Windows(
        np.concatenate([d.states for d in demos]),
        np.concatenate([d.actions for d in demos]),
        {name: np.concatenate([_as_many(d.images[name], len(d.states)) for d in demos]) for name in cameras},
        np.concatenate(seen).astype(np.int64),
        np.concatenate(planned).astype(np.int64),
        np.concatenate(valid),
        np.concatenate(last).astype(np.int64),
    )


def _as_many(images: Image, rows: int) -> Image:
    return images if len(images) == rows else np.concatenate([images, images[-1:]])


def _check(demo: Demonstration, i: int, first: Demonstration, cameras: Sequence[str]) -> None:
    where, steps = f"demonstration {i}", demo.steps
    if demo.actions.shape != (steps, ACTION_SIZE) or not steps:
        raise DataError(f"{where} has actions of shape {demo.actions.shape}, expected [T, {ACTION_SIZE}] with a step")
    if demo.states.ndim != 2 or len(demo.states) not in (steps, steps + 1):
        raise DataError(f"{where} has states of shape {demo.states.shape}, expected one for each of {steps} actions")
    if demo.states.shape[1] != first.states.shape[1]:
        raise DataError(f"{where} has states of {demo.states.shape[1]} values, others of {first.states.shape[1]}")
    if demo.states.dtype != np.float32 or demo.actions.dtype != np.float32:
        raise DataError(f"{where} has {demo.states.dtype} states and {demo.actions.dtype} actions, expected float32")
    for name, array in (("states", demo.states), ("actions", demo.actions)):
        if not np.isfinite(array).all():
            row = int(np.flatnonzero(~np.isfinite(array).all(1))[0])
            raise DataError(f"{where} has {name} that are not finite, first at step {row}: leave the episode out")
    if np.abs(demo.actions).max() > 1.0:
        raise DataError(f"{where} has actions outside [-1, 1]: scale them to the limits of the task first")
    for name in cameras:
        images, others = demo.images.get(name), first.images.get(name)
        if images is None or others is None:
            raise DataError(f"{where} has no pictures of camera {name!r}; there are {', '.join(demo.images) or 'none'}")
        if images.ndim != 4 or images.dtype != np.uint8 or images.shape[3] != 3 or images.shape[1:] != others.shape[1:]:
            raise DataError(f"{where}: pictures of {name!r} are {images.dtype}{list(images.shape)}, expected equal RGB")
        if len(images) not in (steps, steps + 1) or len(images) > len(demo.states):
            raise DataError(f"{where}: {len(images)} pictures of {name!r} for {len(demo.states)} states")
