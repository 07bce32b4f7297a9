"""Randomness as a function of (run seed, purpose, index), so that nothing depends on what ran before.

A run resumed at an episode boundary therefore draws exactly what the uninterrupted run would have drawn.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What random numbers are for; the values are part of the results, so they never change."""

    EPISODE = 0
    POLICY = 1
    TELEOP = 2
    EXPERT = 3
    REPLAY = 4
    AGENT = 5
    DEMO_EPISODE = 6


def stream_rng(seed: int, stream: Stream, index: int = 0) -> np.random.Generator:
    """Generator for one purpose and one index, for example the policy noise of episode 12."""
    return np.random.default_rng(np.random.SeedSequence((seed, int(stream), index)))


def stream_seed(seed: int, stream: Stream, index: int = 0) -> int:
    """Non-negative 31-bit integer seed for the same purposes."""
    return int(np.random.SeedSequence((seed, int(stream), index)).generate_state(1, np.uint32)[0] >> 1)
