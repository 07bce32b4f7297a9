"""The step record: one schema for log, wire, replay and export; and the batch a learner is fed.

Rules that hold everywhere: the bootstrap mask is ``1 - terminated``, never ``1 - truncated``; a frame belongs to the
step in which it was seen; ``action_executed`` is what the robot was told after clipping and limits, expressed in
the policy's frame; reward components stay apart until a batch is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DataError
from robot_rl.core.specs import ACTION_SIZE
from robot_rl.core.types import Features, Float32, Image


class Source(IntEnum):
    """Whose action was executed."""

    POLICY = 0
    OPERATOR = 1
    DEMO = 2
    SCRIPTED = 3
    SIM = 4


@dataclass(frozen=True)
class Observation:
    """What the policy saw.

    Attributes:
        state: packed row ``float32[n]``, laid out by a `robot_rl.core.specs.StateSpec`.
        images: ``uint8[H, W, 3]`` by camera name.
        features: what a frozen encoder made of the pictures, ``float16[K, h, w, C]`` by camera name: K crops, the first
            of them of the picture as it is. Neither logged nor sent: who needs them computes them.
    """

    state: Float32
    images: Mapping[str, Image] = field(default_factory=dict)
    features: Mapping[str, Features] = field(default_factory=dict)


@dataclass(frozen=True)
class StepRecord:
    """One control step of one episode.

    Attributes:
        episode_id: unique over all runs.
        step_index: 0, 1, 2, ... without gaps within the episode.
        obs: what was seen before acting.
        action_executed: what was done, ``float32[7]`` in [-1, 1].
        action_policy: what the policy proposed; equal to `action_executed` in demonstrations.
        rewards: components by name, among them ``success`` (0 or 1).
        terminated: the task ended here, the value after it is zero.
        truncated: the episode was cut (time-out, abort, fault), the value continues.
        stop_reason: empty, or why the episode ended: ``success``, ``time_out``, ``operator``, the name of a fault.
        intervention: an operator was in command.
        source: whose action it was.
        policy_version: of the parameters that proposed, -1 without a policy.
        reward_version: of the reward that was computed.
        task: id of the task.
        t_wall_s: Unix time at which the action was sent.
        t_control_s: time on the cell's clock since the episode began, after the step.
        latency_ms: from reading the observation to sending the action.
        final_obs: what was seen after the last action; present exactly on the last step of an episode.
        action_base: proposal of a frozen base policy, or None.
    """

    episode_id: str
    step_index: int
    obs: Observation
    action_executed: Float32
    action_policy: Float32
    rewards: Mapping[str, float]
    terminated: bool
    truncated: bool
    stop_reason: str
    intervention: bool
    source: Source
    policy_version: int
    task: str
    t_wall_s: float
    t_control_s: float
    latency_ms: float = 0.0
    reward_version: int = 0
    final_obs: Observation | None = None
    action_base: Float32 | None = None

    @property
    def last(self) -> bool:
        """Whether the episode ended with this step."""
        return self.terminated or self.truncated

    @property
    def guided(self) -> bool:
        """Whether a person, a stand-in or a demonstration acted, and not the policy."""
        return self.intervention or self.source is not Source.POLICY

    def validate(self) -> None:
        """Check the record against the schema.

        Raises:
            DataError: naming the field that is wrong.
        """
        where = f"step {self.step_index} of episode {self.episode_id!r}"
        if (self.final_obs is not None) != self.last:
            raise DataError(f"{where}: final_obs must be present exactly when the episode ends")
        for name in ("action_executed", "action_policy"):
            action = getattr(self, name)
            if action.shape != (ACTION_SIZE,) or action.dtype != np.float32:
                raise DataError(
                    f"{where}: {name} is {action.dtype}{list(action.shape)}, expected float32[{ACTION_SIZE}]"
                )
            if not (np.abs(action) <= 1.0).all():
                raise DataError(f"{where}: {name} leaves [-1, 1]: {action.tolist()}")
        for obs in (self.obs, self.final_obs):
            if obs is not None and (obs.state.dtype != np.float32 or not np.isfinite(obs.state).all()):
                raise DataError(
                    f"{where}: the state must be finite float32, got {obs.state.dtype} {obs.state.tolist()}"
                )
        if not all(np.isfinite(v) for v in self.rewards.values()):
            raise DataError(f"{where}: a reward component is not finite: {dict(self.rewards)}")


class Batch(NamedTuple):
    """Training windows of k steps, k <= n; every array has the same leading axes, ``[B]`` or ``[utd, B]``.

    Attributes:
        state: rows seen at the start of the window ``[..., n]``.
        action: executed at the start of the window ``[..., 7]``.
        reward: discounted sum over the window ``sum_i gamma^i r_i``, gripper terms left out.
        gripper_reward: discounted sum of the components that only the gripper answers for.
        discount: ``gamma^k (1 - terminated)``, what the value at `next_state` is multiplied with.
        next_state: rows seen after the window ``[..., n]``.
    """

    state: npt.NDArray[np.float32]
    action: npt.NDArray[np.float32]
    reward: npt.NDArray[np.float32]
    gripper_reward: npt.NDArray[np.float32]
    discount: npt.NDArray[np.float32]
    next_state: npt.NDArray[np.float32]


class ViewBatch(NamedTuple):
    """A batch with what the networks see of each camera, laid out by a `robot_rl.core.specs.ViewSpec`.

    Attributes:
        batch: everything but the views.
        views: at the start of each window, ``uint8`` or ``float16[utd, B, h, w, c]`` by camera name.
        next_views: after each window, likewise.
    """

    batch: Batch
    views: dict[str, npt.NDArray[Any]]
    next_views: dict[str, npt.NDArray[Any]]


class ChunkBatch(NamedTuple):
    """A batch with the first h steps of each window, for critics and policies of action chunks.

    A window of k < h steps, at the end of an episode or of what is stored of it, keeps its k steps: reward, discount
    and successor are those after k, and what is missing of the chunk repeats its last command, marked as not valid.

    Attributes:
        batch: everything else; its windows are at least h steps long where so much is stored.
        actions: of the steps of the window ``[..., h, 7]``, the first of them `Batch.action`.
        valid: 1 for steps that the window holds, 0 for repeated ones ``[..., h]``; the first is always 1.
        guided: 1 for valid steps in which a person, a stand-in or a demonstration acted ``[..., h]``.
    """

    batch: Batch | ViewBatch
    actions: npt.NDArray[np.float32]
    valid: npt.NDArray[np.float32]
    guided: npt.NDArray[np.float32]


class ReturnsBatch(NamedTuple):
    """A batch with what its episodes came to.

    Attributes:
        batch: everything else.
        mc_return: discounted return of the stored episode from the start of each window on, ``[utd, B]``.
    """

    batch: Batch | ViewBatch
    mc_return: npt.NDArray[np.float32]
