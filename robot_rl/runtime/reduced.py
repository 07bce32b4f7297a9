"""Recorded steps whose states lack some parts: as they are seen by whoever is not told of these."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from robot_rl.core.specs import StateSpec
from robot_rl.core.transition import Observation, StepRecord


def reduced_spec(spec: StateSpec, without: Collection[str]) -> StateSpec:
    """The layout without these parts; names that it does not have do not matter."""
    return StateSpec(tuple(part for part in spec.parts if part.name not in without))


def reduced(records: Sequence[StepRecord], spec: StateSpec, without: Collection[str]) -> list[StepRecord]:
    """An episode whose states lack these parts; all else stays, also what a base policy would have done.

    Args:
        records: whole episode.
        spec: layout of its states.
        without: names of parts.
    """
    kept = np.concatenate([np.full(part.size, part.name not in without) for part in spec.parts])

    def cut(obs: Observation) -> Observation:
        return replace(obs, state=obs.state[kept])

    return [replace(r, obs=cut(r.obs), final_obs=None if r.final_obs is None else cut(r.final_obs)) for r in records]
