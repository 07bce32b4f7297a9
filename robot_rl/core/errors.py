"""Errors a user can act on: one sentence saying what was got, what was expected and what is available."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class RobotRlError(Exception):
    """Root of all errors raised on purpose; the command line prints its text and exits with code 2."""


class ConfigError(RobotRlError):
    """A configuration key or value is wrong."""


class DataError(RobotRlError):
    """A file, message or array does not hold what its schema promises."""


class StorageError(DataError):
    """The disk refuses: full, read-only, broken, or the folder is gone. What has been written before is kept."""


class DeviceError(RobotRlError):
    """A device is absent, silent or answers with something unusable."""


class SafetyFault(RobotRlError):
    """A latched fault: the robot holds still until it is explicitly recovered.

    Args:
        message: one sentence for people.
        fault: name of the fault, as in `robot_rl.core.types.ArmState.fault`; an episode that it ends is named after it.
    """

    def __init__(self, message: str, fault: str = "safety_fault") -> None:
        super().__init__(message)
        self.fault = fault


def unknown_name(kind: str, got: str, available: Iterable[str]) -> str:
    """One sentence for a name that is not in a list, with the closest match first.

    Example:
        >>> unknown_name("task", "PickCub", ["PickCube", "Reach"])
        "unknown task 'PickCub': did you mean 'PickCube'? Available: PickCube, Reach"
    """
    names = sorted(available)
    close = get_close_matches(got, names, n=1, cutoff=0.6)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"unknown {kind} {got!r}: {hint}Available: {', '.join(names) or 'none'}"
