"""The part of the report on the process reward: what it earned against success, its weight, and its alarms."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from robot_rl.evaluation.charts import Chart, Series, draw
from robot_rl.evaluation.report_tables import definitions, table
from robot_rl.evaluation.report_text import DASH, number
from robot_rl.evaluation.run_record import WINDOW_EPISODES, RunRecord
from robot_rl.evaluation.stats import rolling_mean
from robot_rl.evaluation.tables import Table, read_table

STEPS = "environment steps"
HIGH = 0.8
REVIEW_AT_MOST = 20
LEVELS = ("green", "amber", "red")
RETURN, SUCCESS, TIME, WEIGHT, ALARM = 4, 1, 2, 3, 5


def process_section(run: RunRecord) -> str:
    """Charts, alarms and what a person should look at; an empty string if the run had no process reward."""
    log = read_table(run.path / "process.csv")
    if not len(log):
        return ""
    charts = "".join(draw(chart) for chart in process_charts(run, log))
    panels = f'<div class="panel">{definitions(_facts(run, log))}</div>'
    review = review_table(log, _high(run))
    if review:
        note = (
            "Failures that the process model holds for nearly done, the newest first: the model is wrong there, or the "
            "detector of success is."
        )
        panels += f'<div class="panel">{review}<p class="note">{note}</p></div>'
    return f'<section><h2>Process reward</h2><div class="grid">{charts}</div>{panels}</section>'


def process_charts(run: RunRecord, log: Table) -> list[Chart]:
    """Process return beside success, time at a high score, weight, and the monitor's findings."""
    steps, last = log.numbers("env_step"), f"last {WINDOW_EPISODES} episodes"
    high = _high(run)

    def rolling(name: str, label: str, color: int) -> tuple[Series, ...]:
        return (Series(label, steps, rolling_mean(np.nan_to_num(log.numbers(name)), WINDOW_EPISODES), color=color),)

    correlation = (Series("rank correlation", steps, log.numbers("correlation"), color=RETURN),)
    charts = [
        Chart(
            f"Process return, {last}",
            STEPS,
            "before its weight",
            rolling("process_return", "process return", RETURN),
            zero=True,
            note="To be trusted only as long as success rises with it.",
        ),
        Chart(f"Success, {last}", STEPS, "share", rolling("success", "success", SUCCESS), percent=True),
        Chart(
            f"Time with a score above {high:g}, {last}",
            STEPS,
            "share of steps",
            rolling("high_share", "above", TIME),
            percent=True,
            note="Growing without success, it is time spent loitering.",
        ),
        Chart(
            "Process return against success",
            STEPS,
            "correlation",
            correlation,
            note="Over the episodes that were watched.",
        ),
        Chart(
            "Weight of the process reward",
            STEPS,
            "beta",
            (Series("beta", steps, log.numbers("beta"), color=WEIGHT),),
            zero=True,
        ),
        Chart(
            "Alarm",
            STEPS,
            "0 green, 1 amber, 2 red",
            (Series("alarm", steps, log.numbers("alarm"), color=ALARM),),
            zero=True,
        ),
    ]
    return [chart for chart in charts if any(np.isfinite(s.y).any() for s in chart.series)]


def review_table(log: Table, high: float) -> str:
    """The newest failures whose progress ended above `high`; an empty string if there are none."""
    found = np.flatnonzero((log.numbers("success") < 0.5) & (log.numbers("phi_end") > high))[::-1]
    rows = [
        (
            log.text("episode")[k],
            log.text("env_step")[k],
            f"{log.numbers('phi_end')[k]:.2f}",
            f"{log.numbers('process_return')[k]:.2f}",
        )
        for k in found[:REVIEW_AT_MOST]
    ]
    return table(("finished episode", "env step", "progress at its end", "process return"), rows) if rows else ""


def _facts(run: RunRecord, log: Table) -> dict[str, str]:
    section = _settings(run)
    alarms, steps, beta = log.numbers("alarm"), log.numbers("env_step"), log.numbers("beta")
    red = np.flatnonzero(alarms >= 2)
    worst = LEVELS[int(np.nanmax(alarms))] if np.isfinite(alarms).any() else DASH
    facts = {
        "Form": str(section.get("form", DASH)),
        "Progress from": str(section.get("model", DASH)),
        "Weight": f"{number(section, 'beta'):g} configured, {beta[-1]:g} at the end",
        "Worst alarm": worst + (f", first at step {steps[red[0]]:.0f}" if red.size else ""),
    }
    events = run.meta.get("events")
    for event in events if isinstance(events, list) else []:
        if isinstance(event, Mapping) and str(event.get("text", "")).startswith("process reward"):
            facts[f"Step {event.get('env_step', DASH)}"] = str(event["text"])
    return facts


def _settings(run: RunRecord) -> Mapping[str, object]:
    section = run.config.get("process")
    return section if isinstance(section, Mapping) else {}


def _high(run: RunRecord) -> float:
    monitor = _settings(run).get("monitor")
    value = number(monitor, "high") if isinstance(monitor, Mapping) else math.nan
    return value if math.isfinite(value) else HIGH
