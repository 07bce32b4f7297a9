"""`franky` as the drivers use it: imported late, its errors as ours, its scheduling kept to its own thread."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from robot_rl.core.errors import ConfigError, DeviceError, RobotRlError

DISTRIBUTION = "franky-control"


def library() -> Any:
    """The module `franky`.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module("franky")
    except ImportError as e:
        raise ConfigError(f"driving a Franka robot needs franky ({e}): pip install 'robot-rl[franka]'") from None


def library_version() -> str:
    """Its version, for reports."""
    return f"{DISTRIBUTION} {version(DISTRIBUTION)}"


@dataclass(frozen=True)
class Scheduling:
    """How a thread is scheduled: policy and priority, as in `sched(7)`."""

    policy: int
    priority: int

    @staticmethod
    def mine() -> Scheduling:
        """That of the calling thread."""
        return Scheduling(os.sched_getscheduler(0), os.sched_getparam(0).sched_priority)

    @contextmanager
    def keep(self) -> Iterator[None]:
        """Schedule the calling thread like this afterwards, whatever happens to it meanwhile."""
        try:
            yield
        finally:
            self.apply()

    def apply(self) -> None:
        """Schedule the calling thread like this."""
        if Scheduling.mine() != self:
            os.sched_setscheduler(0, self.policy, os.sched_param(self.priority))


@contextmanager
def calling(doing: str) -> Iterator[None]:
    """Call franky: whatever it raises becomes a `DeviceError` that begins with `doing`.

    Connecting makes the calling thread a real-time one of the highest priority, where the system permits it, and all
    that this thread starts would inherit that: a busy loop in Python could then starve the machine. The thread is set
    back.
    """
    with Scheduling.mine().keep():
        try:
            yield
        except RobotRlError:
            raise
        except Exception as e:  # franky's exceptions have no common root, and its network library raises RuntimeError
            raise DeviceError(f"{doing}: {one_line(e)}") from e


def one_line(error: Exception) -> str:
    """What an exception of franky says, on one line, without its library's name and its report on the network."""
    return " ".join(str(error).split("control_command_success_rate")[0].split()).removeprefix("libfranka: ")
