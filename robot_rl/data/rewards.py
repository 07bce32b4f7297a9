"""Reward components and how they become one number when a batch is drawn.

Components stay apart in logs and replay, so that a reward can be re-weighted or recomputed without touching what the
robot experienced. Penalties are stored as numbers <= 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DataError, unknown_name
from robot_rl.core.transition import StepRecord
from robot_rl.core.types import Float32


@dataclass(frozen=True)
class RewardWeights:
    """``r = success + process * F + force_penalty * c_f``, and what only the gripper answers for.

    Attributes:
        success: weight of the 0/1 success component.
        process: weight ``beta`` of a progress or dense reward; 0 switches it off.
        force_penalty: weight of the contact force penalty.
        grasp_penalty: weight of the gripper toggle penalty, which is -1 per toggle. It enters `Batch.gripper_reward`
            only: in HIL-SERL (Luo et al. 2024, arXiv 2410.21845), whose 0.02 this is, the discrete gripper critic
            alone answers for it.
        intervention_penalty: weight of the charge for steps before a take-over, see `robot_rl.data.takeovers`.
    """

    success: float = 1.0
    process: float = 1.0
    force_penalty: float = 1.0
    grasp_penalty: float = 0.02
    intervention_penalty: float = 1.0

    def motion(self) -> Float32:
        """Weights of `STORED` in `Batch.reward`: everything but the gripper's."""
        return np.array([0.0 if n == GRIPPER_COMPONENT else getattr(self, n) for n in STORED], np.float32)

    def gripper(self) -> Float32:
        """Weights of `STORED` in `Batch.gripper_reward`: the gripper's alone."""
        return np.array([getattr(self, n) if n == GRIPPER_COMPONENT else 0.0 for n in STORED], np.float32)


GRIPPER_COMPONENT = "grasp_penalty"
INTERVENTION_COMPONENT = "intervention_penalty"

STORED = tuple(f.name for f in fields(RewardWeights))
"""Component names in the order in which a replay row stores them."""

WATCHED = ("progress", "p_success", "truth")
"""What else a record may say of a step, to be looked at and not weighed: the raw answer of a process model in [0, 1],
the probability of a success classifier, and success by the simulator's own rules where a detector decides."""

COMPONENTS = (*(name for name in STORED if name != INTERVENTION_COMPONENT), *WATCHED)
"""What a record may hold: what the environment or a reward model says of a step. The charge for a take-over is worked
out from what came after the step, by whoever learns from it."""


def check_components(rewards: Mapping[str, float]) -> None:
    """Check that a record's components are among `COMPONENTS`.

    Raises:
        DataError: one is not; the message lists them.
    """
    for name in rewards:
        if name not in COMPONENTS:
            raise DataError(unknown_name("reward component", name, COMPONENTS))


def component_index(name: str) -> int:
    """Position of a component in `STORED`.

    Raises:
        DataError: there is no such component; the message lists them.
    """
    if name not in STORED:
        raise DataError(unknown_name("reward component", name, STORED))
    return STORED.index(name)


def component_row(rewards: Mapping[str, float]) -> Float32:
    """Components as a row ``[len(STORED)]``; absent ones are zero, `WATCHED` ones left out.

    Raises:
        DataError: a component is in neither.
    """
    row = np.zeros(len(STORED), np.float32)
    for name, value in rewards.items():
        if name not in WATCHED:
            row[component_index(name)] = value
    return row


def step_rewards(records: Sequence[StepRecord], weights: RewardWeights) -> Float32:
    """Composed reward of each step ``[T]``, gripper terms left out."""
    rows = np.array([component_row(r.rewards) for r in records], np.float32).reshape(-1, len(STORED))
    return rows @ weights.motion()


def relabel_records(
    records: Sequence[StepRecord], component: str, values: npt.ArrayLike, reward_version: int
) -> list[StepRecord]:
    """New records with one component replaced; the given ones stay as they are.

    Args:
        records: steps of one episode.
        component: name in `STORED`.
        values: one finite value per step ``[T]``.
        reward_version: stamped on the new records.

    Raises:
        DataError: unknown component, or not one finite value per step.
    """
    component_index(component)
    new = check_values(values, len(records))
    return [
        replace(r, rewards={**r.rewards, component: float(v)}, reward_version=reward_version)
        for r, v in zip(records, new, strict=True)
    ]


def check_values(values: npt.ArrayLike, steps: int) -> Float32:
    """The values as ``float32[steps]``.

    Raises:
        DataError: they are not that many, or not finite.
    """
    array = np.asarray(values, np.float32)
    if array.shape != (steps,):
        raise DataError(f"relabelling needs one value for each of the {steps} steps, got shape {list(array.shape)}")
    if not np.isfinite(array).all():
        raise DataError(f"relabelling needs finite values, got {array.tolist()}")
    return array


def mc_returns(rewards: npt.ArrayLike, gamma: float, *, tail: float = 0.0) -> Float32:
    """Discounted return from each step to the end of the episode: ``G_t = r_t + gamma G_{t+1}``, ``G_T = tail``.

    Args:
        rewards: composed reward of each step ``[T]``.
        gamma: discount in [0, 1].
        tail: value after the last step: 0 when the episode terminated; for a truncated one a bound on what
            would have followed, see `infinite_horizon`.

    Returns:
        ``float32[T]``.
    """
    steps = np.asarray(rewards, np.float64)
    out = np.empty(len(steps), np.float64)
    value = tail
    for t in range(len(steps) - 1, -1, -1):
        value = steps[t] + gamma * value
        out[t] = value
    return out.astype(np.float32)


def infinite_horizon(reward: float, gamma: float) -> float:
    """``r / (1 - gamma)``: return of receiving the same reward for ever.

    With a negative reward it is the floor that a truncated episode can have (Cal-QL, Nakamoto et al. 2023,
    arXiv 2303.05479, section 5, calibrates against such a bound).
    """
    if not 0.0 <= gamma < 1.0:
        raise DataError(f"an infinite horizon needs 0 <= gamma < 1, got {gamma}")
    return reward / (1.0 - gamma)


def episode_returns(
    records: Sequence[StepRecord], weights: RewardWeights, gamma: float, *, floor: float = 0.0
) -> Float32:
    """Monte-Carlo return of each step ``[T]`` from the components as they are labelled now.

    Args:
        records: one episode.
        weights: composition.
        gamma: discount.
        floor: value assumed after the last step of a truncated or unfinished episode.
    """
    terminated = bool(records) and records[-1].terminated
    return mc_returns(step_rewards(records, weights), gamma, tail=0.0 if terminated else floor)
