"""Playing one episode with nobody helping: the loop that evaluations and videos share."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from robot_rl.core.errors import DataError, DeviceError
from robot_rl.core.protocols import Policy
from robot_rl.core.specs import ActionSpec, StateSpec
from robot_rl.core.transition import Observation
from robot_rl.core.types import Float32, Image
from robot_rl.runtime.collector import BAD_OBSERVATION
from robot_rl.runtime.environment import read_observation

PREPARE_S = 300.0
"""How long an evaluation waits until the objects lie where an episode may begin."""
POLL_S = 0.1


class TimedTask(Protocol):
    """A task that ends."""

    @property
    def episode_steps(self) -> int:
        """Control steps after which an episode is cut."""
        ...


class Env(Protocol):
    """What an evaluation needs of an environment; `robot_rl.envs.CellEnv` provides it."""

    @property
    def state_spec(self) -> StateSpec:
        """Layout of ``obs["state"]``."""
        ...

    @property
    def action_spec(self) -> ActionSpec:
        """Meaning of the action."""
        ...

    @property
    def hz(self) -> float:
        """Control steps a second."""
        ...

    @property
    def lockstep(self) -> bool:
        """Whether time stands still between two steps."""
        ...

    @property
    def task(self) -> TimedTask:
        """What is to be done."""
        ...

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        ...

    def wanted(self) -> str:
        """What a person has to see to before the first step; empty when nothing is left."""
        ...

    def look(self) -> Any:
        """What there is to see now, without a step."""
        ...

    def step(self, action: Float32) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """One control step."""
        ...

    def hold(self) -> None:
        """Stand still; nothing in lock-step."""
        ...

    def render(self) -> Any:
        """A picture for people."""
        ...

    def close(self) -> None:
        """Release the cell."""
        ...


@dataclass(frozen=True)
class EpisodeResult:
    """One evaluation episode.

    Attributes:
        seed: of the initial state.
        success: the task's own detector said so.
        length: control steps.
        time_s: robot time from the first action to the end, seconds: `length` over the control rate.
        episode_return: plain sum of rewards.
        stop_reason: why it ended.
    """

    seed: int
    success: bool
    length: int
    time_s: float
    episode_return: float
    stop_reason: str


def play_episode(
    policy: Policy,
    env: Env,
    seed: int,
    *,
    deterministic: bool = True,
    on_frame: Callable[[Image, int, bool], None] | None = None,
) -> EpisodeResult:
    """Run one episode from the initial state of a seed.

    On a cell in real time, where a sensor may fail for a moment, a bad observation ends the episode without success.

    Args:
        policy: acts alone.
        env: the cell with its task.
        seed: passed to ``env.reset``; also seeds a stochastic policy.
        deterministic: take the policy's mode instead of a sample.
        on_frame: called with ``env.render()``, the step and whether the task has succeeded, before the first and
            after every step.

    Raises:
        DataError: an observation in lock-step, the first of an episode, or an action is not finite; says where.
        DeviceError: a person was wanted and did not come.
    """
    rng = np.random.default_rng(seed)
    begin = getattr(policy, "reset", None)
    if begin is not None:
        begin()
    # In lock-step the start is the seed's alone, also of a run whose own episodes begin where the last one ended.
    obs, info = env.reset(seed=seed, options={"reset_by": "program"} if env.lockstep else None)
    if env.wanted():
        obs = prepared(env)
    total, step, success = 0.0, 0, False
    terminated = truncated = False
    if on_frame is not None:
        on_frame(env.render(), 0, False)
    while not (terminated or truncated):
        seen = checked_observation(obs, env.state_spec, seed, step)
        action = policy.act(seen, rng, deterministic=deterministic)
        if not np.isfinite(action).all():
            raise DataError(
                f"episode with seed {seed}, step {step}: the policy's action is not finite: {action.tolist()}"
            )
        try:
            obs, reward, terminated, truncated, info = env.step(action)
        except DataError:
            if env.lockstep:
                raise
            env.hold()
            info = {"stop_reason": BAD_OBSERVATION}
            break
        step += 1
        total += float(reward)
        success = success or bool(info.get("success", False))
        if on_frame is not None:
            on_frame(env.render(), step, success)
    return EpisodeResult(seed, success, step, step / env.hz, total, str(info.get("stop_reason", "")))


def prepared(env: Env, limit_s: float = PREPARE_S) -> Any:
    """Ask for what is wanted on standard output and wait, the arm holding, until it is seen to be done.

    Returns:
        The observation after that.

    Raises:
        DeviceError: nothing was seen in time.
    """
    env.hold()
    end_s, said = time.monotonic() + limit_s, ""
    while wanted := env.wanted():
        if wanted != said:
            print(wanted, flush=True)
        said = wanted
        if time.monotonic() > end_s:
            raise DeviceError(
                f"this was not seen to be done in {limit_s:g} s: {wanted}. An evaluation has no operator's device: "
                "without a detector of the objects give --task-options reset_by=program and put them in place"
            )
        time.sleep(POLL_S)
    return env.look()


def checked_observation(obs: Mapping[str, Any], spec: StateSpec, seed: int, step: int) -> Observation:
    """What an environment answered, as a policy takes it.

    Raises:
        DataError: the state has the wrong size or a value is not finite; says in which episode and step, and which
            parts.
    """
    try:
        return read_observation(obs, spec)
    except DataError as e:
        raise DataError(f"episode with seed {seed}, step {step}: {e}") from e


def time_limit_s(env: Env) -> float:
    """Length of an episode that is cut by the time limit, seconds.

    Raises:
        DataError: the environment states no usable limit.
    """
    limit = float(env.task.episode_steps) / float(env.hz)
    if not (math.isfinite(limit) and limit > 0):
        raise DataError(
            f"the environment's limit is {env.task.episode_steps} steps at {env.hz} Hz, expected positive numbers"
        )
    return limit
