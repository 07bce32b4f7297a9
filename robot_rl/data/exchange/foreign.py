"""Experience that other programs recorded, mapped to our step records by an explicit table.

What cannot be known is not made up. Foreign data ends an episode with "done", for whatever reason: here an episode has
terminated only if its last step succeeded (or a column of its own says so); every other one is truncated, so that its
value goes on. A dataset without the observation after the last action gives that of its last frame: for a terminated
episode nothing is ever learned from it; a truncated one ends a step earlier, and its last frame is what was seen then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt

from robot_rl.core.config import Range, check_ranges
from robot_rl.core.errors import ConfigError, DataError, unknown_name
from robot_rl.core.specs import ACTION_NAMES, ACTION_SIZE, ActionSpec, Part, StateSpec
from robot_rl.core.transition import Observation, Source, StepRecord
from robot_rl.core.types import Float32, Image
from robot_rl.data.episode_meta import EpisodeMeta

ALL, NONE = "all", "none"
_SUCCESS = ("next.success", "next.reward", "rewards")
_PENALTY = ("complementary_info.discrete_penalty", "grasp_penalty", "infos.grasp_penalty")
_INTERVENTION = ("complementary_info.is_intervention", "is_intervention")


@dataclass(frozen=True)
class StatePart:
    """A part of our state row, taken from values of a foreign column.

    Attributes:
        name: of the part, as in the task's state layout.
        column: where its values lie.
        start: first of them.
        size: how many.
        unit: for example ``m``.
        frame: in which they are expressed, or empty.
        scale: typical magnitude, as in the task's state layout.
        center: value mapped to zero, as in the task's state layout.
    """

    name: str
    column: str
    start: Annotated[int, Range(0)] = 0
    size: Annotated[int, Range(1)] = 1
    unit: str = ""
    frame: str = ""
    scale: float = 1.0
    center: float = 0.0

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class ImportMapping:
    """What foreign columns mean here.

    Attributes:
        task: id that the episodes get.
        state: columns whose values become the state, each one part; used where `parts` is empty.
        parts: the state part by part, to match the layout of a task of ours.
        action: column of the action; a delta in the tool frame, not a joint target.
        action_index: which of its values are our x, y, z, rx, ry, rz, gripper; none puts a zero. Empty takes seven as
            they are.
        action_scale: factors that bring those seven to [-1, 1]. Empty leaves them.
        clip: cut actions to [-1, 1] instead of refusing those beyond.
        position_m: translation that a full deflection stood for.
        rotation_rad: rotation that a full deflection stood for.
        cameras: our camera names and the foreign ones; empty takes all.
        success: column that is above 0.5 where a step succeeded; ``all``: every last step did; ``none``: no step did;
            empty looks for the usual columns.
        terminated: column that is above 0.5 where the task ended; empty: where the last step succeeded.
        source: whose actions they are.
        hz: control rate, where the data does not state it.
    """

    task: str
    state: tuple[str, ...] = ()
    parts: tuple[StatePart, ...] = ()
    action: str = ""
    action_index: tuple[int | None, ...] = ()
    action_scale: tuple[float, ...] = ()
    clip: bool = False
    position_m: Annotated[float | None, Range(1e-6, 1.0)] = None
    rotation_rad: Annotated[float | None, Range(1e-6, 4.0)] = None
    cameras: dict[str, str] = field(default_factory=dict)
    success: str = ""
    terminated: str = ""
    source: Literal["policy", "operator", "demo", "scripted", "sim"] = "demo"
    hz: Annotated[float, Range(0.1, 1000.0)] = 10.0

    def __post_init__(self) -> None:
        check_ranges(self)
        for name in ("action_index", "action_scale"):
            if len(getattr(self, name)) not in (0, ACTION_SIZE):
                got = len(getattr(self, name))
                raise ConfigError(f"{name} has {got} values, expected one for each of {', '.join(ACTION_NAMES)}")
        if not self.task:
            raise ConfigError("imported episodes need the id of the task they belong to: give --task NAME")


@dataclass(frozen=True)
class Frame:
    """One foreign step.

    Attributes:
        values: every numeric column as a vector ``[n]``.
        images: ``uint8[H, W, 3]`` by foreign camera name.
    """

    values: Mapping[str, npt.NDArray[np.float64]]
    images: Mapping[str, Image] = field(default_factory=dict)


@dataclass(frozen=True)
class ForeignEpisode:
    """Steps that follow each other.

    Attributes:
        frames: at least one.
        final: what was seen after the last action, where the data holds it.
        stop_reason: why it ended if it did not succeed.
        hz: its control rate, or None.
    """

    frames: Sequence[Frame]
    final: Frame | None = None
    stop_reason: str = "imported"
    hz: float | None = None


def foreign_meta(mapping: ImportMapping, frame: Frame, *, run_id: str, origin: str) -> EpisodeMeta:
    """Header of the episode files made of data with frames like this one.

    Args:
        mapping: what the columns mean.
        frame: any of them.
        run_id: of the import.
        origin: kind of data, kept in the header.

    Raises:
        ConfigError: nothing says what the state or a full deflection of the action is.
        DataError: a column is missing.
    """
    if mapping.position_m is None or mapping.rotation_rad is None:
        raise ConfigError(
            "foreign data does not say how far an action of 1 moves the tool: give --position-m and --rotation-rad"
        )
    spec = StateSpec(tuple(Part(p.name, p.size, p.unit, p.frame, p.scale, p.center) for p in _parts(mapping, frame)))
    action = ActionSpec(mapping.position_m, mapping.rotation_rad)
    return EpisodeMeta(mapping.task, spec, action, run_id=run_id, extra={"imported_from": origin})


def map_episode(episode: ForeignEpisode, mapping: ImportMapping, episode_id: str) -> list[StepRecord]:
    """Our records of a foreign episode; empty if it is a single truncated step of which no outcome is known.

    Raises:
        DataError: a column is missing, an action is out of range, or nothing says which steps succeeded.
    """
    frames = list(episode.frames)
    success = _successes(frames, mapping)
    terminated = bool(_flag(frames[-1], mapping.terminated)) if mapping.terminated else success[-1]
    final = episode.final
    if final is None:
        final = frames[-1]
        if not terminated:
            frames = frames[:-1]
    hz = episode.hz or mapping.hz
    source, records = Source[mapping.source.upper()], []
    for i, frame in enumerate(frames):
        last = i == len(frames) - 1
        action = _action(frame, mapping, f"step {i} of episode {episode_id!r}")
        intervention = any(_flag(frame, name) > 0.5 for name in _INTERVENTION if name in frame.values)
        toggled = any(_flag(frame, name) != 0.0 for name in _PENALTY if name in frame.values)
        reason = "success" if success[i] else "terminated" if terminated else episode.stop_reason
        records.append(
            StepRecord(
                episode_id=episode_id,
                step_index=i,
                obs=_observation(frame, mapping),
                action_executed=action,
                action_policy=action,
                rewards={"success": float(success[i]), "grasp_penalty": -float(toggled)},
                terminated=last and terminated,
                truncated=last and not terminated,
                stop_reason=reason if last else "",
                intervention=intervention,
                source=Source.OPERATOR if intervention and source is Source.POLICY else source,
                policy_version=-1,
                task=mapping.task,
                t_wall_s=i / hz,
                t_control_s=(i + 1) / hz,
                final_obs=_observation(final, mapping) if last else None,
            )
        )
    return records


def _parts(mapping: ImportMapping, frame: Frame) -> tuple[StatePart, ...]:
    if mapping.parts:
        return mapping.parts
    if not mapping.state:
        raise ConfigError("nothing says which columns are the state: give --state COLUMN, or parts in a --mapping file")
    return tuple(StatePart(_identifier(c), c, 0, len(_column(frame, c))) for c in mapping.state)


def _identifier(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _column(frame: Frame, name: str) -> npt.NDArray[np.float64]:
    if name not in frame.values:
        raise DataError(unknown_name("column", name, frame.values))
    return frame.values[name]


def _flag(frame: Frame, name: str) -> float:
    values = _column(frame, name)
    if values.shape != (1,):
        raise DataError(f"column {name!r} has {values.size} values, expected one")
    return float(values[0])


def _successes(frames: Sequence[Frame], mapping: ImportMapping) -> list[bool]:
    if mapping.success in (ALL, NONE):
        return [mapping.success == ALL and i == len(frames) - 1 for i in range(len(frames))]
    name = mapping.success or next((c for c in _SUCCESS if c in frames[0].values), "")
    if not name:
        raise DataError(f"no column says which steps succeeded: give --success COLUMN, --success {ALL} or {NONE}")
    return [_flag(frame, name) > 0.5 for frame in frames]


def _action(frame: Frame, mapping: ImportMapping, where: str) -> Float32:
    values = _column(frame, mapping.action)
    index = mapping.action_index
    if not index:
        if values.size != ACTION_SIZE:
            raise DataError(
                f"column {mapping.action!r} has {values.size} values, expected {ACTION_SIZE}: say in action_index of a "
                f"--mapping file which of them are {', '.join(ACTION_NAMES)}"
            )
        index = tuple(range(ACTION_SIZE))
    wrong = [i for i in index if i is not None and not 0 <= i < values.size]
    if wrong:
        raise DataError(f"action_index names {wrong}, but column {mapping.action!r} has {values.size} values")
    chosen = np.array([0.0 if i is None else values[i] for i in index])
    action: Float32 = (chosen * (mapping.action_scale or 1.0)).astype(np.float32)
    if mapping.clip:
        action = np.clip(action, -1.0, 1.0)
    if not (np.abs(action) <= 1.0).all():
        raise DataError(
            f"{where} has action {action.tolist()}, which leaves [-1, 1]: give action_scale in a --mapping file, or"
            " --clip"
        )
    return action


def _observation(frame: Frame, mapping: ImportMapping) -> Observation:
    pieces = []
    for part in _parts(mapping, frame):
        values = _column(frame, part.column)
        if part.start + part.size > values.size:
            raise DataError(
                f"part {part.name!r} needs values {part.start} to {part.start + part.size - 1} of column "
                f"{part.column!r}, which has {values.size}"
            )
        pieces.append(values[part.start : part.start + part.size])
    names = mapping.cameras or {_identifier(name): name for name in frame.images}
    missing = sorted(set(names.values()) - set(frame.images))
    if missing:
        raise DataError(unknown_name("camera", missing[0], frame.images))
    return Observation(np.concatenate(pieces).astype(np.float32), {n: frame.images[c] for n, c in names.items()})
