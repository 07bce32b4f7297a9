"""Who acts in a run: where from, how far behind, how old its policy is, how late its steps are."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from robot_rl.core.lateness import LatenessHistogram
from robot_rl.core.transition import StepRecord
from robot_rl.runtime.monitor.metrics import ActorRow
from robot_rl.runtime.transport.fields import Place
from robot_rl.runtime.transport.messages import Hello

REMEMBERED_VERSIONS = 10_000


@dataclass
class _Actor:
    host: str
    last: Place | None = None
    lag_s: float = 0.0
    policy_age_s: float = 0.0
    session: str = ""
    lateness: LatenessHistogram = field(default_factory=LatenessHistogram)
    before: LatenessHistogram = field(default_factory=LatenessHistogram)  # of its earlier processes

    @property
    def all_steps(self) -> LatenessHistogram:
        return self.before.merge(self.lateness)


class Roster:
    """Keeps the figures of ``actors.csv``."""

    def __init__(self) -> None:
        self._actors: dict[str, _Actor] = {}
        self._released_s: OrderedDict[int, float] = OrderedDict()
        self._start_s = time.monotonic()

    def released(self, version: int) -> None:
        """Parameters of this version have gone out."""
        self._released_s[version] = time.monotonic()
        while len(self._released_s) > REMEMBERED_VERSIONS:
            self._released_s.popitem(last=False)

    def heard(self, hello: Hello) -> None:
        """An actor says where it is and how far it has come."""
        actor = self._actors.setdefault(hello.actor, _Actor(hello.host))
        actor.host, actor.last = hello.host, hello.last
        if actor.session != hello.session:
            actor.before, actor.session = actor.all_steps, hello.session
        actor.lateness = hello.lateness

    @property
    def lateness(self) -> LatenessHistogram:
        """Of all actors together, as far as they act in real time."""
        return reduce(LatenessHistogram.merge, (a.all_steps for a in self._actors.values()), LatenessHistogram())

    def archived(self, name: str, record: StepRecord) -> None:
        """The newest record of an actor has been archived."""
        actor = self._actors.setdefault(name, _Actor("unknown"))
        actor.lag_s = max(0.0, time.time() - record.t_wall_s)
        # What was released before this process began is at least as old as the process.
        released_s = self._released_s.get(record.policy_version, self._start_s)
        actor.policy_age_s = time.monotonic() - released_s if record.policy_version >= 0 else 0.0

    def rows(self, env_steps: int, own_steps: Mapping[str, int], cursors: Mapping[str, Place]) -> list[ActorRow]:
        """A row for everybody heard so far.

        Args:
            env_steps: of the run.
            own_steps: archived steps by actor.
            cursors: last place archived by actor.
        """
        return [
            ActorRow(
                actor=name,
                host=actor.host,
                env_step=env_steps,
                env_steps=own_steps.get(name, 0),
                share=round(own_steps.get(name, 0) / max(1, env_steps), 4),
                lag_steps=steps_between(cursors.get(name), actor.last),
                lag_s=round(actor.lag_s, 4),
                policy_age_s=round(actor.policy_age_s, 3),
                **_late(actor.all_steps),
            )
            for name, actor in self._actors.items()
        ]


def _late(steps: LatenessHistogram) -> dict[str, Any]:
    if not steps.total:
        return {}
    p50_s, p99_s = steps.quantile_s(0.5), steps.quantile_s(0.99)
    figures_s = {"late_p50_ms": p50_s, "late_p99_ms": p99_s, "late_worst_ms": steps.worst_s}
    return {name: round(1e3 * value_s, 3) for name, value_s in figures_s.items()} | {"missed": steps.missed}


def steps_between(cursor: Place | None, last: Place | None) -> int:
    """Steps that are known to lie after a cursor, up to and including `last`; episodes in between are not counted."""
    if last is None or (cursor is not None and last <= cursor):
        return 0
    return last[1] - cursor[1] if cursor is not None and cursor[0] == last[0] else last[1] + 1
