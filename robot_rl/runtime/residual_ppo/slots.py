"""What simulating processes and the one that learns tell each other: arrays in memory that both have mapped."""

from __future__ import annotations

import mmap
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from robot_rl.core.specs import ACTION_SIZE
from robot_rl.core.types import Float32

NO_SEED = -1


class End(IntEnum):
    """What became of an environment's episode in a step."""

    GOES_ON = 0
    TERMINATED = 1
    TRUNCATED = 2
    RESTS = 3
    """It has none: its last one ended, and no other was to begin."""


class Slots(NamedTuple):
    """One row an environment; the learning process writes the first two, a simulating one the rest.

    Attributes:
        seeds: what the next episode begins from, `NO_SEED` if none is to begin ``int64[E]``.
        actions: of the next step ``float32[E, 7]``.
        states: what is seen now, after a new episode has begun if the last one ended ``float32[E, n]``.
        last_states: what was seen at the end of the last episode ``float32[E, n]``.
        rewards: of the step ``float32[E]``.
        ends: an `End` ``int32[E]``.
        successes: 1 where the step solved the task ``int32[E]``.
    """

    seeds: npt.NDArray[np.int64]
    actions: Float32
    states: Float32
    last_states: Float32
    rewards: Float32
    ends: npt.NDArray[np.int32]
    successes: npt.NDArray[np.int32]


def slots_size(envs: int, state_size: int) -> int:
    """Bytes that the arrays take."""
    return sum(int(np.prod(shape)) * np.dtype(kind).itemsize for shape, kind in _layout(envs, state_size))


def map_slots(handle: int, envs: int, state_size: int) -> tuple[Slots, mmap.mmap]:
    """The arrays in an open file of `slots_size` bytes; they are valid until the mapping is closed."""
    memory = mmap.mmap(handle, slots_size(envs, state_size))
    arrays, at = [], 0
    for shape, kind in _layout(envs, state_size):
        count = int(np.prod(shape))
        arrays.append(np.frombuffer(memory, kind, count, at).reshape(shape))
        at += count * np.dtype(kind).itemsize
    return Slots(*arrays), memory


def _layout(envs: int, state_size: int) -> tuple[tuple[tuple[int, ...], type[np.generic]], ...]:
    """Shape and kind of each array; the widest come first, so that all are aligned."""
    return (
        ((envs,), np.int64),
        ((envs, ACTION_SIZE), np.float32),
        ((envs, state_size), np.float32),
        ((envs, state_size), np.float32),
        ((envs,), np.float32),
        ((envs,), np.int32),
        ((envs,), np.int32),
    )
