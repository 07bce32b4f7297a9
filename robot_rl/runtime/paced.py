"""A simulation that a person can follow: its steps take as long as they say."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from robot_rl.core.specs import ActionSpec, StateSpec
from robot_rl.core.types import CellReadings, Float32
from robot_rl.runtime.based import Planned
from robot_rl.runtime.environment import Env


class Paced:
    """`robot_rl.runtime.environment.Env` at the pace of the wall clock; what is in real time anyway is left alone.

    A step that comes late is not made up for: the ones after it take their whole time.

    Args:
        env: closed with this one.
        now_s: a clock that does not run backwards.
        sleep: waits for so many seconds.
        when: asked at each step; while it says no, steps take no longer than they need.
    """

    def __init__(
        self,
        env: Env,
        now_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        *,
        when: Callable[[], bool] = lambda: True,
    ) -> None:
        self._env, self._now_s, self._sleep, self._when = env, now_s, sleep, when
        self.hz = env.hz
        self._tick_s = now_s()

    @property
    def state_spec(self) -> StateSpec:
        """Layout of ``obs["state"]``."""
        return self._env.state_spec

    @property
    def action_spec(self) -> ActionSpec:
        """Meaning of the action."""
        return self._env.action_spec

    @property
    def task_id(self) -> str:
        """Id of the task."""
        return self._env.task_id

    @property
    def lockstep(self) -> bool:
        """Of the environment within: its episodes can be repeated whatever the pace."""
        return self._env.lockstep

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        answer = self._env.reset(seed=seed, options=options)
        self._tick_s = self._now_s()
        return answer

    def step(self, action: Float32) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Act for one control period, and wait until it is over."""
        answer = self._env.step(action)
        if self._env.lockstep and self._when():
            self._tick_s = max(self._tick_s + 1.0 / self.hz, self._now_s())
            self._sleep(max(self._tick_s - self._now_s(), 0.0))
        return answer

    def flush(self) -> None:
        """Somebody else than the policy commands the next step."""
        if isinstance(self._env, Planned):
            self._env.flush()

    def wanted(self) -> str:
        """What a person has to see to before the first step."""
        return self._env.wanted()

    def confirm(self) -> None:
        """A person has done it."""
        self._env.confirm()

    def look(self) -> Any:
        """What there is to see now."""
        return self._env.look()

    def readings(self) -> CellReadings | None:
        """What is known about the cell."""
        return self._env.readings()

    def hold(self) -> None:
        """Stand still; the next step is not late."""
        self._env.hold()

    def close(self) -> None:
        """Release the cell."""
        self._env.close()
