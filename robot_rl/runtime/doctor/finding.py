"""One thing that was looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How much a finding matters."""

    OK = "ok"
    WARN = "warn"
    """Works, with less margin than it should have."""
    BAD = "bad"
    """Training on this cell will fail or stutter."""


@dataclass(frozen=True)
class Finding:
    """What was found.

    Attributes:
        level: how much it matters.
        name: what was looked at.
        text: what was seen, with its numbers.
        remedy: what to do about it; empty if nothing has to be done.
    """

    level: Level
    name: str
    text: str
    remedy: str = ""


def worst(findings: Iterable[Finding]) -> Level:
    """The worst level; OK without findings."""
    order = list(Level)
    return max((f.level for f in findings), key=order.index, default=Level.OK)


def ok(name: str, text: str) -> Finding:
    """Nothing has to be done."""
    return Finding(Level.OK, name, text)


def warn(name: str, text: str, remedy: str) -> Finding:
    """Something could be better."""
    return Finding(Level.WARN, name, text, remedy)


def bad(name: str, text: str, remedy: str) -> Finding:
    """Something has to be done."""
    return Finding(Level.BAD, name, text, remedy)
