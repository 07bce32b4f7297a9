"""Several seeds of one setting as one curve with a band: what a comparison draws and writes down."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from robot_rl.core.types import Array
from robot_rl.evaluation.run_record import WINDOW_EPISODES, RunRecord
from robot_rl.evaluation.stats import bootstrap_band, hold_last, interquartile_mean, wilson_interval

Axis = Literal["env_step", "robot_min"]
Metric = Literal["success", "unaided_success", "intervention_share", "human_min", "evaluation_success"]
GRID_POINTS = 200

CURVES: Mapping[Metric, Callable[[RunRecord], Array]] = {
    "success": lambda run: run.rolling_success(),
    "unaided_success": lambda run: run.rolling_success(unaided=True),
    "intervention_share": lambda run: run.rolling_intervention_share(),
    "human_min": lambda run: run.human_min(),
}


@dataclass(frozen=True)
class Curve:
    """Aggregate of one metric over the runs of a group.

    Attributes:
        x: positions ``[m]``.
        mean: interquartile mean over the runs ``[m]``.
        low: lower end of its 95 % bootstrap interval over runs ``[m]``.
        high: upper end ``[m]``.
        runs: how many runs have data at each position ``[m]``.
    """

    x: Array
    mean: Array
    low: Array
    high: Array
    runs: Array


def series_of(run: RunRecord, metric: Metric, axis: Axis) -> tuple[Array, Array]:
    """Positions and values of one metric of one run, finite and in order of position."""
    if metric == "evaluation_success":
        rows = [r for r in run.evaluations if isinstance(r.get("success"), int | float)]
        key, scale = ("env_step", 1.0) if axis == "env_step" else ("robot_s", 1.0 / 60.0)
        x = np.array([_number(r.get(key)) * scale for r in rows], np.float64)
        y = np.array([_number(r["success"]) for r in rows], np.float64)
    else:
        x = run.episodes.numbers("env_step") if axis == "env_step" else run.robot_min
        y = CURVES[metric](run)
    keep = np.isfinite(x) & np.isfinite(y)
    order = np.argsort(x[keep], kind="stable")
    return x[keep][order], y[keep][order]


def aggregate(runs: Sequence[RunRecord], metric: Metric, axis: Axis) -> Curve:
    """One curve over runs, drawn only where at least half of them (and at least one) have data.

    Runs of unequal length would otherwise make the end of a curve the tale of its longest run. The k-th evaluations of
    all runs make one point, at their mean position, because they fall on ends of episodes that differ a little from run
    to run; the other metrics are step curves sampled on an even grid.
    """
    pairs = [p for p in (series_of(r, metric, axis) for r in runs) if p[0].size]
    if not pairs:
        return Curve(*(np.zeros(0) for _ in range(5)))
    if metric == "evaluation_success":
        rows = _padded([y for _, y in pairs])
        grid = np.nanmean(_padded([x for x, _ in pairs]), axis=0)
    else:
        grid = np.linspace(0.0, max(float(x[-1]) for x, _ in pairs), GRID_POINTS)
        rows = np.array([hold_last(x, y, grid) for x, y in pairs])
    present = np.isfinite(rows).sum(axis=0)
    keep = present >= max(1, math.ceil(len(runs) / 2))
    grid, rows, present = grid[keep], rows[:, keep], present[keep]
    mean, low, high = (np.full(grid.size, np.nan) for _ in range(3))
    # Points with the same runs present are resampled together, so that a draw is a draw of whole runs.
    masks = np.isfinite(rows)
    for pattern in np.unique(masks, axis=1).T:
        at = (masks == pattern[:, None]).all(axis=0)
        values = rows[pattern][:, at]
        mean[at] = interquartile_mean(values)
        low[at], high[at] = bootstrap_band(values)
    return Curve(grid, mean, low, high, present.astype(np.float64))


@dataclass(frozen=True)
class FinalRow:
    """The evaluation a run is judged by, or the sum of those of a group.

    Attributes:
        label: name of the setting.
        seed: of the run; ``all`` for the sum over seeds.
        n: evaluation episodes; 0 if the run has none.
        successes: successful ones.
        wilson_low: lower end of the 95 % Wilson interval.
        wilson_high: upper end. For the sum it treats the episodes of all seeds as independent, which understates the
            spread between seeds; read it with the rows above it.
        time_to_success_s: mean with failures counted as the limit; NaN if unknown.
        env_steps: of training.
        robot_min: robot minutes of training.
        human_min: minutes of a person's time, demonstrations included.
        human_min_to_success: the same until unaided success over the last 20 training episodes first reached 0.9; NaN
            if it never did, or for the sum if less than half of the runs did, else the median with the others as never.
    """

    label: str
    seed: str
    n: int
    successes: int
    wilson_low: float
    wilson_high: float
    time_to_success_s: float
    env_steps: float
    robot_min: float
    human_min: float
    human_min_to_success: float


def final_rows(label: str, runs: Sequence[RunRecord]) -> list[FinalRow]:
    """One row a run, then their sum if there are several."""
    rows = [_final_row(label, run) for run in runs]
    if len(rows) < 2:
        return rows
    n, successes = sum(r.n for r in rows), sum(r.successes for r in rows)
    interval = wilson_interval(successes, n)
    weights = np.array([r.n if math.isfinite(r.time_to_success_s) else 0 for r in rows], np.float64)
    times = np.nan_to_num([r.time_to_success_s for r in rows])
    total = FinalRow(
        label,
        "all",
        n,
        successes,
        interval.low,
        interval.high,
        float(weights @ times / weights.sum()) if weights.any() else math.nan,
        _mean([r.env_steps for r in rows]),
        _mean([r.robot_min for r in rows]),
        _mean([r.human_min for r in rows]),
        _median_with_never([r.human_min_to_success for r in rows]),
    )
    return [*rows, total]


def human_min_to_success(run: RunRecord, threshold: float = 0.9) -> float:
    """A person's minutes until unaided success over a full window of episodes first reached a threshold, or NaN."""
    success, human = run.rolling_success(unaided=True), run.human_min()
    reached = np.flatnonzero((success >= threshold - 1e-9) & (np.arange(success.size) >= WINDOW_EPISODES - 1))
    return float(human[reached[0]]) if reached.size else math.nan


def _final_row(label: str, run: RunRecord) -> FinalRow:
    row = run.judged
    n, successes = (int(v) if math.isfinite(v := _number(row.get(k))) else 0 for k in ("n", "successes"))
    interval = wilson_interval(min(successes, n), n)
    steps, human, minutes = run.episodes.numbers("env_step"), run.human_min(), run.robot_min
    demonstrated = run.demos.robot_s / 60.0
    return FinalRow(
        label,
        run.seed,
        n,
        successes,
        interval.low,
        interval.high,
        _number(row.get("mean_time_to_success_s")),
        _last(steps) if run.acts else 0.0,
        _last(minutes) if run.acts else 0.0,
        _last(human) if human.size else demonstrated if run.demos.episodes else math.nan,
        human_min_to_success(run),
    )


def _padded(rows: Sequence[Array]) -> Array:
    """Rows of unequal length as one array, NaN behind the shorter ones."""
    out = np.full((len(rows), max(len(r) for r in rows)), np.nan)
    for k, row in enumerate(rows):
        out[k, : len(row)] = row
    return out


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _last(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if finite.size else math.nan


def _mean(values: Sequence[float]) -> float:
    finite = [v for v in values if math.isfinite(v)]
    return sum(finite) / len(finite) if finite else math.nan


def _median_with_never(values: Sequence[float]) -> float:
    ordered = sorted(v if math.isfinite(v) else math.inf for v in values)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    return middle if math.isfinite(middle) else math.nan
