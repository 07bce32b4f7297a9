"""The tabular part of the report page: evaluations, help, provenance, and what is missing."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from robot_rl.core.cells import IN_PROCESS
from robot_rl.evaluation.charts import format_number
from robot_rl.evaluation.report_text import DASH, minutes, number, seconds, share
from robot_rl.evaluation.run_record import RunRecord


def evaluation_table(run: RunRecord) -> str:
    """Every evaluation of the run, with the bounds of its interval and a mark at the best checkpoint."""
    if not run.evaluations:
        return ""
    best = " · best"
    elsewhere = any(row.get("cell", IN_PROCESS) != IN_PROCESS for row in run.evaluations)
    rows = [
        (
            f"{row.get('checkpoint', DASH)}{best if row.get('checkpoint') == run.best_checkpoint else ''}",
            format_number(number(row, "env_step")),
            minutes(number(row, "robot_s") / 60),
            share(number(row, "n"), 0),
            share(number(row, "success")),
            share(number(row, "wilson_low")),
            share(number(row, "wilson_high")),
            seconds(number(row, "mean_time_to_success_s")),
            seconds(number(row, "median_time_to_success_s")),
            *((str(row.get("cell", IN_PROCESS)),) if elsewhere else ()),
        )
        for row in run.evaluations
    ]
    names = (
        "checkpoint",
        "env steps",
        "robot time",
        "n",
        "success",
        "lower bound",
        "upper bound",
        "mean time*",
        "median",
        *(("cell",) if elsewhere else ()),
    )
    note = (
        "Bounds are those of the 95 % Wilson interval. * over all episodes, a failed one counted as the time limit; "
        "a dash in the median: half or more failed."
    )
    if run.best_checkpoint:
        note += f" Best by lower bound in evaluations during training: checkpoint {run.best_checkpoint}."
    body = f'{table(names, rows)}<p class="note">{note}</p>'
    return f'<section><h2>Evaluations</h2><div class="panel">{body}</div></section>'


def table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column is text and whose others are figures."""
    head = "".join(f"<th{'' if k == 0 else ' class=num'}>{escape(n)}</th>" for k, n in enumerate(names))
    body = "".join(
        "<tr>" + "".join(f"<td{'' if k == 0 else ' class=num'}>{escape(c)}</td>" for k, c in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def effort(run: RunRecord) -> str:
    """How training episodes ended, and what a person, or the script in a person's place, contributed."""
    total = max(len(run.episodes), 1)
    ends = Counter(reason or "not recorded" for reason in run.episodes.text("stop_reason"))
    helped = np.nan_to_num(run.episodes.numbers("intervention_steps"))
    helped_min = minutes(float(helped.sum()) * run.step_s / 60)
    demos = run.demos
    demos_text = (
        f"{demos.episodes} episodes, {demos.steps} steps, {demos.robot_s / 60:.1f} min of robot time, "
        f"{demos.successes} ended in success{', by the scripted expert' if run.scripted_demos else ''}"
    )
    facts = {
        "Demonstrations": demos_text if demos.episodes else "none found",
        "Corrections": f"{int(helped.sum())} steps in {int((helped > 0).sum())} of {len(run.episodes)} episodes, "
        f"{helped_min}{', by a script in place of a person' if run.scripted_help else ''}",
        "How episodes ended": ", ".join(f"{k}: {v} ({v / total:.0%})" for k, v in ends.most_common()) or DASH,
    }
    return f'<section><h2>Demonstrations and corrections</h2><div class="panel">{definitions(facts)}</div></section>'


def definitions(facts: Mapping[str, Any]) -> str:
    """Names with values."""
    return "<dl>" + "".join(f"<dt>{escape(str(k))}</dt><dd>{escape(str(v))}</dd>" for k, v in facts.items()) + "</dl>"


def provenance(run: RunRecord) -> str:
    """How to repeat it: command, commit, machine, versions, configuration."""
    meta = run.meta
    argv = meta.get("argv")
    command = command_line([str(a) for a in argv]) if isinstance(argv, list) and argv else "not recorded"
    facts: dict[str, Any] = {
        "Status": meta.get("status") or "not recorded",
        "Started": meta.get("start") or "not recorded",
        "Ended": meta.get("end") or "not recorded: the run was interrupted or still goes on",
        "Commit": meta.get("git_commit") or "not recorded",
        "Control rate": f"{meta['hz']:g} Hz" if isinstance(meta.get("hz"), int | float) else "not recorded",
    }
    for name in ("machine", "counters"):
        value = meta.get(name)
        if isinstance(value, Mapping) and value:
            facts[name.capitalize()] = ", ".join(f"{k}: {_short(v)}" for k, v in value.items())
    versions = meta.get("versions")
    blocks = [
        "<section><h2>How to repeat it</h2><details open><summary>Command and machine</summary>"
        f"<div><pre>{escape(command)}</pre><br>{definitions(facts)}</div></details>"
    ]
    if isinstance(versions, Mapping) and versions:
        blocks.append(f"<details><summary>Versions</summary><div>{definitions(versions)}</div></details>")
    if run.config_text:
        blocks.append(
            "<details><summary>Configuration (config.yaml)</summary>"
            f"<div><pre>{escape(run.config_text)}</pre></div></details>"
        )
    layout = meta.get("state_spec")
    if isinstance(layout, list) and all(isinstance(p, Mapping) for p in layout) and layout:
        names = ("part", "values", "unit", "frame", "scale")
        rows = [[str(p.get(k, "")) for k in ("name", "size", "unit", "frame", "scale")] for p in layout]
        blocks.append(f"<details><summary>State of the policy</summary><div>{table(names, rows)}</div></details>")
    return "".join(blocks) + "</section>"


def command_line(argv: Sequence[str]) -> str:
    """The command as one would type it, without the folders of this machine."""
    name = Path(argv[0]).name
    return shlex.join(["robot-rl" if name == "__main__.py" else name, *argv[1:]])


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def missing(notes: Sequence[str]) -> str:
    """What the run did not leave behind."""
    if not notes:
        return ""
    items = "".join(f"<li>{escape(n)}</li>" for n in notes)
    return f'<section><h2>What is missing here</h2><ul class="missing">{items}</ul></section>'


def footer() -> str:
    """How the figures were made."""
    made = f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}"
    return (
        "<footer>Success rates carry 95 % Wilson score intervals (Wilson, JASA 22, 1927). The mean time to success is "
        "the mean of min(time, limit) over all episodes with failures counted as the limit. A person's time is robot "
        "time under operator control, demonstrations included; watching and resetting by hand are not counted. "
        f"Page made on {escape(made)}.</footer>"
    )
