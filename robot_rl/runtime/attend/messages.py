"""What operator and actor tell each other: newest wins, nothing is resent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from robot_rl.core.errors import DataError
from robot_rl.core.types import TeleopState
from robot_rl.runtime.config import Option
from robot_rl.runtime.transport.fields import Fields, pack_header
from robot_rl.runtime.transport.health import LearnerHealth, read_health

SCHEMA = 2
MAX_BUTTONS = 32
MAX_PROMPT = 1000
STATE, LEAVE, WATCH, STATUS = "operator_state", "operator_leaves", "guest_watches", "actor_status"


@dataclass(frozen=True)
class Heard:
    """A message of an operator.

    Attributes:
        name: who it is.
        state: of the device; None if there is no device.
        watches: only wants to see.
        pictures: wants to see those of the cameras, too.
    """

    name: str
    state: TeleopState | None
    watches: bool = False
    pictures: bool = False


@dataclass(frozen=True)
class ActorStatus:
    """What an actor tells whoever attends to it.

    Attributes:
        operator: who is in charge; empty for nobody.
        engaged: the operator's motions are what the arm follows.
        paused: the arm stands still until the next press.
        episode: number of the running or next episode.
        env_steps: of the run, as far as the actor knows.
        last_end: how the newest ended episode ended.
        progress: of a recording, for people.
        prompt: what it asks a person to do, or empty.
        lost: the operator's device or connection was lost in the middle of a take-over: the arm holds.
        task: id of what it does.
        task_options: of the task.
        advice: what its advisor says to the operator, or empty.
        human_s: time for which an operator has been in command since the actor started.
        budget_s: time of the agreed one that is left; None without a budget.
        share: part of the steps of the last episodes that were an operator's.
        policy_age_s: how long ago its learner confirmed that it acts with the newest parameters.
        late_p99_ms: how long after its tick 99 of 100 steps woke up at most; None where time stands still in between.
        missed: steps that were commanded too late for their tick.
        health: of its learner; None for an actor without one.
        lag_s: how far the learner is behind it.
    """

    operator: str = ""
    engaged: bool = False
    paused: bool = False
    episode: int = 0
    env_steps: int = 0
    last_end: str = ""
    progress: str = ""
    prompt: str = ""
    lost: bool = False
    task: str = ""
    task_options: Mapping[str, Option] = field(default_factory=dict)
    advice: str = ""
    human_s: float = 0.0
    budget_s: float | None = None
    share: float = 0.0
    policy_age_s: float = 0.0
    late_p99_ms: float | None = None
    missed: int = 0
    health: LearnerHealth | None = None
    lag_s: float = 0.0


def pack_state(name: str, state: TeleopState) -> bytes:
    """A device's state as bytes; an infinite age as a very large one."""
    return pack_header(
        SCHEMA,
        STATE,
        name=name,
        engaged=state.engaged,
        twist=[float(v) for v in state.twist_tcp],
        gripper=float(state.gripper),
        buttons=sorted(state.buttons),
        age_s=min(float(state.age_s), 1e9),
    )


def pack_leave(name: str) -> bytes:
    """The operator leaves."""
    return pack_header(SCHEMA, LEAVE, name=name)


def pack_watch(name: str, *, pictures: bool) -> bytes:
    """Somebody wants to see; to be said again before `robot_rl.runtime.attend.post.FREE_AFTER_S` have passed."""
    return pack_header(SCHEMA, WATCH, name=name, pictures=pictures)


def read_heard(data: bytes) -> Heard:
    """The inverse of the three.

    Raises:
        DataError: it is something else, or of another schema.
    """
    fields, kind = _open(data)
    if kind == LEAVE:
        heard = Heard(fields.name("name"), None)
    elif kind == STATE:
        heard = Heard(fields.name("name"), _state(fields))
    elif kind == WATCH:
        heard = Heard(fields.name("name"), None, watches=True, pictures=fields.take("pictures", bool))
    else:
        raise DataError(f"a message of kind {kind!r}, expected {STATE}, {LEAVE} or {WATCH}")
    fields.finish(kind)
    return heard


def pack_status(status: ActorStatus) -> bytes:
    """What the actor says."""
    health = None if status.health is None else vars(status.health)
    options = dict(status.task_options)
    return pack_header(SCHEMA, STATUS, **{**vars(status), "task_options": options, "health": health})


def read_status(data: bytes) -> ActorStatus:
    """The inverse.

    Raises:
        DataError: it is something else, or of another schema.
    """
    fields = open_message(data, STATUS)
    status = ActorStatus(
        fields.name("operator", empty=True),
        fields.take("engaged", bool),
        fields.take("paused", bool),
        fields.count("episode"),
        fields.count("env_steps"),
        fields.text("last_end"),
        fields.text("progress"),
        fields.text("prompt", MAX_PROMPT),
        fields.take("lost", bool),
        fields.text("task"),
        _options(fields.take("task_options", dict)),
        fields.text("advice", MAX_PROMPT),
        fields.seconds("human_s"),
        None if fields.missing("budget_s") else fields.seconds("budget_s"),
        fields.seconds("share"),
        fields.seconds("policy_age_s"),
        None if fields.missing("late_p99_ms") else fields.seconds("late_p99_ms"),
        fields.count("missed"),
        read_health(fields, "health"),
        fields.seconds("lag_s"),
    )
    fields.finish(STATUS)
    return status


def kind_of(data: bytes) -> str:
    """What a message is.

    Raises:
        DataError: it is none, or of another schema.
    """
    return _open(data)[1]


def open_message(data: bytes, expected: str) -> Fields:
    """The fields of a message of this kind.

    Raises:
        DataError: it is something else, or of another schema.
    """
    fields, kind = _open(data)
    if kind != expected:
        raise DataError(f"a message of kind {kind!r}, expected {expected}")
    return fields


def _open(data: bytes) -> tuple[Fields, str]:
    fields = Fields(data)
    schema = fields.count("schema")
    if schema != SCHEMA:
        raise DataError(f"a message of schema {schema}, expected {SCHEMA}: use one version of robot_rl at both ends")
    kind: str = fields.take("kind", str)
    return fields, kind


def _options(values: dict[str, object]) -> dict[str, Option]:
    if not all(isinstance(value, Option) for value in values.values()):
        raise DataError("options of a task that are not plain values")
    return {name: value for name, value in values.items() if isinstance(value, Option)}


def _state(fields: Fields) -> TeleopState:
    twist, gripper, buttons = fields.take("twist", list), fields.take("gripper", float), fields.take("buttons", list)
    motion = [*twist, gripper]
    if len(twist) != 6 or not all(type(v) is float and math.isfinite(v) and abs(v) <= 1.0 for v in motion):
        raise DataError("a motion that is not seven finite numbers in [-1, 1]")
    if len(buttons) > MAX_BUTTONS or not all(isinstance(b, str) and len(b) <= 64 for b in buttons):
        raise DataError(f"buttons that are not up to {MAX_BUTTONS} short names")
    return TeleopState(
        fields.take("engaged", bool), np.array(twist), gripper, frozenset(buttons), fields.seconds("age_s")
    )
