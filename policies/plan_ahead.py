"""Plans made in the background while the robot moves: the time that a base needs is hidden behind the running plan."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from robot_rl.core.base import BasePolicy
from robot_rl.core.errors import DeviceError
from robot_rl.core.specs import ACTION_SIZE
from robot_rl.core.transition import Observation
from robot_rl.core.types import Float32
from robot_rl.policies.plan import Planner

KEPT_LATENCIES = 10_000


@dataclass(frozen=True)
class PlanFigures:
    """How planning in the background went.

    Attributes:
        asked: questions that the base began to answer.
        followed: answers that became the running plan.
        dropped: answers that were void when they came, because somebody else had acted.
        dry: steps on which the arm was held because a plan ended before the next one came.
        unplanned: steps on which there was nothing to follow yet, after a flush.
        latency_steps_p50: median of the control steps between a question and following its answer, first plans of
            episodes left out; 0 without any.
        latency_steps_p99: likewise, 99th percentile.
        latency_ms_p50: median of the time that the base took; 0 without any.
        latency_ms_p99: likewise, 99th percentile.
    """

    asked: int = 0
    followed: int = 0
    dropped: int = 0
    dry: int = 0
    unplanned: int = 0
    latency_steps_p50: float = 0.0
    latency_steps_p99: float = 0.0
    latency_ms_p50: float = 0.0
    latency_ms_p99: float = 0.0


class _Job(NamedTuple):
    """A question: of which era between two flushes, at which step, and what."""

    era: int
    step: int
    seen: tuple[Observation, ...]
    noise: Float32


class _Answer(NamedTuple):
    job: _Job
    plans: Float32 | None
    error: Exception | None
    took_s: float


class AheadPlanner(Planner):
    """A `Planner` for cells in real time: it asks in a thread of its own and never makes the robot wait for an answer.

    A plan is asked for of the newest observation while the running one goes on. It holds for the steps from that
    observation on: when it comes d steps later, its first d actions are past and are left out. When a plan ends before
    the next comes, the arm is held: zero motion, gripper kept. A flush voids running plans and the answer under way.

    Only the first observation of an episode is waited on, as the arm is at rest then.

    Args:
        base: asked from one thread at a time; closed with the planner.
        proposals: plans kept at a time, K.
        lookahead: steps of each that `see` answers with, h; those beyond the end of a plan are zero.
        replan_every: steps after its observation at which the next plan is asked for; the horizon should be longer than
            this, the latency and the lookahead together.
        patience_s: how long `see` waits when there is nothing to follow.
        clock: in s, for the figures.

    Raises:
        ConfigError: as `Planner`.
    """

    def __init__(
        self,
        base: BasePolicy,
        *,
        proposals: int = 1,
        lookahead: int = 1,
        replan_every: int = 8,
        patience_s: float = 0.0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        super().__init__(base, proposals=proposals, lookahead=lookahead, replan_every=replan_every)
        self._patience_s, self._clock = patience_s, clock
        self._step = -1
        self._planned_at = 0
        self._era = 0
        self._fresh = True
        self._waiting: _Job | None = None
        self._running: _Job | None = None
        self._answer: _Answer | None = None
        self._closing = False
        self._followed = self._dropped = self._dry = self._unplanned = 0
        self._latency_steps: deque[int] = deque(maxlen=KEPT_LATENCIES)
        self._latency_s: deque[float] = deque(maxlen=KEPT_LATENCIES)
        self._asking = threading.Lock()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="plan ahead", daemon=True)
        self._thread.start()

    @property
    def figures(self) -> PlanFigures:
        """Since the planner was made; latencies of the newest plans."""
        with self._changed:
            steps50, steps99 = _percentiles(self._latency_steps)
            s50, s99 = _percentiles(self._latency_s)
            counts = self.asked, self._followed, self._dropped, self._dry, self._unplanned
        return PlanFigures(*counts, steps50, steps99, 1e3 * s50, 1e3 * s99)

    def reset(self, seed: int) -> None:
        """A new episode begins, whose plans' noise follows from `seed` alone."""
        super().reset(seed)
        self._step, self._fresh = -1, True

    def flush(self) -> None:
        """Somebody else acted: running plans and the answer under way are void."""
        with self._changed:
            super().flush()
            self._era += 1
            self._waiting = None
            if self._answer is not None:
                self._answer, self._dropped = None, self._dropped + 1

    def see(self, obs: Observation) -> Float32:
        """What the plans hold for the step on this observation and those after it; zero where they hold nothing.

        Returns:
            ``float32[K, h, 7]`` in [-1, 1].

        Raises:
            DeviceError: the base failed to answer the last question; the next observation is planned from anew.
        """
        self.remember(obs)
        with self._changed:
            self._take()
            if self._due():
                self._ask()
            if not self._left:
                patience_s = None if self._fresh else self._patience_s
                self._changed.wait_for(lambda: self._answer is not None or self._closing, patience_s)
                self._take()
            self._fresh = False
            return self._ahead()

    def remember(self, obs: Observation) -> None:
        """Take an observation without following a plan on it."""
        super().remember(obs)
        self._step += 1

    def propose(self, noise: Float32) -> Float32:
        """Plans from the newest observations, waited for."""
        with self._asking:
            plans = self.base.propose(tuple(self._seen), noise)
        with self._changed:
            self.asked += 1
        return plans

    def close(self) -> None:
        """Wait for the answer under way, end the thread and release the base. May be called twice."""
        with self._changed:
            self._closing, self._waiting = True, None
            self._changed.notify_all()
        self._thread.join()
        super().close()

    @property
    def _left(self) -> int:
        """Steps that the running plan still holds."""
        return 0 if self._plans is None else max(self._plans.shape[1] - (self._step - self._planned_at), 0)

    def _due(self) -> bool:
        """Whether a plan is to be asked for and none is under way."""
        under_way = self._running is not None and self._running.era == self._era
        return not under_way and (self._plans is None or self._step - self._planned_at >= self.replan_every)

    def _ask(self) -> None:
        """Leave a question to the thread; one that it has not begun yet is replaced by this newer one."""
        if self._waiting is None:
            noise = self._rng.standard_normal((self.proposals, *self.base.info.noise_shape), dtype=np.float32)
        else:
            noise = self._waiting.noise
        self._waiting = _Job(self._era, self._step, tuple(self._seen), noise)
        self._changed.notify_all()

    def _take(self) -> None:
        """Follow the answer that has come, if any.

        Raises:
            DeviceError: it is none.
        """
        answer, self._answer = self._answer, None
        if answer is None:
            return
        if answer.plans is None:
            self._plans = None
            raise DeviceError(f"the base {self.base.info.name} did not plan: {answer.error}") from answer.error
        self._plans, self._planned_at = answer.plans, answer.job.step
        self._followed += 1
        if not self._fresh:
            self._latency_steps.append(self._step - answer.job.step)
        self._latency_s.append(answer.took_s)

    def _ahead(self) -> Float32:
        """Actions of this step and the following, as far as the plans reach."""
        out = np.zeros((self.proposals, self.lookahead, ACTION_SIZE), np.float32)
        if self._plans is None:
            self._unplanned += 1
        elif not self._left:
            self._dry += 1
        else:
            at = self._step - self._planned_at
            ahead = self._plans[:, at : at + self.lookahead]
            out[:, : ahead.shape[1]] = ahead
        return out

    def _work(self) -> None:
        """The thread: one question at a time, the newest."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting is not None or self._closing)
                job, self._waiting = self._waiting, None
                if job is None:
                    return
                self._running = job
                self.asked += 1
            answer = self._answered(job)
            with self._changed:
                self._running = None
                if job.era == self._era:
                    self._answer = answer
                else:
                    self._dropped += 1
                self._changed.notify_all()

    def _answered(self, job: _Job) -> _Answer:
        began_s = self._clock()
        try:
            with self._asking:
                plans = self.base.propose(job.seen, job.noise)
        except Exception as e:
            return _Answer(job, None, e, self._clock() - began_s)
        return _Answer(job, plans, None, self._clock() - began_s)


def _percentiles(values: deque[int] | deque[float]) -> tuple[float, float]:
    """Median and 99th percentile; 0 without values."""
    if not values:
        return 0.0, 0.0
    p50, p99 = np.percentile(np.asarray(values, np.float64), (50, 99))
    return float(p50), float(p99)
