"""Watches episodes step by step and says when an operator's help is worth its minutes.

Knows no task: it looks at where the tool is, what it was commanded, who was in command and how episodes ended.
Thresholds are those of `AdvisorConfig`; docs/sessions.md says how often they were right on logged runs.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np

from robot_rl.core.config import Range, check_ranges
from robot_rl.core.marks import SUCCESS
from robot_rl.core.specs import StateSpec
from robot_rl.core.transition import Source, StepRecord
from robot_rl.core.types import Array

Kind = Literal["none", "stalled", "repeats", "hand_back", "budget"]
TIME_OUT = "time_out"
POSITION, ROTATION, WIDTH = "tcp_position", "tcp_rotation", "gripper_width"
LEVER_M = 0.1
"""A turn by 1 rad counts as a motion of this."""


@dataclass(frozen=True)
class AdvisorConfig:
    """When the advisor speaks.

    Attributes:
        stall_s: the policy stalls if for so long the tool stays ...
        stall_mm: ... within this distance of one place, turns and the gripper's opening included ...
        stall_command: ... though it is commanded: mean of the largest component of the action's motion, in [0, 1].
        repeats: so many episodes in a row without success repeat a failure if they ended by the same fault, or ...
        repeat_mm: ... timed out within this distance of their middle.
        smooth_s: an operator may hand back when for so long ...
        smooth_share: ... the tool's way was this straight: net distance over path length, in [0, 1] ...
        smooth_mm: ... and this long.
        hold_s: and in any case after being in command for so long.
        human_minutes: the agreed budget of operator time; 0 for none.
        episodes: over how many the share of operator steps is taken.
    """

    stall_s: Annotated[float, Range(0.2, 60.0)] = 2.0
    stall_mm: Annotated[float, Range(0.1, 1000.0)] = 5.0
    stall_command: Annotated[float, Range(0.0, 1.0)] = 0.05
    repeats: Annotated[int, Range(2, 100)] = 3
    repeat_mm: Annotated[float, Range(0.1, 1000.0)] = 15.0
    smooth_s: Annotated[float, Range(0.2, 60.0)] = 1.5
    smooth_share: Annotated[float, Range(0.0, 1.0)] = 0.9
    smooth_mm: Annotated[float, Range(0.1, 1000.0)] = 30.0
    hold_s: Annotated[float, Range(0.5, 600.0)] = 6.0
    human_minutes: Annotated[float, Range(0.0)] = 0.0
    episodes: Annotated[int, Range(1, 1000)] = 20

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True)
class Advice:
    """What the advisor has to say now.

    Attributes:
        kind: ``none``; ``stalled`` and ``repeats``: take over; ``hand_back``: let go; ``budget``: no time is left.
        text: one sentence for the operator, empty for ``none``.
    """

    kind: Kind = "none"
    text: str = ""


@dataclass
class _Stretch:
    """Steps with the same commander in one episode."""

    helped: bool
    points_m: deque[Array]
    commands: deque[float]
    steps: int = 0


@dataclass
class _Counts:
    steps: int = 0
    helped: int = 0


@dataclass
class _Memory:
    failures: deque[tuple[str, Array]] = field(default_factory=deque)
    recent: deque[_Counts] = field(default_factory=deque)


class Advisor:
    """Give it every step of a run in order; ask for advice at any time.

    Args:
        spec: layout of the states.
        hz: control steps a second.
        config: thresholds.
        human_s: operator time that is spent already, for example on demonstrations.

    Attributes:
        shares: share of operator steps over the last `AdvisorConfig.episodes`, after each episode, each in [0, 1].
    """

    def __init__(
        self, spec: StateSpec, hz: float, config: AdvisorConfig | None = None, *, human_s: float = 0.0
    ) -> None:
        self.config = config or AdvisorConfig()
        self._spent_s, self._helped_steps = human_s, 0
        self.shares: list[float] = []
        self._spec, self._hz = spec, hz
        self._episode_id = ""
        self._counts = _Counts()
        self._memory = _Memory(deque(maxlen=self.config.repeats), deque(maxlen=self.config.episodes))
        self._stretch = self._new_stretch(helped=False)

    @property
    def human_s(self) -> float:
        """Operator time so far, what was spent before included."""
        return self._spent_s + self._helped_steps / self._hz

    @property
    def share(self) -> float:
        """Share of operator steps over the last episodes, the running one included, in [0, 1]."""
        return _share([*self._memory.recent, self._counts][-self.config.episodes :])

    @property
    def budget_left_s(self) -> float:
        """Operator time that is left of the agreed one, at least 0; infinite without a budget."""
        budget_s = 60.0 * self.config.human_minutes
        return max(0.0, budget_s - self.human_s) if budget_s > 0.0 else float("inf")

    def see(self, record: StepRecord) -> None:
        """Take the next step."""
        helped = record.intervention or record.source is Source.DEMO
        if record.episode_id != self._episode_id or helped != self._stretch.helped:
            self._stretch = self._new_stretch(helped=helped)
        self._episode_id = record.episode_id
        stretch = self._stretch
        stretch.steps += 1
        stretch.points_m.append(self._point_m(record))
        stretch.commands.append(float(np.abs(record.action_executed[:6]).max()))
        self._counts.steps += 1
        if helped:
            self._counts.helped += 1
            self._helped_steps += 1
        if record.last:
            self._end(record, helped=helped)

    @property
    def advice(self) -> Advice:
        """The most important thing to say now."""
        c = self.config
        if self.budget_left_s <= 0.0:
            spent = f"{self.human_s / 60:.1f}"
            return Advice("budget", f"The agreed {c.human_minutes:g} minutes of help are used up ({spent} spent)")
        return self._on_operator() if self._stretch.helped else self._on_policy()

    def _on_operator(self) -> Advice:
        c, held_s = self.config, self._stretch.steps / self._hz
        if self._smooth():
            return Advice("hand_back", f"The arm has moved smoothly for {c.smooth_s:g} s: hand back")
        if held_s >= c.hold_s:
            return Advice("hand_back", f"You have been in command for {held_s:.0f} s: let the policy try")
        return Advice()

    def _on_policy(self) -> Advice:
        c = self.config
        around_mm = self._hovers_mm()
        if around_mm <= c.stall_mm:
            return Advice("stalled", f"The tool has stayed within {around_mm:.0f} mm for {c.stall_s:g} s: take over")
        repeated = self._repeated()
        if repeated:
            return Advice("repeats", f"The last {c.repeats} attempts {repeated}: show how it goes on")
        return Advice()

    def _hovers_mm(self) -> float:
        """How far from their middle the last tool positions are; infinite where that says nothing."""
        n, stretch = round(self.config.stall_s * self._hz), self._stretch
        if stretch.steps < n or np.mean(list(stretch.commands)[-n:]) < self.config.stall_command:
            return float("inf")
        points = np.array(list(stretch.points_m)[-n:])
        return 1e3 * _spread_m(points) if points.shape[1] else float("inf")

    def _smooth(self) -> bool:
        n = round(self.config.smooth_s * self._hz)
        points = np.array(list(self._stretch.points_m)[-n:])
        if len(points) < n or not points.shape[1]:
            return False
        net_m = float(np.linalg.norm(points[-1] - points[0]))
        path_m = float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())
        return 1e3 * net_m >= self.config.smooth_mm and net_m >= self.config.smooth_share * path_m

    def _repeated(self) -> str:
        """What the last failures have in common, as the end of a sentence; empty for nothing."""
        failures = self._memory.failures
        reasons = {reason for reason, _ in failures}
        if len(failures) < self.config.repeats or len(reasons) > 1:
            return ""
        (reason,) = reasons
        if reason != TIME_OUT:
            return f"ended by {reason}"
        points = np.array([point for _, point in failures])
        if points.shape[1] and 1e3 * _spread_m(points) <= self.config.repeat_mm:
            return f"timed out within {1e3 * _spread_m(points):.0f} mm of one place"
        return ""

    def _end(self, record: StepRecord, *, helped: bool) -> None:
        if record.rewards.get(SUCCESS, 0.0) > 0.5 or helped:
            self._memory.failures.clear()
        else:
            self._memory.failures.append((record.stop_reason, self._point_m(record)))
        self._memory.recent.append(self._counts)
        self._counts = _Counts()
        self.shares.append(_share(self._memory.recent))

    def _new_stretch(self, *, helped: bool) -> _Stretch:
        longest = round(max(self.config.stall_s, self.config.smooth_s) * self._hz)
        return _Stretch(helped, deque(maxlen=longest), deque(maxlen=longest))

    def _point_m(self, record: StepRecord) -> Array:
        """The tool's place with its turn and the gripper's opening in metres; empty where the state has no place."""
        where, state = self._spec.slices, record.obs.state.astype(np.float64)
        if POSITION not in where:
            return np.empty(0)
        parts = [state[where[POSITION]]]
        parts += [LEVER_M * state[where[ROTATION]]] if ROTATION in where else []
        parts += [state[where[WIDTH]]] if WIDTH in where else []
        return np.concatenate(parts)


def _spread_m(points: Array) -> float:
    """Largest distance of points ``[n, d]`` from their middle."""
    return float(np.linalg.norm(points - points.mean(0), axis=1).max())


def _share(counts: list[_Counts] | deque[_Counts]) -> float:
    steps = sum(c.steps for c in counts)
    return sum(c.helped for c in counts) / steps if steps else 0.0
