"""Settings against each other, several seeds each: a figure, the data behind it, and a table with intervals."""

from __future__ import annotations

import csv
import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.evaluation.aggregate import CURVES, Axis, FinalRow, Metric, aggregate, final_rows
from robot_rl.evaluation.figures import comparison_figure, save_figure
from robot_rl.evaluation.report_tables import command_line
from robot_rl.evaluation.run_record import WINDOW_EPISODES, RunRecord, read_run

AXES: tuple[Axis, ...] = ("env_step", "robot_min")
METRICS: tuple[Metric, ...] = (*CURVES, "evaluation_success")
FIGURE_TEXT = """Thick lines: interquartile mean over seeds; bands: 95 % bootstrap interval over seeds; thin lines:
single runs. A curve ends where fewer than half of its runs have data. Training success is the rate over the last
{window} episodes, which explore and may be helped. Data: [{name}.csv]({name}.csv)."""
TABLE_TEXT = """Deterministic policy, fixed initial states, no help. Rows `all` pool the episodes of all seeds (other
columns: means, the last one a median); their interval ignores the spread between seeds. Time to success is the
mean with failures counted as the time limit. Human minutes are robot time under a person's control, demonstrations
included; the last column is what was spent until unaided success over {window} training episodes first reached 0.9."""
DASH = "–"  # noqa: RUF001


@dataclass(frozen=True)
class ComparisonSummary:
    """What a comparison found and wrote.

    Attributes:
        rows: the evaluation every run is judged by, and the sum of every group.
        files: the figure (SVG, PNG), the curves (CSV), the page (Markdown).
        notes: what is missing or unusual, one sentence each.
    """

    rows: tuple[FinalRow, ...]
    files: tuple[Path, ...]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """One line of text for every group: ``label: n=500 success=0.97 [0.95, 0.98] over 5 seeds``."""
        out = []
        for label in dict.fromkeys(r.label for r in self.rows):
            mine = [r for r in self.rows if r.label == label]
            seeds = sum(r.seed != "all" for r in mine)
            last = mine[-1]
            result = (
                f"n={last.n} success={last.successes / last.n:.2f} [{last.wilson_low:.2f}, {last.wilson_high:.2f}]"
                if last.n
                else "not evaluated"
            )
            out.append(f"{label}: {result} over {seeds} seed{'s' if seeds != 1 else ''}")
        return out


def compare(
    groups: Mapping[str, Sequence[Path]], out: Path, title: str, *, command: str | None = None
) -> ComparisonSummary:
    """Compare groups of runs and write ``<name>.svg``, ``.png``, ``.csv`` and ``.md`` into a folder.

    Args:
        groups: run folders by label, at least one each; the runs of a group differ in their seed only.
        out: folder to write into, such as ``docs/results``.
        title: of the figure and the page; the files are named after it.
        command: what reproduces it; by default the command line of this process.

    Raises:
        ConfigError: there is no group, a group is empty, or the title has no letter or digit.
        DataError: a folder holds no run, or a file cannot be written.
    """
    if not groups or not all(groups.values()):
        raise ConfigError(
            f"every group needs at least one run folder, got { ({k: len(v) for k, v in groups.items()}) }"
        )
    name = re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")
    if not name:
        raise ConfigError(f"the title {title!r} has no letter or digit to name the files after")
    runs = {label: sorted(map(read_run, paths), key=lambda run: run.seed) for label, paths in groups.items()}
    rows = tuple(row for label, group in runs.items() for row in final_rows(label, group))
    notes = _notes(runs)
    figure = comparison_figure(runs, title, panels(runs))
    files = [save_figure(figure, out / f"{name}.svg"), save_figure(figure, out / f"{name}.png")]
    files += [_write_curves(runs, out / f"{name}.csv"), out / f"{name}.md"]
    try:
        files[-1].write_text(_page(title, name, rows, notes, command or command_line(sys.argv), runs), encoding="utf-8")
    except OSError as e:
        raise DataError(f"cannot write {files[-1]}: {e.strerror or e}") from e
    return ComparisonSummary(rows, tuple(files), notes)


def panels(runs: Mapping[str, Sequence[RunRecord]]) -> list[tuple[Metric, Axis]]:
    """Which panels have something to show: success over both axes, then help and evaluations if there were any."""
    everything = [run for group in runs.values() for run in group]
    out: list[tuple[Metric, Axis]] = [("success", "env_step"), ("success", "robot_min")]
    if any((run.episodes.numbers("intervention_steps") > 0).any() for run in everything):
        out += [("unaided_success", "robot_min"), ("intervention_share", "robot_min")]
    if any(run.demos.episodes for run in everything) or len(out) > 2:
        out.append(("human_min", "robot_min"))
    if any(len(run.evaluations) > 1 for run in everything):
        out.append(("evaluation_success", "env_step"))
    return out


def _notes(runs: Mapping[str, Sequence[RunRecord]]) -> tuple[str, ...]:
    notes = []
    for label, group in runs.items():
        for run in group:
            where = f"{label}, seed {run.seed}"
            if not run.evaluations:
                notes.append(f"{where}: no evaluation, so it counts nothing in the table.")
            if run.meta.get("status") not in (None, "finished", "done", "completed"):
                notes.append(f"{where}: the run's status is {run.meta['status']!r}.")
            if run.acts and not len(run.episodes):
                notes.append(f"{where}: no finished training episode.")
            if run.demos.unreadable:
                notes.append(f"{where}: {run.demos.unreadable} demonstration file(s) cannot be read and do not count.")
        seeds = [run.seed for run in group]
        if len(set(seeds)) != len(seeds):
            notes.append(f"{label}: seeds {', '.join(seeds)} are not all different, so its runs are not independent.")
        tasks = {run.task for run in group}
        if len(tasks) > 1:
            notes.append(f"{label}: its runs are of different tasks ({', '.join(sorted(tasks))}).")
    return tuple(notes)


def _write_curves(runs: Mapping[str, Sequence[RunRecord]], path: Path) -> Path:
    header = ("label", "metric", "axis", "x", "interquartile_mean", "low_95", "high_95", "runs")
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            for label, group in runs.items():
                for metric in METRICS:
                    for axis in AXES:
                        c = aggregate(group, metric, axis)
                        for x, *values, n in zip(c.x, c.mean, c.low, c.high, c.runs, strict=True):
                            writer.writerow([label, metric, axis, f"{x:.6g}", *(f"{v:.5g}" for v in values), int(n)])
    except OSError as e:
        raise DataError(f"cannot write {path}: {e.strerror or e}") from e
    return path


def _page(
    title: str,
    name: str,
    rows: Sequence[FinalRow],
    notes: Sequence[str],
    command: str,
    runs: Mapping[str, Sequence[RunRecord]],
) -> str:
    names = (
        "setting",
        "seed",
        "n",
        "success",
        "95 % Wilson",
        "time to success",
        "env steps",
        "robot min",
        "human min",
        "human min to 0.9",
    )
    lines = ["| " + " | ".join(names) + " |", "|---|---|" + "---:|" * (len(names) - 2)]
    lines += ["| " + " | ".join(_cells(row)) + " |" for row in rows]
    remarks = [f"- {n}" for n in notes] or ["- Nothing is missing."]
    commits = sorted(
        {str(run.meta.get("git_commit") or "not recorded")[:12] for group in runs.values() for run in group}
    )
    folders = [
        f"- {label}: {', '.join(f'`{run.path.parent.name}/{run.path.name}`' for run in group)}"
        for label, group in runs.items()
    ]
    parts = [
        f"# {title}",
        f"![{title}]({name}.svg)",
        FIGURE_TEXT.format(window=WINDOW_EPISODES, name=name),
        "## Evaluations",
        TABLE_TEXT.format(window=WINDOW_EPISODES),
        "\n".join(lines),
        "## Remarks",
        "\n".join(remarks),
        "## How it was made",
        f"On {date.today().isoformat()}, commit {', '.join(commits)}:",
        f"```\n{command}\n```",
        "\n".join(folders),
    ]
    return "\n\n".join(parts) + "\n"


def _cells(row: FinalRow) -> list[str]:
    assert len(fields(row)) == 11  # a new column must be shown here too

    def text(value: float, digits: int, unit: str = "") -> str:
        return f"{value:.{digits}f}{unit}" if math.isfinite(value) else DASH

    rate = f"{row.successes / row.n:.2f}" if row.n else DASH
    interval = f"[{row.wilson_low:.2f}, {row.wilson_high:.2f}]" if row.n else DASH
    return [
        row.label,
        row.seed,
        str(row.n),
        rate,
        interval,
        text(row.time_to_success_s, 1, " s"),
        text(row.env_steps, 0),
        text(row.robot_min, 1),
        text(row.human_min, 1),
        text(row.human_min_to_success, 1),
    ]
