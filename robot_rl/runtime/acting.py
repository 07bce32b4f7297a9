"""What distinguishes one use of the acting loop from another, and the record of one of its steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from robot_rl.core.protocols import Teleop
from robot_rl.core.transition import Observation, Source, StepRecord
from robot_rl.core.types import Float32, TeleopState
from robot_rl.runtime.seeds import FIRST_ACTOR, Stream

TeleopFactory = Callable[[np.random.Generator], Teleop]


@dataclass(frozen=True)
class ActingConfig:
    """What distinguishes one use of the loop from another.

    Attributes:
        seed: of the run; initial states and policy noise follow from it, the episode's number and the actor alone.
        episode_prefix: unique over all runs; an episode's id is ``<prefix>-<number>``.
        random_steps: steps at the start of the run with uniformly random actions in the active dimensions.
        policy_source: whose actions the policy's are: ``POLICY``, or ``DEMO`` for a scripted expert.
        teleop_source: whose actions an engaged person's are; those of a program in a person's place are ``SCRIPTED``.
        keep_cameras: whose pictures records hold, None for all; others only whoever watches sees.
        verdict_s: how long the arm holds after an episode without success, in case its operator is late to judge it.
        veto_s: how long it holds after a success that a classifier saw, in case its operator marks ``failure``.
        wait_for_operator: the arm holds at the start of an episode until its operator takes over.
        deterministic: act without exploration noise.
        episode_stream: which family of initial states.
        actor: which of a run's actors it is; each has initial states and noise of its own.
    """

    seed: int
    episode_prefix: str
    random_steps: int = 0
    policy_source: Source = Source.POLICY
    teleop_source: Source = Source.OPERATOR
    keep_cameras: tuple[str, ...] | None = None
    verdict_s: float = 0.0
    veto_s: float = 0.0
    wait_for_operator: bool = False
    deterministic: bool = False
    episode_stream: Stream = Stream.EPISODE
    actor: str = FIRST_ACTOR


def make_record(
    config: ActingConfig,
    operator: TeleopState,
    *,
    obs: Observation,
    obs_next: Observation,
    action: Float32,
    proposal: Float32,
    outcome: tuple[bool, bool, Mapping[str, Any]],
    episode_id: str,
    step_index: int,
    policy_version: int,
    task: str,
    t_wall_s: float,
    latency_ms: float,
    action_base: Float32 | None = None,
) -> StepRecord:
    """The record of one control step.

    Args:
        config: of the loop.
        operator: what was read of the device before the step.
        obs: what was seen before it.
        obs_next: what was seen after it.
        action: what was asked for ``[7]``.
        proposal: what the policy would have done ``[7]``.
        outcome: terminated, truncated, and the info of `robot_rl.envs.CellEnv.step`.
        episode_id: of its episode.
        step_index: in it.
        policy_version: that proposed, -1 for chance.
        task: id of the task.
        t_wall_s: Unix time of the command.
        latency_ms: from the observation to the command.
        action_base: what a frozen base would have done ``[7]``, or None.
    """
    terminated, truncated, info = outcome
    executed = np.clip(np.asarray(info.get("action_executed", action), np.float32), -1.0, 1.0)
    source = config.policy_source
    if operator.engaged:
        source = Source.SCRIPTED if operator.stand_in else config.teleop_source
    last = terminated or truncated
    return StepRecord(
        episode_id=episode_id,
        step_index=step_index,
        obs=obs,
        action_executed=executed,
        action_policy=executed if source is Source.DEMO else proposal,
        rewards={k: float(v) for k, v in info["rewards"].items()},
        terminated=terminated,
        truncated=truncated,
        stop_reason=str(info.get("stop_reason", "")) if last else "",
        intervention=operator.engaged and source is not Source.DEMO,
        source=source,
        policy_version=policy_version,
        task=task,
        t_wall_s=t_wall_s,
        t_control_s=float(info["t_control_s"]),
        latency_ms=latency_ms,
        final_obs=obs_next if last else None,
        action_base=action_base,
    )
