"""Repeating a recorded episode in the simulator, and what its header must say for that."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from robot_rl.core.cells import IN_PROCESS
from robot_rl.core.errors import DataError
from robot_rl.core.specs import StateSpec
from robot_rl.core.transition import Source, StepRecord
from robot_rl.core.types import Float32
from robot_rl.data.episode_log import Episode
from robot_rl.data.episode_meta import EpisodeMeta, library_versions
from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.environment import Env
from robot_rl.runtime.seeds import Stream, stream_seed

RESET_SEED = "reset_seed"
TASK_OPTIONS = "task_options"
CELL = "cell"
RESET_BY, LEFT_LYING = "reset_by", ("person", "nobody")
"""The option that says who puts objects back, and the values with which the seed alone does not say where they lie."""


@dataclass(frozen=True)
class Deviation:
    """How a repeated observation differs from the recorded one.

    Attributes:
        step: index of the observation: 0 is the start, t + 1 follows the action of step t.
        same: equal to the bit.
        size: largest difference of a value in units of its part's scale.
        part: the state part in which it occurs; empty when `same`.
        difference: there, in the part's unit.
    """

    step: int
    same: bool
    size: float = 0.0
    part: str = ""
    difference: float = 0.0


@dataclass(frozen=True)
class Repetition:
    """Result of repeating an episode.

    Attributes:
        observations: compared.
        first: the first observation that differs, or None.
        largest: the one that differs most, or None.
        after_operator: the action before `first` was an operator's. Where a limit changed his wish, the recorded
            action is what was executed, in float32, so that its repetition may differ in the last digits.
        other_versions: libraries that recorded the episode in another version than is installed here, as text.
    """

    observations: int
    first: Deviation | None
    largest: Deviation | None
    after_operator: bool
    other_versions: tuple[str, ...]

    @property
    def identical(self) -> bool:
        """Every observation is equal to the bit."""
        return self.first is None


def repeat_facts(reset_seed: int, task_options: Mapping[str, Any]) -> dict[str, str]:
    """Header entries from which `read_repeat_facts` learns how the episode began: seed, options, imperfections.

    None where an episode begins with objects that a person or the episode before has left somewhere.
    """
    if task_options.get(RESET_BY) in LEFT_LYING:
        return {}
    return {RESET_SEED: str(reset_seed), TASK_OPTIONS: json.dumps(dict(task_options), sort_keys=True)}


def training_facts(config: TrainConfig, actor: str) -> Callable[[int], dict[str, str]]:
    """Header entries of the training episodes of one actor, by episode number.

    They are `repeat_facts` where an episode can be repeated, and the name of a cell whose time passes by itself.
    """
    if config.cell != IN_PROCESS:
        return lambda number: {CELL: config.cell}
    if config.pair:
        return lambda number: {}
    return lambda number: repeat_facts(stream_seed(config.seed, Stream.EPISODE, number, actor), config.env_options)


def read_repeat_facts(meta: EpisodeMeta) -> tuple[int, dict[str, Any]]:
    """Reset seed and task options of a recorded episode.

    Raises:
        DataError: the header lacks them, as that of an episode recorded in real time does, or they are malformed.
    """
    if CELL in meta.extra:
        raise DataError(f"the episode was recorded on the cell {meta.extra[CELL]} in real time and cannot be repeated")
    missing = [name for name in (RESET_SEED, TASK_OPTIONS) if name not in meta.extra]
    if missing:
        raise DataError(f"the header lacks {' and '.join(missing)}, without which the episode cannot be repeated")
    try:
        seed, options = int(meta.extra[RESET_SEED]), json.loads(meta.extra[TASK_OPTIONS])
    except ValueError as e:
        raise DataError(f"the header's {RESET_SEED} or {TASK_OPTIONS} cannot be read: {e}") from e
    if not isinstance(options, dict):
        raise DataError(f"the header's {TASK_OPTIONS} is {options!r}, expected a mapping")
    return seed, options


def repeat_episode(episode: Episode, env: Env) -> Iterator[Deviation]:
    """Take an episode's actions again from its initial state and compare the states.

    Args:
        episode: with the facts of `read_repeat_facts` in its header; pictures play no part.
        env: the same task with the same options, in the simulator.

    Yields:
        The deviation of the first observation, then of the one after each action; the environment stands where the
        deviation was measured, so that it can be rendered.

    Raises:
        DataError: the episode has no steps, or the environment's state has another layout.
    """
    if not episode.records:
        raise DataError(f"{episode.path} holds no complete step to repeat")
    seed, _ = read_repeat_facts(episode.meta)
    spec = episode.meta.state_spec
    if env.state_spec.checksum != spec.checksum:
        raise DataError(
            f"{episode.path} was recorded with the state layout {spec.checksum}, the task {env.task_id} now has "
            f"{env.state_spec.checksum}: it cannot be compared"
        )
    obs, _ = env.reset(seed=seed)
    yield compare(0, episode.records[0].obs.state, obs["state"], spec)
    for step, record in enumerate(episode.records):
        obs, _, terminated, truncated, _ = env.step(command(record))
        recorded = _state_after(episode, step)
        if recorded is not None:
            yield compare(step + 1, recorded, obs["state"], spec)
        if terminated or truncated:
            break


def expected_observations(episode: Episode) -> int:
    """How many observations `repeat_episode` compares when the repetition does not end early."""
    return len(episode.records) + int(bool(episode.records) and episode.records[-1].final_obs is not None)


def command(record: StepRecord) -> Float32:
    """What the environment was told in a step.

    That is the policy's proposal where the policy was in command: what was executed differs from it when a limit was
    active, and then only up to float32. An operator's wish is not stored, so there the executed action stands for it.
    """
    own = record.source is Source.POLICY and not record.intervention
    return record.action_policy if own else record.action_executed


def compare(step: int, recorded: Float32, repeated: Float32, spec: StateSpec) -> Deviation:
    """Deviation of one observation."""
    if recorded.tobytes() == np.asarray(repeated, np.float32).tobytes():
        return Deviation(step, True)
    difference = np.abs(recorded.astype(np.float64) - repeated)
    worst = int((difference / spec.scale).argmax())
    part = next(name for name, where in spec.slices.items() if where.start <= worst < where.stop)
    return Deviation(step, False, float(difference[worst] / spec.scale[worst]), part, float(difference[worst]))


def conclude(deviations: Iterable[Deviation], episode: Episode) -> Repetition:
    """Sum up; consumes the deviations, which is what drives `repeat_episode`."""
    seen = list(deviations)
    apart = [d for d in seen if not d.same]
    here = library_versions()
    return Repetition(
        observations=len(seen),
        first=apart[0] if apart else None,
        largest=max(apart, key=lambda d: d.size) if apart else None,
        after_operator=bool(apart) and apart[0].step > 0 and episode.records[apart[0].step - 1].intervention,
        other_versions=tuple(
            f"{name} {recorded} there, {here.get(name, 'absent')} here"
            for name, recorded in sorted(episode.meta.versions.items())
            if here.get(name) != recorded
        ),
    )


def _state_after(episode: Episode, step: int) -> Float32 | None:
    """The recorded state after a step's action; None after the last step of an unfinished episode."""
    if step + 1 < len(episode.records):
        return episode.records[step + 1].obs.state
    final = episode.records[step].final_obs
    return None if final is None else final.state
