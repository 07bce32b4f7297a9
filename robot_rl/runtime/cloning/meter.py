"""How far a piece of work has come, told to whoever shows it; `robot_rl.cli.meter.Meter` does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Meter(Protocol):
    """Shows progress and time left."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """So many of `total` pieces are done; `note` is what else is known."""
        ...


MakeMeter = Callable[[str], Meter]
"""A meter for a piece of work, by what is done in it."""


def no_meter(what: str) -> Meter:
    """Shows nothing."""

    def show(done: int, total: int, note: str = "") -> None:
        pass

    return show
