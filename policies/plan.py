"""Plans of a base policy kept running ahead of the robot: receding horizon, void as soon as somebody else acts."""

from __future__ import annotations

from collections import deque

import numpy as np

from robot_rl.core.base import BasePolicy
from robot_rl.core.errors import ConfigError
from robot_rl.core.transition import Observation
from robot_rl.core.types import Float32


class Planner:
    """Asks a base policy for plans and says, observation after observation, what they hold for the steps from now on.

    A plan is asked for when the running ones were followed for `replan_every` steps, or were flushed. All proposals are
    made at the same moment, of the same observations, from different noise.

    Args:
        base: asked; closed with the planner.
        proposals: plans kept at a time, K.
        lookahead: steps of each that `see` answers with, h.
        replan_every: steps for which a plan is followed.

    Attributes:
        asked: how often the base was asked.

    Raises:
        ConfigError: a size is below 1, or a plan does not reach far enough.
    """

    def __init__(self, base: BasePolicy, *, proposals: int = 1, lookahead: int = 1, replan_every: int = 8) -> None:
        info = base.info
        if min(proposals, lookahead, replan_every) < 1:
            raise ConfigError(
                f"got {proposals} proposals, {lookahead} steps of lookahead, a new plan every {replan_every} steps; "
                "expected at least 1 of each"
            )
        if replan_every + lookahead - 1 > info.horizon:
            raise ConfigError(
                f"the base {info.name} plans {info.horizon} steps, but {replan_every + lookahead - 1} are needed to "
                f"follow a plan for {replan_every} and look {lookahead} ahead at the last: replan more often, or train "
                "a base with a longer horizon"
            )
        self.base = base
        self.proposals, self.lookahead, self.replan_every = proposals, lookahead, replan_every
        self.asked = 0
        self._rng = np.random.default_rng(0)
        self._seen: deque[Observation] = deque(maxlen=info.observations)
        self._plans: Float32 | None = None
        self._at = 0

    def reset(self, seed: int) -> None:
        """A new episode begins, whose plans' noise follows from `seed` alone."""
        self._rng = np.random.default_rng(seed)
        self._seen.clear()
        self.flush()

    def flush(self) -> None:
        """Somebody else acted: the plans are void, and the next observation is planned from anew."""
        self._plans, self._at = None, 0

    def see(self, obs: Observation) -> Float32:
        """What the plans hold for the step on this observation and those after it; called once for each observation.

        Returns:
            ``float32[K, h, 7]`` in [-1, 1].

        Raises:
            DataError: the observation does not fit the base.
            DeviceError: a base that runs elsewhere does not answer.
        """
        self.remember(obs)
        if self._plans is None or self._at >= self.replan_every:
            shape = (self.proposals, *self.base.info.noise_shape)
            self._plans, self._at = self.propose(self._rng.standard_normal(shape, dtype=np.float32)), 0
        ahead = self._plans[:, self._at : self._at + self.lookahead]
        self._at += 1
        return ahead

    def remember(self, obs: Observation) -> None:
        """Take an observation without following a plan on it."""
        if not self._seen:
            self._seen.extend([obs] * self.base.info.observations)
        self._seen.append(obs)

    def propose(self, noise: Float32) -> Float32:
        """Plans ``float32[n, horizon, 7]`` from the newest observations and noise ``float32[n, *noise_shape]``."""
        self.asked += 1
        return self.base.propose(tuple(self._seen), noise)

    def close(self) -> None:
        """Release the base. May be called twice."""
        self.base.close()
