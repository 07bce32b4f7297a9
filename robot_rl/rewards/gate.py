"""From the probabilities of single frames to "the task is done": one rule for running, relabelling and auditing.

One frame in a hundred that is wrong ends tens of per cent of all episodes wrongly if a single frame decides. So several
looks in a row must agree, in every view, and what the robot feels of itself must not speak against it. The rule is a
pure function over a small state; whoever has the looks of an episode gets the same decisions, then or later.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from robot_rl.core.errors import ConfigError, DataError

ABSTAINS, GAP, EARLY, VETOED, UNSURE = "abstains", "gap", "early", "vetoed", "unsure"


@dataclass(frozen=True)
class Bound:
    """What one reading of the robot must be while the task counts as done.

    Attributes:
        reading: name in `robot_rl.rewards.readings.READINGS`.
        low: least value, SI unit of the reading.
        high: greatest value.
    """

    reading: str
    low: float
    high: float

    def holds(self, readings: Mapping[str, float]) -> bool:
        """Whether a set of readings satisfies it.

        Raises:
            DataError: the reading is not among them.
        """
        if self.reading not in readings:
            raise DataError(
                f"the gate wants the reading {self.reading!r}, there are {', '.join(sorted(readings)) or 'none'}"
            )
        return self.low <= readings[self.reading] <= self.high


@dataclass(frozen=True)
class GateSpec:
    """When looks become success.

    Attributes:
        on: probability from which a look speaks for success.
        off: probability below which it speaks against; between the two nothing changes.
        k_on: looks in a row that must speak for success.
        k_off: looks in a row that must speak against it to take it back.
        min_looks: looks of an episode before which nothing is a success, for example half the fastest demonstration.
        max_gap_s: a longer pause between two looks makes the row begin anew.
        require: readings that must hold at every look.
    """

    on: float = 0.7
    off: float = 0.5
    k_on: int = 3
    k_off: int = 2
    min_looks: int = 0
    max_gap_s: float = 0.35
    require: tuple[Bound, ...] = ()

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: naming what is wrong.
        """
        if not 0.0 <= self.off <= self.on <= 1.0:
            raise ConfigError(f"a gate needs 0 <= off <= on <= 1, got off {self.off} and on {self.on}")
        if self.k_on < 1 or self.k_off < 1 or self.min_looks < 0 or not self.max_gap_s > 0.0:
            raise ConfigError(
                f"a gate needs k_on and k_off of at least 1, min_looks of at least 0 and max_gap_s above 0, got "
                f"{self.k_on}, {self.k_off}, {self.min_looks} and {self.max_gap_s}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**asdict(self), "require": [asdict(bound) for bound in self.require]}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> GateSpec:
        """Inverse of `to_dict`.

        Raises:
            DataError: it is something else.
        """
        try:
            require = tuple(Bound(str(b["reading"]), float(b["low"]), float(b["high"])) for b in data["require"])
            return GateSpec(**{**data, "require": require})
        except (TypeError, KeyError, ValueError, ConfigError) as e:
            raise DataError(f"not a gate: {e}") from e


NEVER = GateSpec(on=1.0, off=0.5)
"""The gate of a model that must not say that a task is done."""


@dataclass(frozen=True)
class Look:
    """What one control tick has to say.

    Attributes:
        views: probability by each view; empty if the tick cannot be judged.
        t_s: time of the tick.
        readings: of the robot, by name.
    """

    views: tuple[float, ...]
    t_s: float
    readings: Mapping[str, float]

    @property
    def p(self) -> float | None:
        """The least convinced view's probability; None for no judgement."""
        return min(self.views) if self.views and all(map(math.isfinite, self.views)) else None


@dataclass(frozen=True)
class GateState:
    """What a gate remembers of an episode.

    Attributes:
        looks: how many there were.
        for_it: in a row that spoke for success.
        against: in a row that spoke against it.
        success: the task counts as done.
        vetoed: a person said that it was not; holds until looks speak against success.
        t_s: of the last look; None before the first.
        reason: why the last look did not count for more, or empty.
    """

    looks: int = 0
    for_it: int = 0
    against: int = 0
    success: bool = False
    vetoed: bool = False
    t_s: float | None = None
    reason: str = ""


def advance(spec: GateSpec, state: GateState, look: Look) -> GateState:
    """The state after one more look.

    Raises:
        DataError: a reading that the gate requires is not there.
    """
    gap = state.t_s is not None and not 0.0 < look.t_s - state.t_s <= spec.max_gap_s
    if gap:
        state = replace(state, for_it=0, against=0, success=False)
    state = replace(state, looks=state.looks + 1, t_s=look.t_s, reason=GAP if gap else "")
    unmet = next((bound.reading for bound in spec.require if not bound.holds(look.readings)), "")
    if look.p is None or unmet:
        return replace(state, for_it=0, against=0, success=False, reason=unmet if look.p is not None else ABSTAINS)
    if look.p < spec.on:
        against = state.against + 1 if look.p < spec.off else 0
        over = against >= spec.k_off
        success, vetoed = state.success and not over, state.vetoed and not over
        return replace(state, for_it=0, against=against, success=success, vetoed=vetoed, reason=state.reason or UNSURE)
    state = replace(state, for_it=state.for_it + 1, against=0)
    if state.vetoed:
        return replace(state, reason=VETOED)
    if state.looks <= spec.min_looks:
        return replace(state, reason=EARLY)
    return replace(state, success=state.success or state.for_it >= spec.k_on)


def veto(state: GateState) -> GateState:
    """A person says that the task is not done: nothing is a success until looks have spoken against it."""
    return replace(state, for_it=0, against=0, success=False, vetoed=True, reason=VETOED)


def run_gate(spec: GateSpec, looks: Iterable[Look]) -> list[GateState]:
    """The state after each look of an episode."""
    state, states = GateState(), []
    for look in looks:
        state = advance(spec, state, look)
        states.append(state)
    return states
