"""How many environment steps each of several actors may take, so that all together keep to what is allowed to all."""

from __future__ import annotations

from collections.abc import Mapping


class Allowance:
    """Divides what is left evenly, and never promises the same step to two actors.

    A promise is not taken back: an actor may have used it before it could hear so. An actor that has gone silent is
    left out, and what it was promised is free again.
    """

    def __init__(self) -> None:
        self._granted: dict[str, int] = {}

    def grant(self, own: Mapping[str, int], left: int) -> dict[str, int]:
        """Steps each actor may have taken in all.

        Args:
            own: steps received from each actor that acts now.
            left: steps that may follow from all of them together.
        """
        share = -(-max(0, left) // max(1, len(own)))
        promised = {name: max(0, self._granted.get(name, 0) - steps) for name, steps in own.items()}
        # Who is behind comes first: otherwise the first of the table would get every step that becomes free.
        for name, steps in sorted(own.items(), key=lambda item: item[1]):
            free = left - (sum(promised.values()) - promised[name])
            promised[name] = max(promised[name], min(share, free))
            self._granted[name] = steps + promised[name]
        return {name: self._granted[name] for name in own}
