"""What operator and actor tell each other: newest wins, nothing is resent."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from robot_rl.core.errors import DataError
from robot_rl.core.types import TeleopState
from robot_rl.runtime.transport.fields import Fields, pack_header

SCHEMA = 1
MAX_BUTTONS = 32
STATE, LEAVE, STATUS = "operator_state", "operator_leaves", "actor_status"


@dataclass(frozen=True)
class Heard:
    """A message of an operator.

    Attributes:
        name: who it is.
        state: of the device; None if the operator leaves.
    """

    name: str
    state: TeleopState | None


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
    """

    operator: str = ""
    engaged: bool = False
    paused: bool = False
    episode: int = 0
    env_steps: int = 0
    last_end: str = ""


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


def read_heard(data: bytes) -> Heard:
    """The inverse of both.

    Raises:
        DataError: it is something else, or of another schema.
    """
    fields, kind = _open(data)
    if kind == LEAVE:
        heard = Heard(fields.name("name"), None)
    elif kind == STATE:
        heard = Heard(fields.name("name"), _state(fields))
    else:
        raise DataError(f"a message of kind {kind!r}, expected {STATE} or {LEAVE}")
    fields.finish(kind)
    return heard


def pack_status(status: ActorStatus) -> bytes:
    """What the actor says."""
    return pack_header(SCHEMA, STATUS, **vars(status))


def read_status(data: bytes) -> ActorStatus:
    """The inverse.

    Raises:
        DataError: it is something else, or of another schema.
    """
    fields, kind = _open(data)
    if kind != STATUS:
        raise DataError(f"a message of kind {kind!r}, expected {STATUS}")
    status = ActorStatus(
        fields.name("operator", empty=True),
        fields.take("engaged", bool),
        fields.take("paused", bool),
        fields.count("episode"),
        fields.count("env_steps"),
        fields.text("last_end"),
    )
    fields.finish(kind)
    return status


def _open(data: bytes) -> tuple[Fields, str]:
    fields = Fields(data)
    schema = fields.count("schema")
    if schema != SCHEMA:
        raise DataError(f"a message of schema {schema}, expected {SCHEMA}: use one version of robot_rl at both ends")
    kind: str = fields.take("kind", str)
    return fields, kind


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
