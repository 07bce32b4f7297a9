"""Modes of the safety arbiter, the one table of their transitions, what each fault means, what it answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from robot_rl.core.types import Array

_HISTORY = 100


class Mode(Enum):
    """What the arbiter lets the arm do."""

    DISABLED = "disabled"
    """The target is where the arm was; nothing moves until it is enabled."""
    HOLDING = "holding"
    """Enabled, staying at the last reference: no command is fresh, or a joint is close to its limit."""
    ACTIVE = "active"
    """Following the commander in charge, within every limit. The only mode in which a command moves the target."""
    HOMING = "homing"
    """The driver moves the joints home by itself; commands are refused and no target is given out."""
    FAULT = "fault"
    """Something broke a limit: frozen until recovered, then to be enabled again."""
    STOPPED = "stopped"
    """A person stopped it: as a fault, and never recovered automatically."""


class Event(Enum):
    """What changes the mode."""

    ENABLE = "enable"
    DISABLE = "disable"
    COMMAND = "command"
    """A command was accepted."""
    PAUSE = "pause"
    """The commander in charge fell silent or let go, or a joint came close to its limit."""
    HOME = "home"
    HOMED = "homed"
    FAULT = "fault"
    STOP = "stop"
    RECOVER = "recover"
    AUTO_RECOVER = "auto_recover"


TRANSITIONS: Mapping[tuple[Mode, Event], Mode] = MappingProxyType(
    {
        (Mode.DISABLED, Event.ENABLE): Mode.HOLDING,
        (Mode.DISABLED, Event.DISABLE): Mode.DISABLED,
        (Mode.DISABLED, Event.STOP): Mode.STOPPED,
        (Mode.HOLDING, Event.COMMAND): Mode.ACTIVE,
        (Mode.HOLDING, Event.PAUSE): Mode.HOLDING,
        (Mode.HOLDING, Event.HOME): Mode.HOMING,
        (Mode.HOLDING, Event.DISABLE): Mode.DISABLED,
        (Mode.HOLDING, Event.FAULT): Mode.FAULT,
        (Mode.HOLDING, Event.STOP): Mode.STOPPED,
        (Mode.ACTIVE, Event.COMMAND): Mode.ACTIVE,
        (Mode.ACTIVE, Event.PAUSE): Mode.HOLDING,
        (Mode.ACTIVE, Event.HOME): Mode.HOMING,
        (Mode.ACTIVE, Event.DISABLE): Mode.DISABLED,
        (Mode.ACTIVE, Event.FAULT): Mode.FAULT,
        (Mode.ACTIVE, Event.STOP): Mode.STOPPED,
        (Mode.HOMING, Event.HOMED): Mode.HOLDING,
        (Mode.HOMING, Event.DISABLE): Mode.DISABLED,
        (Mode.HOMING, Event.FAULT): Mode.FAULT,
        (Mode.HOMING, Event.STOP): Mode.STOPPED,
        (Mode.FAULT, Event.FAULT): Mode.FAULT,
        (Mode.FAULT, Event.STOP): Mode.STOPPED,
        (Mode.FAULT, Event.RECOVER): Mode.DISABLED,
        (Mode.FAULT, Event.AUTO_RECOVER): Mode.HOLDING,
        (Mode.STOPPED, Event.STOP): Mode.STOPPED,
        (Mode.STOPPED, Event.RECOVER): Mode.DISABLED,
    }
)
"""Mode and event to the next mode. A pair that is absent is refused and changes nothing."""

ENABLED = frozenset({Mode.HOLDING, Mode.ACTIVE, Mode.HOMING})
"""Modes in which the arm may move, and in which faults are looked for."""

FAULTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "clock": ("the time went back or is not finite", "repair the clock"),
        "bad_measurement": (
            "a measurement is not finite, not a pose, of wrong size, or from the future",
            "repair the driver, or the clock between its machine and this one",
        ),
        "stale_measurement": ("no new measurement within `max_measurement_age_s`", "restart the driver"),
        "outside_workspace": (
            "the arm is further out of the box or the cone than the reach",
            "guide it back by hand",
        ),
        "force_limit": ("the low-passed external force or torque is too large", "free the tool"),
        "joint_limit": ("a joint is beyond its limit", "guide it back by hand"),
        "command_timeout": ("the commander in charge sent nothing for `fault_after_s`", "restart the commander"),
        "bad_commands": ("`max_rejections` unusable commands of a role in a row", "repair the commander"),
        "two_commanders": ("two sources of one role sent at once", "stop one of them"),
        "reflex": ("the robot stopped itself", "free the tool, recover the robot"),
        "robot_unavailable": ("the robot is guided by hand, or says that it takes no commands", "make it ready"),
        "home_failed": ("the driver could not move home, or not in `home_timeout_s`", "look at the driver's log"),
        "user_stop": ("the robot's user stop is pressed", "release it"),
        "estop": ("the e-stop signal is on", "switch it off"),
        "stop": ("somebody asked to stop", "make sure that the reason is gone"),
    }
)
"""Name of each fault and stop: what it means, and what to do before the next ``enable``."""


@dataclass(frozen=True)
class Fault:
    """One latched fault.

    Attributes:
        name: one of `FAULTS`.
        t_s: when it latched.
        reason: one sentence with the values that broke the limit.
    """

    name: str
    t_s: float
    reason: str


@dataclass(frozen=True)
class Output:
    """What a tick decided.

    Attributes:
        mode: of the arbiter.
        pose_base_tcp: the target to send ``[7]``, read-only; None while the driver moves home by itself, and before
            the first measurement: send nothing then.
        faults: latched, the oldest first.
        limited: the layers that changed the wish: ``box``, ``cone``, ``slew``, ``reach``, ``command_age``,
            ``joint_margin``.
        in_charge: role of the commander that is followed, or None.
        recover_robot: ask the robot for its own error recovery; only with automatic recoveries configured.
    """

    mode: Mode
    pose_base_tcp: Array | None
    faults: tuple[Fault, ...]
    limited: frozenset[str]
    in_charge: str | None
    recover_robot: bool


@dataclass(frozen=True)
class Answer:
    """Whether a request was granted, and a sentence that says so or why not."""

    done: bool
    message: str


class ModeLatch:
    """The mode, and the faults that brought it there."""

    def __init__(self) -> None:
        self.mode = Mode.DISABLED
        self._faults: dict[str, Fault] = {}
        self._history: deque[Fault] = deque(maxlen=_HISTORY)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Latched now, the oldest first."""
        return tuple(self._faults.values())

    @property
    def history(self) -> tuple[Fault, ...]:
        """The last hundred faults, also those that were recovered, the oldest first."""
        return tuple(self._history)

    @property
    def enabled(self) -> bool:
        """Whether the arm may be moving."""
        return self.mode in ENABLED

    def allows(self, event: Event) -> bool:
        """Whether the table has a transition for this event from the present mode."""
        return (self.mode, event) in TRANSITIONS

    def move(self, event: Event) -> bool:
        """Change the mode by the table; False if it has no such transition, and nothing changed."""
        if not self.allows(event):
            return False
        self.mode = TRANSITIONS[self.mode, event]
        return True

    def note(self, fault: Fault) -> None:
        """Keep a fault; the first of a name stays, with its time and reason."""
        if fault.name not in self._faults:
            self._faults[fault.name] = fault
            self._history.append(fault)

    def clear(self) -> None:
        """Forget what is latched; the history stays."""
        self._faults.clear()


def transition_table() -> str:
    """`TRANSITIONS` as a Markdown table: a row per mode, a column per event, empty where the event is refused."""
    head = ["", *(e.value for e in Event)]
    rows = [[m.value, *(n.value if (n := TRANSITIONS.get((m, e))) else "" for e in Event)] for m in Mode]
    return _markdown([head, ["---"] * len(head), *rows])


def fault_table() -> str:
    """`FAULTS` as a Markdown table."""
    rows = [[f"`{name}`", meaning, remedy] for name, (meaning, remedy) in FAULTS.items()]
    return _markdown([["fault", "means", "before the next `enable`"], ["---"] * 3, *rows])


def _markdown(rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
