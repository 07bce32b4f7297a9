"""A base policy that acts alone: plan, follow the plan for some steps, plan again."""

from __future__ import annotations

import hashlib

import numpy as np

from robot_rl.core.errors import DataError
from robot_rl.core.transition import Observation
from robot_rl.core.types import Float32
from robot_rl.policies.plan import Planner

SEEDS = 2**63


class PlannedPolicy:
    """Follows the first plan of a planner; implements `robot_rl.core.protocols.Policy`.

    It remembers: `reset` begins an episode, and each observation is one control step later than the one before. When
    deterministic, the noise of an episode's plans follows from the first state of that episode alone: the same start
    always gives the same plans, whoever plays it and whatever was played before, while different starts meet different
    noise, so that a rate over many starts is one of the base's whole distribution and not of one sample of it.

    Args:
        planner: closed with the policy.
        version: of the base, for the record.
    """

    def __init__(self, planner: Planner, version: int = 0) -> None:
        self._planner = planner
        self._version = version
        self._begun = False

    @property
    def version(self) -> int:
        """Of the base."""
        return self._version

    @property
    def planner(self) -> Planner:
        """What it follows."""
        return self._planner

    def reset(self) -> None:
        """Begin a new episode."""
        self._begun = False

    def flush(self) -> None:
        """Somebody else acted: the plan is void."""
        self._planner.flush()

    def act(self, obs: Observation, rng: np.random.Generator, *, deterministic: bool = False) -> Float32:
        """What the plan holds for the step on this observation.

        Args:
            obs: what is seen now.
            rng: seeds the noise of an episode at its first step; not touched when deterministic.
            deterministic: take that seed from the first state instead.

        Raises:
            DataError: the observation is not finite or does not fit the base.
            DeviceError: a base that runs elsewhere does not answer.
        """
        if not np.isfinite(obs.state).all():
            raise DataError(f"the state is not finite at indices {np.flatnonzero(~np.isfinite(obs.state)).tolist()}")
        if not self._begun:
            self._planner.reset(_seed_of(obs) if deterministic else int(rng.integers(SEEDS)))
            self._begun = True
        action: Float32 = self._planner.see(obs)[0, 0].copy()
        return action

    def close(self) -> None:
        """Release the base. May be called twice."""
        self._planner.close()


def _seed_of(obs: Observation) -> int:
    return int.from_bytes(hashlib.sha256(obs.state.tobytes()).digest()[:8], "little") % SEEDS
