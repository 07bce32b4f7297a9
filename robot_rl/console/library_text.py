"""Runs and episodes in words, short enough for a panel of 300 pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence

from robot_rl.console.library import EpisodeEntry, RunSummary

_ESCAPED = str.maketrans({"|": r"\|", "*": r"\*", "_": r"\_", "`": r"\`", "<": "&lt;"})


def runs_table(runs: Sequence[RunSummary], limit: int = 12) -> str:
    """A Markdown table of the first runs of a list, one row each; a sentence when there are none.

    Args:
        runs: of `robot_rl.console.library.list_runs`.
        limit: rows at most; how many more there are is said below.
    """
    if not runs:
        return "No runs yet."
    rows = ["| Run | Steps | Success | Helped |", "|:--|--:|--:|--:|", *(_row(run) for run in runs[:limit])]
    more = len(runs) - limit
    return "\n".join([*rows, f"\nand {more} older ones"] if more > 0 else rows)


def episode_label(entry: EpisodeEntry) -> str:
    """One episode in a list to choose from, for example ``training a0 12: success, 34 steps, 20 % helped``."""
    number = str(entry.number) if entry.number >= 0 else entry.path.name
    name = " ".join(part for part in (entry.kind, entry.actor, number) if part)
    if entry.problem:
        return f"{name}: unreadable"
    if entry.length is None:
        return name
    helped = f", {100 * entry.intervention_share:.0f} % helped" if entry.intervention_share else ""
    return f"{name}: {entry.stop_reason or 'ended'}, {entry.length} steps{helped}"


def _row(run: RunSummary) -> str:
    if run.problem and not run.run_id:
        return f"| {_plain(run.path.name)} | | {_plain(run.problem)} | |"
    when = run.start[5:16].replace("T", " ")
    state = "" if run.status in ("finished", "") else f" ({_plain(run.status)})"
    planned = f" of {_steps(run.planned_steps)}" if run.planned_steps else ""
    helped = "" if math.isnan(run.corrected_min) else f"{run.corrected_min:.1f} min"
    # An evaluation without help says more than episodes that explore and are helped.
    success = run.evaluated if not math.isnan(run.evaluated) else run.success
    rate = "" if math.isnan(success) else f"{100 * success:.0f} %"
    return f"| {_plain(run.task)} {when}{state} | {_steps(run.env_steps)}{planned} | {rate} | {helped} |"


def _steps(count: int) -> str:
    return f"{count / 1000:.3g}k" if count >= 1000 else str(count)


def _plain(text: str) -> str:
    """Text that Markdown leaves alone."""
    return " ".join(text.split()).translate(_ESCAPED)
