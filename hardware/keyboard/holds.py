"""Which keys are down, as far as a terminal tells."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from robot_rl.core.config import Range, check_ranges


@dataclass(frozen=True)
class HoldConfig:
    """How long a key counts as down after a byte of it.

    A terminal tells that a key goes down, and never that it goes up. A key that is kept down is repeated, but only
    after a delay: a quarter of a second on a Linux console, half of one or a little more on desktops. Until then a tap
    and a held key look the same, so each counts as held through that delay.

    Attributes:
        first_s: after the first byte; longer than the delay of the keyboard's repeat, or a motion stutters once.
        repeat_s: after a repeat of it; longer than the time between two.
    """

    first_s: Annotated[float, Range(0.05, 5.0)] = 0.6
    repeat_s: Annotated[float, Range(0.02, 5.0)] = 0.15

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


class Holds:
    """Keys by name, each with the time until which it counts as down.

    Args:
        config: see there.
    """

    def __init__(self, config: HoldConfig) -> None:
        self._config = config
        self._until_s: dict[str, float] = {}

    def hear(self, key: str, t_s: float, *, once: bool) -> bool:
        """A byte of a key has come.

        Args:
            key: any name.
            t_s: time now, of a clock that does not run backwards.
            once: the repeats of this key say nothing new, so it stays down through the longest delay before the next.

        Returns:
            Whether the key went down, rather than being repeated.
        """
        pressed = not self.is_down(key, t_s)
        self._until_s[key] = t_s + (self._config.first_s if pressed or once else self._config.repeat_s)
        return pressed

    def is_down(self, key: str, t_s: float) -> bool:
        """Whether it counts as down."""
        return t_s < self._until_s.get(key, t_s)

    def down(self, t_s: float) -> list[str]:
        """All keys that count as down, in the order of their first byte."""
        self._until_s = {key: until_s for key, until_s in self._until_s.items() if t_s < until_s}
        return list(self._until_s)

    def release(self, keys: Iterable[str]) -> None:
        """These are not down any more."""
        for key in keys:
            self._until_s.pop(key, None)
