"""The part of the report on how acting and learning kept step: UTD, waits, actors, and what interrupted the run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from robot_rl.core.types import Array
from robot_rl.evaluation.charts import Chart, Series, draw, format_number
from robot_rl.evaluation.report_tables import definitions, table
from robot_rl.evaluation.report_text import DASH, last, number, seconds, share
from robot_rl.evaluation.run_record import RunRecord

STEPS = "environment steps"
UTD, TARGET, FLOOR, CAP = 3, 1, 5, 4


def runtime_section(run: RunRecord) -> str:
    """Charts, actors and events; an empty string if the run left none of them."""
    charts = "".join(draw(chart) for chart in runtime_charts(run))
    facts, actors = _facts(run), actor_table(run)
    if not (charts or facts or actors):
        return ""
    panels = f'<div class="panel">{definitions(facts)}</div>' if facts else ""
    if actors:
        note = (
            "Lag: what an actor had taken and the learner had not yet on its disk; age: since the learner released the "
            "parameters the actor acted with; late: how long after its tick a control step woke up; missed: steps "
            "commanded too late for their tick."
        )
        panels += f'<div class="panel">{actors}<p class="note">{note}</p></div>'
    return f'<section><h2>Acting and learning</h2><div class="grid">{charts}</div>{panels}</section>'


def runtime_charts(run: RunRecord) -> list[Chart]:
    """UTD with its lines, waits, and rates; those without data are left out."""
    log = run.learner
    steps = log.numbers("env_step")
    found = [
        ("updates_per_s", "update calls", 3),
        ("env_steps_per_s", "environment steps", 1),
    ]
    rates = tuple(Series(label, steps, log.numbers(name), color=c) for name, label, c in found if name in log)
    charts = [utd_chart(run), _waits(run), Chart("Rates", STEPS, "per second", rates, log=True)]
    return [chart for chart in charts if chart.series]


def utd_chart(run: RunRecord) -> Chart:
    """Gradient steps per environment step beside what was wanted, at least and at most."""
    log = run.learner
    steps, title = log.numbers("env_step"), "Updates per environment step (UTD)"
    if "utd" not in log:
        return Chart(title, STEPS, "", ())
    pace = run.config.get("pace")
    pace = pace if isinstance(pace, Mapping) else {}
    floor, cap = number(pace, "utd_floor"), number(pace, "utd_cap")
    target = log.numbers("utd_target")
    series = [Series("achieved, whole run", steps, log.numbers("utd"), color=UTD)]
    if np.isfinite(target).any():
        series.append(Series("target", steps, target, color=TARGET, dashed=True))
        series += [
            Series(name, steps, target * factor, color=color, dashed=True)
            for name, factor, color in (("floor", floor, FLOOR), ("cap", cap, CAP))
            if math.isfinite(factor) and factor not in (0.0, 1.0)
        ]
    return Chart(title, STEPS, "gradient steps per step", tuple(series), zero=True, note=_pace_note(floor, cap))


def _pace_note(floor: float, cap: float) -> str:
    """What the lines are, and those that coincide with the target or do not exist."""
    parts = []
    if floor == 0.0:
        parts.append("No floor: acting never waits.")
    elif math.isfinite(floor):
        parts.append(f"Floor {floor:g} x target: below it acting waits.")
    if math.isfinite(cap):
        parts.append(
            f"Cap {cap:g} x target: {'idle time is not used.' if cap == 1.0 else 'idle time is used up to it.'}"
        )
    return " ".join(parts)


def _waits(run: RunRecord) -> Chart:
    log = run.learner
    steps, wall_s = log.numbers("env_step"), log.numbers("wall_s")
    series = tuple(
        Series(label, steps[1:], _share_of_time(log.numbers(name), wall_s), color=color)
        for name, label, color in (
            ("learner_wait_s", "learner, for experience", UTD),
            ("actor_wait_s", "acting, for the learner", FLOOR),
        )
        if name in log and len(log) > 1
    )
    note = "One of the two is always the slower. A real robot should not be seen waiting here."
    return Chart("Time spent waiting", STEPS, "share of wall time", series, percent=True, note=note)


def _share_of_time(waited_s: Array, wall_s: Array) -> Array:
    """Share of the time between two rows that was spent waiting ``[rows - 1]``."""
    passed = np.diff(wall_s)
    return np.where(passed > 0, np.clip(np.diff(waited_s) / np.where(passed > 0, passed, 1.0), 0.0, 1.0), np.nan)


def actor_table(run: RunRecord) -> str:
    """One row an actor, as it was last seen, with median and worst lag; an empty string without ``actors.csv``."""
    log = run.actors
    rows: list[tuple[str, ...]] = []
    real_time = bool(np.isfinite(log.numbers("late_p50_ms")).any())
    for name in dict.fromkeys(log.text("actor")):
        at = np.array([n == name for n in log.text("actor")])
        column = {key: log.numbers(key)[at] for key in ("env_steps", "share", "lag_steps", "lag_s", "policy_age_s")}
        host = [h for h, mine in zip(log.text("host"), at, strict=True) if mine][-1]
        share_now = last(column["share"])
        rows.append(
            (
                name,
                host or DASH,
                format_number(last(column["env_steps"])),
                f"{share_now:.0%}" if math.isfinite(share_now) else DASH,
                share(_largest(column["lag_steps"]), 0),
                _median_and_worst(column["lag_s"]),
                _median_and_worst(column["policy_age_s"]),
                *(_late_cells(run, at) if real_time else ()),
            )
        )
    if not rows:
        return ""
    names = ("actor", "host", "env steps", "of all", "worst lag, steps", "lag, median / worst", "policy age, same")
    return table((*names, "late p50 / p99 / worst", "missed") if real_time else names, rows)


def _late_cells(run: RunRecord, at: npt.NDArray[np.bool_]) -> tuple[str, str]:
    """Lateness of an actor's steps as last told; dashes for one in lock-step."""
    told = [last(run.actors.numbers(f"late_{name}_ms")[at]) for name in ("p50", "p99", "worst")]
    if not all(map(math.isfinite, told)):
        return DASH, DASH
    return f"{' / '.join(f'{ms:.1f}' for ms in told)} ms", format_number(last(run.actors.numbers("missed")[at]))


def _median_and_worst(values: Array) -> str:
    finite = values[np.isfinite(values)]
    return f"{_brief(float(np.median(finite)))} / {_brief(float(finite.max()))}" if finite.size else DASH


def _brief(value_s: float) -> str:
    return f"{value_s * 1e3:.0f} ms" if value_s < 1.0 else seconds(value_s)


def _largest(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.max()) if finite.size else math.nan


def _facts(run: RunRecord) -> dict[str, str]:
    log, facts = run.learner, {}
    wall_s = last(log.numbers("wall_s"))
    for label, name in (("Learner waited", "learner_wait_s"), ("Acting waited", "actor_wait_s")):
        waited_s = last(log.numbers(name))
        if math.isfinite(waited_s) and wall_s > 0:
            what = "for experience" if name == "learner_wait_s" else "for the learner"
            facts[label] = f"{seconds(waited_s)} {what}, {waited_s / wall_s:.0%} of the wall time"
    files, size = _disk_use(run.path / "episodes")
    if files:
        facts["Episode log"] = f"{files} files, {size / 1e6:,.1f} MB"
    for k, event in enumerate(run.events, 1):
        facts[f"Event {k}"] = event
    return facts


def _disk_use(folder: Path) -> tuple[int, int]:
    """Number and bytes of the episode files of all actors."""
    sizes = [path.stat().st_size for path in folder.glob("*/*.mcap*") if path.is_file()]
    return len(sizes), sum(sizes)
