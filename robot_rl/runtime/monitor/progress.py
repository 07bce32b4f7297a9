"""What a person sees while a run goes: one live line on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from robot_rl.core.lateness import LatenessHistogram

if TYPE_CHECKING:
    from robot_rl.runtime.learner.learner import Learner
    from robot_rl.runtime.monitor.metrics import MetricsWriter

PLAIN_EVERY_S = 15.0
LIVE_EVERY_S = 0.25
# Shares of recent time below these are the ordinary give and take of two processes.
ACTORS_WAIT_SHOWN = 0.05
LEARNER_WAITS_SHOWN = 0.5
UTD_OFF_SHOWN = 0.02


class Shown(Protocol):
    """What a progress line can be made of."""

    @property
    def share(self) -> float:
        """Of the work that is done, in [0, 1]."""
        ...

    def text(self) -> str:
        """The line."""
        ...


@dataclass(frozen=True)
class Status:
    """Figures of the progress line.

    Attributes:
        env_steps: environment steps so far.
        total_steps: environment steps the run will take.
        success: rate over the last 20 episodes; None before the first ended.
        interventions: share of steps under operator control in them.
        updates_per_s: update calls per second.
        steps_per_s: environment steps per second.
        utd: achieved gradient steps per environment step.
        utd_target: wanted ones; shown when the achieved ones differ, 0 if that is not to be judged yet.
        actors_wait: share of recent time in which acting stood still because learning was behind; shown if notable.
        learner_waits: share of recent time in which the learner lacked experience; shown if it is the greater part.
        lateness: of the control steps, where they are taken in real time.
        stored: update calls made on stored episodes, and to make, while nothing acts; None once something does.
    """

    env_steps: int
    total_steps: int
    success: float | None
    interventions: float
    updates_per_s: float
    steps_per_s: float
    utd: float
    utd_target: float = 0.0
    actors_wait: float = 0.0
    learner_waits: float = 0.0
    lateness: LatenessHistogram = field(default_factory=LatenessHistogram)
    stored: tuple[int, int] | None = None

    @property
    def share(self) -> float:
        """Of the work that is done, in [0, 1]."""
        done, total = self.stored or (self.env_steps, self.total_steps)
        return min(1.0, done / max(1, total))

    def text(self) -> str:
        """The progress line."""
        if self.stored is not None:
            done, total = self.stored
            left = duration(time_left_s(total - done, self.updates_per_s))
            return f"update {done:,}/{total:,} on stored episodes · {self.updates_per_s:.0f} updates/s · {left} left"
        success = "-" if self.success is None else f"{self.success:.0%}"
        off = abs(self.utd - self.utd_target) > UTD_OFF_SHOWN * self.utd_target > 0.0
        parts = [
            f"step {self.env_steps:,}/{self.total_steps:,}",
            f"success (last 20) {success}",
            f"interventions {self.interventions:.0%}",
            f"{self.steps_per_s:.0f} steps/s",
            f"{self.updates_per_s:.0f} updates/s",
            f"UTD {self.utd:.2f}" + (f" of {self.utd_target:g}" if off else ""),
        ]
        if self.actors_wait >= ACTORS_WAIT_SHOWN:
            parts.append(f"acting waits {min(self.actors_wait, 1.0):.0%}")
        if self.learner_waits >= LEARNER_WAITS_SHOWN:
            parts.append(f"learning waits {min(self.learner_waits, 1.0):.0%}")
        if self.lateness.total:
            p50_ms, p99_ms = (1e3 * self.lateness.quantile_s(q) for q in (0.5, 0.99))
            parts.append(f"late {p50_ms:.1f} ms, p99 {p99_ms:.1f} ms, {self.lateness.missed} missed")
        left = duration(time_left_s(self.total_steps - self.env_steps, self.steps_per_s))
        return " · ".join([*parts, f"{left} left"])


class Progress:
    """Prints how far a run is at a bearable rate.

    Args:
        title: shown before the figures, for example the task.
        live: redraw one line; None decides by whether stdout is a terminal.
    """

    def __init__(self, title: str, *, live: bool | None = None) -> None:
        self._title = title
        self._live_wanted = sys.stdout.isatty() if live is None else live
        self._live: Any = None
        self._next_s = 0.0

    @property
    def due(self) -> bool:
        """Whether `show` would print now; figures need not be gathered otherwise."""
        return time.monotonic() >= self._next_s

    def show(self, status: Shown, *, force: bool = False) -> None:
        """Print if it is time to, or if forced."""
        if not (force or self.due):
            return
        self._next_s = time.monotonic() + (LIVE_EVERY_S if self._live_wanted else PLAIN_EVERY_S)
        line = f"{self._title}: {status.text()}"
        if not self._live_wanted:
            print(line, flush=True)
            return
        if self._live is None:
            from rich.live import Live

            self._live = Live(refresh_per_second=8, transient=True)
            self._live.start()
        self._live.update(_bar(line, status.share))

    def note(self, line: str) -> None:
        """Print a line that stays."""
        if self._live is not None:
            self._live.console.print(line, highlight=False)
        else:
            print(line, flush=True)

    def close(self) -> None:
        """Stop redrawing. May be called twice."""
        if self._live is not None:
            self._live.stop()
            self._live = None


class StatusMeter:
    """Makes a `Status` of a run's counters; rates and waits are those of the last 20 s."""

    def __init__(self) -> None:
        self._steps, self._updates, self._actors, self._learner = (RateMeter() for _ in range(4))

    def read(self, learner: Learner, metrics: MetricsWriter, *, warming: bool = False) -> Status:
        """The figures of now; `warming` while updates are made on stored episodes before anything acts."""
        c, config = learner.counters, learner.config
        on_stored = warming or config.env_steps == 0
        return Status(
            env_steps=c.env_steps,
            total_steps=config.env_steps,
            success=metrics.recent_success if metrics.recent else None,
            interventions=metrics.recent_interventions,
            updates_per_s=self._updates.rate(c.updates),
            steps_per_s=self._steps.rate(c.env_steps),
            utd=learner.achieved_utd,
            utd_target=config.target_utd if c.env_steps > 2 * config.pace.learning_starts else 0.0,
            actors_wait=self._actors.rate(c.actor_wait_s),
            learner_waits=self._learner.rate(c.learner_wait_s),
            lateness=metrics.lateness,
            stored=(c.warmup_updates, config.pace.warmup_updates) if on_stored else None,
        )


class RateMeter:
    """Rate of a counter over roughly the last `window_s` seconds."""

    def __init__(self, window_s: float = 20.0) -> None:
        self._window_s = window_s
        self._marks: list[tuple[float, float]] = []

    def rate(self, count: float) -> float:
        """Growth per second, given the counter's value now."""
        now = time.monotonic()
        self._marks.append((now, count))
        while len(self._marks) > 2 and now - self._marks[1][0] > self._window_s:
            self._marks.pop(0)
        t0, c0 = self._marks[0]
        return (count - c0) / (now - t0) if now > t0 else 0.0


def _bar(line: str, share: float) -> Any:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    return Group(ProgressBar(total=1.0, completed=share), Text(line))


def time_left_s(work: int, rate_per_s: float) -> float | None:
    """Of so much work; None where nothing gets done."""
    return max(0, work) / rate_per_s if rate_per_s > 0 else None


def duration(seconds: float | None) -> str:
    """Minutes and seconds, or hours too; a question mark where it is not known."""
    if seconds is None:
        return "?"
    minutes, s = divmod(int(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02d}:{s:02d}" if hours else f"{m}:{s:02d}"
