"""An environment whose states hold what a frozen base policy would do there.

The state row gets a last part, see `robot_rl.core.base.plan_part`, so that everything that stores, sends or replays
states holds the base's proposal for each step and for the state after it, and no learner has to ask the base.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np

from robot_rl.core.base import BASE_PLAN, BaseInfo, plan_part
from robot_rl.core.errors import ConfigError, DataError, RobotRlError
from robot_rl.core.protocols import Policy
from robot_rl.core.specs import ACTION_SIZE, ActionSpec, StateSpec
from robot_rl.core.transition import Observation, StepRecord
from robot_rl.core.types import CellReadings, Float32
from robot_rl.policies.plan import Planner
from robot_rl.policies.plan_ahead import AheadPlanner
from robot_rl.runtime.base_config import BaseUse
from robot_rl.runtime.environment import Env, read_observation


@runtime_checkable
class Planned(Protocol):
    """What has plans that are void when somebody else acts."""

    def flush(self) -> None:
        """The next step is commanded by a person or an expert, in the arm's own actions."""
        ...


@runtime_checkable
class Continuing(Protocol):
    """A policy that decides on several steps at a time."""

    def continue_from(self, before: Policy) -> None:
        """Do what the policy before has decided on first."""
        ...


class BasedEnv:
    """An environment with a planner beside it.

    Args:
        env: closed with this one.
        planner: likewise.
        noise_bound: None for policies that correct plans, whose actions are the arm's. Otherwise the action of `step`
            is the noise of the base's next plan, one value a dimension, divided by this bound; the same for all steps
            of the plan. The state then holds what the base does with no noise at all.

    Raises:
        DataError: the base was trained for another state layout or control rate; says what differs.
        ConfigError: the noise of the base cannot be steered.
    """

    def __init__(self, env: Env, planner: Planner, noise_bound: float | None = None) -> None:
        info = planner.base.info
        check_base(info, env)
        self._noisy = None if noise_bound is None else noisy_dimensions(info, env.action_spec)
        self.env, self.planner = env, planner
        self.hz = env.hz
        self._bound = noise_bound
        self._plan = plan_part(info, planner.proposals, planner.lookahead)
        self._spec = StateSpec((*env.state_spec.parts, self._plan))
        self._ours = False
        self._episodes = np.random.default_rng(0)

    @property
    def state_spec(self) -> StateSpec:
        """Layout of ``obs["state"]``, which ends with the plans."""
        return self._spec

    @property
    def action_spec(self) -> ActionSpec:
        """Meaning of the arm's action."""
        return self.env.action_spec

    @property
    def task_id(self) -> str:
        """Id of the task."""
        return self.env.task_id

    @property
    def task(self) -> Any:
        """The task."""
        return self.env.task  # type: ignore[attr-defined]

    @property
    def lockstep(self) -> bool:
        """Whether time stands still between two steps."""
        return self.env.lockstep

    @property
    def unwrapped(self) -> Any:
        """The environment without its base."""
        return getattr(self.env, "unwrapped", self.env)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode; the noise of its plans follows from the seed."""
        obs, info = self.env.reset(seed=seed, options=options)
        self.planner.reset(int(self._episodes.integers(2**31)) if seed is None else seed)
        self._ours = False
        return self._with_plans(obs), info

    def step(self, action: Float32) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Act for one control period."""
        if self._bound is not None and not self._ours:
            action = self._decoded(action)
        self._ours = False
        obs, *rest = self.env.step(action)
        return (self._with_plans(obs), *rest)

    def flush(self) -> None:
        """The next step is commanded by a person or an expert, in the arm's own actions."""
        self.planner.flush()
        self._ours = True

    def look(self) -> Any:
        """What there is to see now: a plan made before the wait is void."""
        self.planner.flush()
        return self._with_plans(self.env.look())

    def wanted(self) -> str:
        """What a person has to see to before the first step."""
        return self.env.wanted()

    def confirm(self) -> None:
        """A person has done it."""
        self.env.confirm()

    def readings(self) -> CellReadings | None:
        """What is known about the cell."""
        return self.env.readings()

    def hold(self) -> None:
        """Stand still."""
        self.env.hold()

    def render(self) -> Any:
        """A picture for people."""
        return self.env.render()  # type: ignore[attr-defined]

    def close(self) -> None:
        """Release the base and the cell."""
        self.planner.close()
        self.env.close()

    def _with_plans(self, raw: Any) -> Any:
        seen = read_observation(raw, self.env.state_spec)
        if self._bound is None:
            plans = self.planner.see(seen)
        else:
            self.planner.remember(seen)
            plans = self.planner.propose(np.zeros((1, *self.planner.base.info.noise_shape), np.float32))[:, :1]
        return {**raw, "state": np.concatenate([seen.state, plans.reshape(-1)])}

    def _decoded(self, action: Float32) -> Float32:
        """The arm's action of a policy's noise."""
        assert self._bound is not None
        noise = self._bound * np.clip(action[list(self._noisy or ())], -1.0, 1.0)
        steps = self.planner.base.info.noise_shape[0]
        plan: Float32 = self.planner.propose(np.tile(noise, (1, steps, 1)).astype(np.float32))[0, 0]
        return plan


def noisy_dimensions(info: BaseInfo, actions: ActionSpec) -> tuple[int, ...]:
    """Which values of an action are the noise of a base, in its order: the active ones, or all.

    Raises:
        ConfigError: the base has no noise, or it has another number of dimensions.
    """
    for found in (actions.active, tuple(range(ACTION_SIZE))):
        if info.noise_shape[1] == len(found):
            return tuple(found)
    raise ConfigError(
        f"the noise of the base {info.name} has shape {info.noise_shape}, and can only be steered if it has one "
        f"dimension for each of the {len(actions.active)} active values of an action: choose --algorithm edit"
    )


def check_base(info: BaseInfo, env: Env) -> None:
    """Check that a base can act in an environment.

    Raises:
        DataError: it was trained for something else; says what differs.
    """
    if info.state_checksum and info.state_checksum != env.state_spec.checksum:
        raise DataError(
            f"the base {info.name} expects the state layout {info.state_checksum}, but {env.task_id} has "
            f"{env.state_spec.checksum}: {', '.join(env.state_spec.slices)}"
        )
    if abs(info.hz - env.hz) > 1e-6:
        raise DataError(f"the base {info.name} plans steps at {info.hz:g} Hz, but the cell runs at {env.hz:g} Hz")


def with_plans(records: Sequence[StepRecord], planner: Planner, spec: StateSpec, seed: int) -> list[StepRecord]:
    """A recorded episode with what a base would have done in each of its states, as in an episode that it watches.

    Args:
        records: whole episode, whose states are laid out without plans.
        planner: asked anew in each state, since somebody else acted.
        spec: layout with plans.
        seed: of the noise.
    """
    planner.reset(seed)
    add = partial(_add_plans, planner=planner, spec=spec)
    out = []
    for record in records:
        obs = add(record.obs)
        planner.flush()
        final = None if record.final_obs is None else add(record.final_obs)
        out.append(replace(record, obs=obs, final_obs=final, action_base=base_action(obs, spec)))
    return out


def _add_plans(obs: Observation, *, planner: Planner, spec: StateSpec) -> Observation:
    return replace(obs, state=np.concatenate([obs.state, planner.see(obs).reshape(-1)]))


def base_action(obs: Observation, spec: StateSpec) -> Float32 | None:
    """What the base would do in a state ``float32[7]``, its first proposal; None where states hold no plans."""
    where = spec.slices.get(BASE_PLAN)
    return None if where is None else obs.state[where][:ACTION_SIZE].copy()


def on_base(use: BaseUse | None, env: Env) -> Env:
    """The environment with a base policy beside it, or as it is without one; closed if that cannot be.

    Raises:
        ConfigError: the base cannot be opened here, does not plan far enough, or cannot be used so.
        DataError: it is damaged, or was trained for something else.
        DeviceError: it runs elsewhere and does not answer.
    """
    if use is None:
        return env
    try:
        planner = open_planner(use, ahead=not env.lockstep)
        try:
            return BasedEnv(env, planner, use.noise_bound)
        except RobotRlError:
            planner.close()
            raise
    except RobotRlError:
        env.close()
        raise


def open_planner(use: BaseUse, *, ahead: bool = False) -> Planner:
    """What asks a base policy.

    Args:
        use: which base, and how it is followed.
        ahead: ask for the next plan while the running one is followed, where time does not wait.

    Raises:
        ConfigError: it cannot be opened here, or does not plan far enough.
        DataError: it is damaged.
        DeviceError: it runs elsewhere and does not answer.
    """
    from robot_rl.policies.base.open import open_base  # loads torch

    base = open_base(use.base.path)
    try:
        how = use.base
        kind = AheadPlanner if ahead and use.noise_bound is None else Planner
        return kind(base, proposals=how.proposals, lookahead=use.lookahead, replan_every=how.replan_every)
    except ConfigError:
        base.close()
        raise
