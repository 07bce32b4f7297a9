"""What a page says at the door, as JSON, and what it is told."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from robot_rl.core.errors import DataError

MAX_NAME = 32
MAX_TEXT = 64
MAX_KEYS = 16


@dataclass(frozen=True)
class Hello:
    """Somebody is there.

    Attributes:
        client: viser's number of the page.
        name: what he would like to be called; empty if he has never said.
        key: of this tab of this browser.
    """

    client: int
    name: str
    key: str


@dataclass(frozen=True)
class Hands:
    """Everything that the hands do now.

    Attributes:
        number: counts the page's messages of this kind.
        keys: that are down, by the time of their going down; ``KeyboardEvent.key`` in lower case, after ``ctrl-`` if
            that is down.
        pointer: a finger or a mouse button is down.
        at_s: by the page's clock, seconds since the epoch: of the event, or of the heartbeat.
    """

    number: int
    keys: tuple[str, ...]
    pointer: bool
    at_s: float


@dataclass(frozen=True)
class Act:
    """A button of the bar.

    Attributes:
        what: its name.
    """

    what: str


@dataclass(frozen=True)
class Bar:
    """What the bar at the bottom of a page says.

    Attributes:
        name: of whoever reads it.
        you: the reader is in charge.
        who: who is in charge.
        state: what the arm does.
        tone: ``calm``, ``you``, ``pause`` or ``held``: the colour.
        prompt: what a person is asked to do.
        offers: buttons, as names and labels.
    """

    name: str
    you: bool
    who: str
    state: str
    tone: str
    prompt: str = ""
    offers: tuple[tuple[str, str], ...] = ()


class Visitors(Protocol):
    """Whoever receives those who come through the door. Called by the door's thread alone; must not block."""

    @property
    def keys(self) -> Mapping[str, str]:
        """Keys that a page is to send while its reader is in charge, as in `Hands.keys`, and what each does."""
        ...

    def hello(self, hello: Hello) -> None:
        """Somebody is there, or has another name now."""
        ...

    def hands(self, client: int, hands: Hands) -> None:
        """What the hands of somebody do, who has said hello."""
        ...

    def act(self, client: int, act: Act) -> None:
        """Somebody presses a button of his bar."""
        ...

    def gone(self, client: int) -> None:
        """Somebody's connection is gone."""
        ...

    def bars(self) -> Mapping[int, Bar]:
        """What the bar of each client is to say now; asked often."""
        ...


def read(text: str) -> Hello | Hands | Act:
    """A message of a page.

    Raises:
        DataError: it is none.
    """
    try:
        fields: Any = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise DataError(f"a page said what is no JSON: {text[:64]!r}") from e
    if not isinstance(fields, dict):
        raise DataError(f"a page said {text[:64]!r}, expected named values")
    kind = fields.get("kind")
    if kind == "hello":
        return Hello(_number(fields, "client"), clean_name(_text(fields, "name")), _text(fields, "key"))
    if kind == "hands":
        return Hands(_number(fields, "number"), _keys(fields), _flag(fields, "pointer"), _time_s(fields))
    if kind == "act":
        return Act(_text(fields, "what"))
    raise DataError(f"a page said something of kind {str(kind)[:64]!r}, expected hello, hands or act")


def clean_name(name: str) -> str:
    """A name as it can be shown: of printable characters, single spaces, not too long; may be empty."""
    printable = "".join(c if c.isprintable() else " " for c in name)
    return " ".join(printable.split())[:MAX_NAME].strip()


def welcome(keys: Mapping[str, str]) -> str:
    """The first thing a page is told."""
    return json.dumps({"kind": "welcome", "keys": dict(keys)})


def bar_text(bar: Bar) -> str:
    """What a page is told to show."""
    return json.dumps({"kind": "bar", **vars(bar)})


def _number(fields: dict[str, Any], name: str) -> int:
    value = fields.get(name)
    if type(value) is not int or not 0 <= value < 2**53:
        raise DataError(f"a page's {name} is {str(value)[:64]!r}, expected a whole number")
    return value


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise DataError(f"a page's {name} is {str(value)[:64]!r}, expected up to {MAX_TEXT} characters")
    return value


def _flag(fields: dict[str, Any], name: str) -> bool:
    value = fields.get(name)
    if not isinstance(value, bool):
        raise DataError(f"a page's {name} is {str(value)[:64]!r}, expected true or false")
    return value


def _time_s(fields: dict[str, Any]) -> float:
    value = fields.get("at_ms")
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e15 or math.isnan(value):
        raise DataError(f"a page's at_ms is {str(value)[:64]!r}, expected a time")
    return value / 1e3


def _keys(fields: dict[str, Any]) -> tuple[str, ...]:
    keys = fields.get("keys")
    if not isinstance(keys, list) or len(keys) > MAX_KEYS or not all(isinstance(k, str) for k in keys):
        raise DataError(f"a page's keys are {str(keys)[:64]!r}, expected up to {MAX_KEYS} names")
    return tuple(key[:MAX_TEXT] for key in keys)
