"""Bringing interleaved episodes of several actors into order before they are written to consecutive slots.

One episode at a time *streams*: its steps are written as they come. Others are staged and written in one piece when
the streaming one has ended: finished ones first, then the first unfinished one streams in its turn. When too much is
staged (an actor died, or an episode is very long) the streaming episode is suspended and continues later in a new
segment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from robot_rl.core.transition import StepRecord
from robot_rl.core.types import Float32
from robot_rl.data.rewards import relabel_records


@dataclass
class Known:
    """What is remembered of every episode ever seen, so that a step sent twice is stored once.

    Attributes:
        number: of the episode within its buffer.
        next_step: first step index not seen yet.
        ended: no further step is accepted.
        reward_version: of the components as they are stored now.
    """

    number: int
    next_step: int = 0
    ended: bool = False
    reward_version: int = 0


@dataclass
class Open:
    """An episode of which something is not in its slots yet.

    Attributes:
        known: its entry.
        pinned: it is a demonstration.
        staged: steps not written yet.
        pending: the last step written, whose successor is unknown.
    """

    known: Known
    pinned: bool
    staged: list[StepRecord] = field(default_factory=list)
    pending: StepRecord | None = None

    def relabel(self, component: str, values: Float32, reward_version: int) -> None:
        """Replace a component in the steps that are still held here; `values` is indexed by step."""
        index = np.array([r.step_index for r in self.staged], np.int64)
        self.staged = relabel_records(self.staged, component, values[index], reward_version)
        if self.pending is not None:
            value = values[self.pending.step_index, None]
            self.pending = relabel_records([self.pending], component, value, reward_version)[0]


class Turns:
    """Whose turn it is to write.

    Args:
        write: called with an episode whose staged steps are to be written now; it must empty `Open.staged`.
        max_staged: steps held back before the streaming episode is suspended.

    Attributes:
        open: episodes with something unwritten, by id, in order of arrival.
        owner: id of the streaming episode.
    """

    def __init__(self, write: Callable[[Open], None], max_staged: int) -> None:
        self._write = write
        self._max_staged = max_staged
        self.open: dict[str, Open] = {}
        self.owner: str | None = None

    def settle(self) -> None:
        """Write everything whose turn it is."""
        if self.owner is not None and self._waiting() > self._max_staged:
            self._write(self.open[self.owner])
            self.owner = None
        while (turn := self.owner or self._next()) is not None:
            episode = self.open[turn]
            self._write(episode)
            if not episode.known.ended:
                self.owner = turn
                return
            self.owner = None
            del self.open[turn]

    def abandon(self, episode_id: str) -> None:
        """Forget what is unwritten of an episode and let the others go on."""
        self.open.pop(episode_id, None)
        if self.owner == episode_id:
            self.owner = None
        self.settle()

    def _waiting(self) -> int:
        return sum(len(e.staged) for name, e in self.open.items() if name != self.owner)

    def _next(self) -> str | None:
        ready = [name for name, e in self.open.items() if e.staged]
        finished = (name for name in ready if self.open[name].known.ended)
        return next(finished, next(iter(ready), None))
