"""The report tells what the process reward was worth, and nothing where there was none."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from pathlib import Path

import pytest

from robot_rl.evaluation.report import render_report
from robot_rl.evaluation.report_process import process_charts, process_section, review_table
from robot_rl.evaluation.run_record import read_run
from robot_rl.evaluation.tables import read_table
from robot_rl.runtime.monitor.process_row import PROCESS_COLUMNS, ProcessRow
from tests.evaluation.conftest import make_run


def row(episode: int, **changes: float | None) -> ProcessRow:
    values = {
        "episode": episode, "env_step": 80 * (episode + 1), "success": 0, "helped": 0, "process_return": 10.0,
        "paid": 10.0, "high_share": 0.5, "phi_end": 0.5, "beta": 0.2, "alarm": 0, "correlation": None,
    }  # fmt: skip
    return ProcessRow(**{**values, **changes})  # type: ignore[arg-type]


def write_rows(path: Path, rows: list[ProcessRow]) -> None:
    with (path / "process.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, PROCESS_COLUMNS)
        writer.writeheader()
        writer.writerows({k: "" if v is None else v for k, v in asdict(r).items()} for r in rows)


@pytest.fixture
def run_path(tmp_path: Path) -> Path:
    path = make_run(tmp_path)
    rows = [row(k, phi_end=0.9 if k % 30 == 0 else 0.5) for k in range(60)]
    rows += [row(60 + k, alarm=2, beta=0.0, correlation=-0.4) for k in range(40)]
    write_rows(path, rows)
    with (path / "config.yaml").open("a") as file:
        file.write("process: {form: naive_sum, model: task, beta: 0.2, monitor: {high: 0.8}}\n")
    info = json.loads((path / "run.json").read_text())
    said = {"time": "2000-01-01T00:00:00+00:00", "env_step": 4880, "text": "process reward, red alarm: <farmed>"}
    (path / "run.json").write_text(json.dumps({**info, "events": [*info.get("events", []), said]}))
    return path


def test_alarms_weight_and_what_to_look_at(run_path: Path) -> None:
    html = render_report(read_run(run_path))
    for text in (
        "<h2>Process reward</h2>",
        "naive_sum",
        "0.2 configured, 0 at the end",
        "red, first at step 4880",
        "process reward, red alarm: &lt;farmed&gt;",
        "Time with a score above 0.8",
        "progress at its end",
    ):
        assert text in html, text


def test_only_failures_with_a_high_end_are_listed_newest_first(run_path: Path) -> None:
    log = read_table(run_path / "process.csv")
    html = review_table(log, 0.8)
    assert html.count("<tr>") == 3 and html.index(">30<") < html.index(">0<")
    assert review_table(log, 0.95) == ""


def test_charts_without_data_are_left_out(run_path: Path) -> None:
    run = read_run(run_path)
    write_rows(run_path, [row(k) for k in range(5)])
    titles = [chart.title for chart in process_charts(run, read_table(run_path / "process.csv"))]
    assert "Process return against success" not in titles and len(titles) == 5


def test_a_run_without_a_process_reward_says_nothing_of_it(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path))
    assert process_section(run) == "" and "Process reward" not in render_report(run)


def test_a_table_cut_off_in_its_first_row_says_nothing(run_path: Path) -> None:
    (run_path / "process.csv").write_text(",".join(PROCESS_COLUMNS) + "\n3,240,0")
    assert process_section(read_run(run_path)) == ""
