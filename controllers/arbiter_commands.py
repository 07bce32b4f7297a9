"""Who commands the arm: checks of every command, rejections counted, one commander in charge at a time.

A commander has a role, of which the later ones in the configuration take over from the earlier, and a source that says
which program it is. Only the commander in charge is followed. It stays in charge until it releases the arm or a
stronger role takes over: silence is no hand-back, it ends in a time-out.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from robot_rl.controllers.arbiter_config import ArbiterConfig
from robot_rl.controllers.guards import CommandState, Watchdog
from robot_rl.controllers.safety import check_pose
from robot_rl.core.errors import DeviceError
from robot_rl.core.types import Array


class Verdict(Enum):
    """What became of a command."""

    ACCEPTED = "accepted"
    OUTRANKED = "outranked"
    """Sound, but a stronger role is in charge."""
    BEFORE_HANDOVER = "before_handover"
    """Sound, but computed before the arm was free; the next one is followed."""
    REFUSED = "refused"
    """Sound or not: commands are refused in this mode, or a joint is close to its limit."""
    NOT_A_POSE = "not_a_pose"
    NOT_UNIT = "not_unit"
    WRONG_FRAME = "wrong_frame"
    UNKNOWN_ROLE = "unknown_role"
    BAD_STAMP = "bad_stamp"
    FROM_FUTURE = "from_future"
    STALE = "stale"
    OUT_OF_ORDER = "out_of_order"
    TWO_COMMANDERS = "two_commanders"


SOUND = frozenset({Verdict.ACCEPTED, Verdict.OUTRANKED, Verdict.BEFORE_HANDOVER})
"""Verdicts that end a row of rejections."""


@dataclass(frozen=True)
class Command:
    """A wish of a commander.

    Attributes:
        role: one of the configured roles, such as ``policy`` or ``operator``.
        source: which program sends it; two sources of one role at once are a fault.
        pose_base_tcp: the target ``[7]``, whose quaternion may be off unit length by 0.001.
        t_s: when it was made, on the arbiter's clock.
        sequence: a number that rises with every command of a source; None if the commander does not count.
        frame_id: the frame the pose is expressed in.
    """

    role: str
    source: str
    pose_base_tcp: npt.ArrayLike
    t_s: float
    sequence: int | None = None
    frame_id: str = "base"


@dataclass
class _Role:
    """What is known of the last sound command of a role."""

    source: str | None = None
    seen_s: float = -math.inf
    stamp_s: float = -math.inf
    sequence: int | None = None
    rejected_in_a_row: int = 0


class CommandDesk:
    """Takes commands in, and knows whose wish counts and how old it is. It keeps no clock of its own.

    Args:
        config: roles, frame, times.
    """

    def __init__(self, config: ArbiterConfig) -> None:
        self._config = config
        self._watchdog = Watchdog(config.hold_after_s, config.fault_after_s)
        self._counts: Counter[str] = Counter()
        self.forget(-math.inf)

    @property
    def in_charge(self) -> str | None:
        """Role that is followed, or None."""
        return self._in_charge

    @property
    def wish(self) -> Array | None:
        """Last accepted pose of the commander in charge ``[7]``."""
        return self._wish

    @property
    def counts(self) -> Mapping[str, int]:
        """How many commands got which verdict since the start."""
        return dict(self._counts)

    def configure(self, config: ArbiterConfig) -> None:
        """Go on with other times; the roles are the same."""
        self._config = config
        self._watchdog.hold_after_s, self._watchdog.fault_after_s = config.hold_after_s, config.fault_after_s

    def forget(self, t_s: float) -> None:
        """As `free`, and nothing is known of any commander."""
        self._roles = {role: _Role() for role in self._config.roles}
        self._unknown = _Role()
        self.free(t_s)

    def free(self, t_s: float) -> None:
        """Nobody is in charge; what was made before this time will not be followed."""
        self._in_charge: str | None = None
        self._wish: Array | None = None
        self._not_before_s = t_s
        self._watchdog.recover()

    def release(self, role: str, source: str | None, t_s: float) -> bool:
        """A commander lets go, whichever has the role if `source` is None; False if it is not in charge."""
        known = self._roles.get(role)
        if known is None or self._in_charge != role or source not in (None, known.source):
            return False
        known.source = None
        self.free(t_s)
        return True

    def state(self, t_s: float) -> CommandState:
        """Whether to follow, to hold, or that the commander in charge is lost."""
        return self._watchdog.check(t_s)

    def refuse(self) -> Verdict:
        """Count a command that comes at the wrong time."""
        return self._count(Verdict.REFUSED)

    def submit(self, command: Command, t_s: float) -> Verdict:
        """Check a command. If it is accepted, its role is in charge and its pose the wish; otherwise both stay."""
        known = self._roles.get(command.role, self._unknown)
        verdict, pose = self._judge(command, known, t_s)
        if pose is not None:
            known.source, known.seen_s = command.source, t_s
            known.stamp_s, known.sequence = command.t_s, command.sequence
        if verdict is Verdict.ACCEPTED:
            self._follow(command, pose, t_s)
        known.rejected_in_a_row = 0 if verdict in SOUND else known.rejected_in_a_row + 1
        return self._count(verdict)

    def rejected_in_a_row(self, role: str) -> int:
        """Commands of a role that were rejected since its last sound one; unknown roles count together."""
        return self._roles.get(role, self._unknown).rejected_in_a_row

    def _follow(self, command: Command, pose: Array | None, t_s: float) -> None:
        if self._in_charge != command.role:
            self._watchdog.recover()
        self._in_charge, self._wish = command.role, pose
        self._watchdog.feed(min(command.t_s, t_s))

    def _judge(self, command: Command, known: _Role, t_s: float) -> tuple[Verdict, Array | None]:
        """The verdict, and the pose if the command is sound."""
        pose, verdict = _pose_of(command)
        if verdict is None:
            verdict = self._origin(command, known) or self._age(command, known, t_s)
        if verdict is not None:
            return verdict, None
        if known.source not in (None, command.source) and t_s - known.seen_s < self._config.hold_after_s:
            return Verdict.TWO_COMMANDERS, None
        rank = self._config.roles.index
        if self._in_charge is not None and rank(command.role) < rank(self._in_charge):
            return Verdict.OUTRANKED, pose
        early = self._in_charge is None and command.t_s < self._not_before_s
        return (Verdict.BEFORE_HANDOVER if early else Verdict.ACCEPTED), pose

    def _origin(self, command: Command, known: _Role) -> Verdict | None:
        if known is self._unknown:
            return Verdict.UNKNOWN_ROLE
        return None if command.frame_id == self._config.frame_id else Verdict.WRONG_FRAME

    def _age(self, command: Command, known: _Role, t_s: float) -> Verdict | None:
        if not math.isfinite(command.t_s):
            return Verdict.BAD_STAMP
        if command.t_s > t_s + self._config.max_future_s:
            return Verdict.FROM_FUTURE
        if t_s - command.t_s >= self._config.max_command_age_s:
            return Verdict.STALE
        if known.source != command.source:
            return None
        repeated = None not in (command.sequence, known.sequence) and command.sequence <= known.sequence  # type: ignore[operator]
        return Verdict.OUT_OF_ORDER if repeated or command.t_s < known.stamp_s else None

    def _count(self, verdict: Verdict) -> Verdict:
        self._counts[verdict.value] += 1
        return verdict


def _pose_of(command: Command) -> tuple[Array | None, Verdict | None]:
    """The checked pose, or why it is none."""
    try:
        return check_pose(command.pose_base_tcp), None
    except DeviceError:
        pass
    try:
        values = np.array(command.pose_base_tcp, np.float64)
    except (TypeError, ValueError, OverflowError):
        return None, Verdict.NOT_A_POSE
    whole = values.shape == (7,) and bool(np.isfinite(values).all())
    return None, Verdict.NOT_UNIT if whole else Verdict.NOT_A_POSE
