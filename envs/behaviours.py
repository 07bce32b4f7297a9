"""Scripted episodes that film what success looks like, and what only looks like it.

A success classifier is as good as the failures that it has seen: the hand that stops half way, the hand that flies off
without the object, the object that is dropped again. Each behaviour follows the task's scripted expert and departs from
him where it must.
"""

from __future__ import annotations

import numpy as np

from robot_rl.core.errors import ConfigError, unknown_name
from robot_rl.core.specs import GRIPPER
from robot_rl.core.transition import Observation
from robot_rl.core.types import Float32
from robot_rl.envs.cell_env import CellEnv
from robot_rl.envs.experts import ScriptedExpert

SUCCESS, NEAR_MISS, FLY_OVER, DROPPED, WANDER = "success", "near_miss", "fly_over", "dropped", "wander"
APPROACH = "approach"
BEHAVIOURS = (SUCCESS, NEAR_MISS, FLY_OVER, SUCCESS, DROPPED, WANDER)
"""In the order in which they are filmed, again and again."""


class Behaviour:
    """One scripted episode as a policy; hand it to a `robot_rl.runtime.collector.Collector`.

    Args:
        env: the environment it acts in, in which success does not end an episode.
        kind: one of `BEHAVIOURS`.
        rng: source of everything random.

    Raises:
        ConfigError: unknown behaviour.

    Attributes:
        buckets: kind of situation of each frame that was acted on.
        over: it has shown what it is for.
    """

    version = -1

    def __init__(self, env: CellEnv, kind: str, rng: np.random.Generator) -> None:
        if kind not in BEHAVIOURS:
            raise ConfigError(unknown_name("behaviour", kind, BEHAVIOURS))
        self._env, self._kind, self._rng = env, kind, rng
        self._expert = ScriptedExpert(env, rng)
        self._stop_at = rng.uniform(0.4, 0.85)
        self._grip = float(rng.choice([-1.0, 1.0]))
        self._show_steps = int(rng.integers(10, 18))
        self._leave_after = int(rng.integers(12, 28))
        self._drift = np.zeros(6)
        self._shown = 0
        self._done_for = 0
        self.buckets: list[str] = []

    @property
    def over(self) -> bool:
        """Whether it has shown what it is for."""
        return self._shown >= self._show_steps

    def act(self, obs: Observation, rng: np.random.Generator, *, deterministic: bool = False) -> Float32:
        """The next action ``[7]``."""
        now = self._env.snapshot
        done = self._env.task.success(now)
        self._done_for += done
        action = {
            SUCCESS: self._succeed,
            NEAR_MISS: self._stop_short,
            FLY_OVER: self._fly_over,
            DROPPED: self._drop,
            WANDER: self._wander,
        }[self._kind]()
        showing = self._shown > 0
        self.buckets.append(SUCCESS if done else self._kind if showing and self._kind != SUCCESS else APPROACH)
        active = np.zeros(len(action), bool)
        active[list(self._env.action_spec.active)] = True
        return np.where(active, np.clip(action, -1.0, 1.0), 0.0).astype(np.float32)

    def _succeed(self) -> Float32:
        action = self._expert.act()
        if self._done_for:
            self._shown += 1
            action[:3] += self._drifting()[:3]
        return action

    def _stop_short(self) -> Float32:
        if not self._shown and self._env.task.progress(self._env.snapshot) < self._stop_at:
            return self._expert.act()
        self._shown += 1
        return self._hovering(0.0)

    def _fly_over(self) -> Float32:
        """As the expert, but with a hand that never changes; then up and away."""
        if len(self.buckets) < self._leave_after:
            action = self._expert.act()
            action[GRIPPER] = self._grip
            return action
        self._shown += 1
        action = self._hovering(self._grip)
        action[2] -= 0.6
        return action

    def _drop(self) -> Float32:
        if self._done_for < 10 and not self._shown:
            return self._expert.act()
        self._shown += 1
        return self._hovering(1.0)

    def _wander(self) -> Float32:
        self._shown += 1
        self._show_steps = max(self._show_steps, 30)
        action = self._hovering(0.0)
        action[:6] *= 3.0
        if self._rng.random() < 0.1:
            action[GRIPPER] = self._rng.choice([-1.0, 1.0])
        return action

    def _hovering(self, gripper: float) -> Float32:
        return np.append(self._drifting(), gripper).astype(np.float32)

    def _drifting(self) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        self._drift = 0.8 * self._drift + self._rng.normal(0.0, 0.12, 6) * [1, 1, 1, 0.5, 0.5, 0.5]
        return self._drift
