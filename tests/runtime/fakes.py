"""A point on a line instead of a robot: fast, exact, and as wrong as a test wants it to be."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from robot_rl.agents.config import SacConfig
from robot_rl.core.errors import DataError
from robot_rl.core.specs import ActionSpec, Part, StateSpec
from robot_rl.core.transition import Observation, Source, StepRecord
from robot_rl.core.types import TeleopState
from robot_rl.runtime.config import DemoConfig, EvalConfig, PaceConfig, TrainConfig

SPEC = StateSpec((Part("position", 1, "m"), Part("goal", 1, "m")))
ACTIONS = ActionSpec(0.1, 0.1, active=(0, 1))


class PointEnv:
    """Move x to the goal: success within 5 cm, time-out after `limit` steps. The state is [x, goal].

    Args:
        limit: steps of an episode at most.
        bad_at: (episode, step) pairs whose observation is NaN; step 0 is the reset.
        raise_bad: report those by an exception, as `StateSpec.pack` does.
    """

    task_id = "Point"
    state_spec = SPEC
    action_spec = ACTIONS
    hz = 10.0
    lockstep = True

    def __init__(
        self, limit: int = 20, bad_at: Callable[[int, int], bool] = lambda e, s: False, *, raise_bad: bool = False
    ) -> None:
        self.max_steps = limit
        self.task = SimpleNamespace(episode_steps=limit)
        self.bad_at, self.raise_bad = bad_at, raise_bad
        self.episode, self.seeds = -1, list[int | None]()
        self.actions = list[np.ndarray]()
        self.closed = False
        self.holds = self.confirms = 0
        self.request = ""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self.episode, self.steps = self.episode + 1, 0
        self.seeds.append(seed)
        rng = np.random.default_rng(seed)
        self.x, self.goal = rng.uniform(-0.3, 0.3, 2)
        return self._observe(), {"t_control_s": 0.0}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        executed = np.clip(np.asarray(action, np.float32), -0.8, 0.8)
        self.actions.append(executed)
        self.x += 0.1 * float(executed[0])
        self.steps += 1
        success = abs(self.x - self.goal) < 0.05
        timeout = self.steps >= self.max_steps and not success
        info = {
            "action_executed": executed,
            "rewards": {"success": float(success), "grasp_penalty": -0.5},
            "success": success,
            "stop_reason": "success" if success else "time_out" if timeout else "",
            "t_control_s": self.steps / self.hz,
            "late_s": 0.0 if self.lockstep else 0.004,
            "missed": False,
        }
        return self._observe(), float(success), success, timeout, info

    def wanted(self) -> str:
        return self.request

    def confirm(self) -> None:
        self.confirms += 1
        self.request = ""

    def look(self) -> dict[str, Any]:
        return self._observe()

    def readings(self) -> None:
        return None

    def hold(self) -> None:
        self.holds += 1

    def close(self) -> None:
        self.closed = True

    def _observe(self) -> dict[str, Any]:
        state = np.array([self.x, self.goal], np.float32)
        if self.bad_at(self.episode, self.steps):
            if self.raise_bad:
                raise DataError("state part 'position' is not finite: [nan]")
            state[0] = np.nan
        return {"state": state}


class Constant:
    """A policy that always proposes the same."""

    def __init__(self, value: float, version: int = 7) -> None:
        self.value, self.version = value, version

    def act(self, obs: Observation, rng: np.random.Generator, *, deterministic: bool = False) -> np.ndarray:
        return np.full(7, self.value, np.float32)


class Expert:
    """Goes straight to the goal."""

    def __init__(self, env: PointEnv) -> None:
        self.env = env

    def reset(self) -> None:
        pass

    def act(self) -> np.ndarray:
        action = np.zeros(7, np.float32)
        action[0] = np.clip(5 * (self.env.goal - self.env.x), -0.5, 0.5)
        return action


class Helper:
    """A program in a person's place that is engaged in given steps of each episode and pushes with a given strength."""

    def __init__(self, steps: set[int], value: float = 0.25, buttons: frozenset[str] = frozenset()) -> None:
        self.steps, self.value, self.buttons = steps, value, buttons
        self.reads, self.closed = -1, False

    def read(self) -> TeleopState:
        self.reads += 1
        engaged = self.reads in self.steps
        buttons = self.buttons if engaged else frozenset[str]()
        return TeleopState(engaged, np.full(6, self.value), 0.0, buttons, stand_in=True)

    def close(self) -> None:
        self.closed = True


def tiny_config(**changes: Any) -> TrainConfig:
    """A run of a few seconds with networks of eight units."""
    values: dict[str, Any] = {
        "task": "Point",
        "env_steps": 200,
        "lockstep": True,
        "demos": DemoConfig(n=0),
        "agent": SacConfig(hidden=(8,), batch_size=8, utd=2),
        "pace": PaceConfig(learning_starts=20, publish_every=3),
        "evaluation": EvalConfig(final_episodes=0),
        "capacity": 1000,
        "checkpoint_every": 60,
        "report": False,
    }
    return TrainConfig(**{**values, **changes})


def record(number: int, step: int, *, last: bool = False, prefix: str = "run-a0") -> StepRecord:
    """One record whose numbers say where it belongs."""
    obs = Observation(np.array([number, step], np.float32))
    action = np.full(7, 0.1, np.float32)
    return StepRecord(
        episode_id=f"{prefix}-{number:06d}",
        step_index=step,
        obs=obs,
        action_executed=action,
        action_policy=action,
        rewards={"success": float(last)},
        terminated=last,
        truncated=False,
        stop_reason="success" if last else "",
        intervention=step == 1,
        source=Source.POLICY,
        policy_version=3,
        task="Point",
        t_wall_s=1.0,
        t_control_s=step / 10,
        final_obs=Observation(np.array([number, step + 1], np.float32)) if last else None,
    )


def stream(lengths: list[int], prefix: str = "run-a0") -> list[StepRecord]:
    """Records of consecutive episodes."""
    return [record(e, s, last=s == n - 1, prefix=prefix) for e, n in enumerate(lengths) for s in range(n)]
