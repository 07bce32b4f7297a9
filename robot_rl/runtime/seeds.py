"""Randomness as a function of (run seed, purpose, index, actor), so that nothing depends on what ran before.

A run resumed at an episode boundary therefore draws exactly what the uninterrupted run would have drawn, and no two
actors of a run see the same numbers.
"""

from __future__ import annotations

import hashlib
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
    FILM = 7


FIRST_ACTOR = "a0"


def stream_rng(seed: int, stream: Stream, index: int = 0, actor: str = FIRST_ACTOR) -> np.random.Generator:
    """Generator for one purpose and one index, for example the policy noise of episode 12 of an actor."""
    return np.random.default_rng(_sequence(seed, stream, index, actor))


def stream_seed(seed: int, stream: Stream, index: int = 0, actor: str = FIRST_ACTOR) -> int:
    """Non-negative 31-bit integer seed for the same purposes."""
    return int(_sequence(seed, stream, index, actor).generate_state(1, np.uint32)[0] >> 1)


def _sequence(seed: int, stream: Stream, index: int, actor: str) -> np.random.SeedSequence:
    key = () if actor == FIRST_ACTOR else (int.from_bytes(hashlib.sha256(actor.encode()).digest()[:8], "little"),)
    return np.random.SeedSequence((seed, int(stream), index, *key))
