"""Tables of a run: one row per episode and update, also when a run was cut and continued."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from robot_rl.runtime.monitor.csv_log import CsvLog, drop_rows_after
from robot_rl.runtime.monitor.metrics import ACTOR_COLUMNS, EPISODE_COLUMNS, ActorRow, EpisodeTally, MetricsWriter
from tests.runtime.fakes import stream

COLUMNS = (
    "episode,env_step,robot_s,wall_s,length,return,success,stop_reason,intervention_steps,intervention_share,"
    "policy_version,source"
)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_the_columns_are_the_agreed_ones() -> None:
    assert ",".join(EPISODE_COLUMNS) == COLUMNS
    assert ",".join(ACTOR_COLUMNS) == (
        "actor,host,env_step,env_steps,share,lag_steps,lag_s,policy_age_s,late_p50_ms,late_p99_ms,late_worst_ms,missed"
    )


def test_an_episode_is_summed_from_its_records() -> None:
    tally = EpisodeTally()
    for r in stream([4]):
        tally.add(r)
    assert EpisodeTally.from_plain(tally.to_plain()).to_plain() == tally.to_plain()
    row = tally.row("success", episode=2, env_step=30, robot_s=3.0, wall_s=1.5)
    assert row.cells() == {
        "episode": 2, "env_step": 30, "robot_s": 3.0, "wall_s": 1.5, "length": 4, "return": 1.0, "success": 1,
        "stop_reason": "success", "intervention_steps": 1, "intervention_share": 0.25, "policy_version": 3,
        "source": "policy",
    }  # fmt: skip


def test_both_tables_and_the_event_file_are_written(tmp_path: Path) -> None:
    writer = MetricsWriter(tmp_path, tmp_path / "tb")
    for episode in range(3):
        tally = EpisodeTally()
        for r in stream([4]):
            tally.add(r)
        writer.episode(tally.row("success", episode=episode, env_step=4 * episode + 4, robot_s=0.4, wall_s=1.0))
    writer.learner({"update": 50, "env_step": 12, "wall_s": 1.0, "critic_loss": 0.12345678})
    writer.learner({"update": 100, "env_step": 24, "wall_s": 1.0, "critic_loss": 0.5, "new": 1.0})
    in_lockstep = ActorRow("a0", "here", 24, 20, 0.8, 1, 0.02, 0.5)
    writer.actors([in_lockstep, ActorRow("a1", "there", 24, 4, 0.2, 0, 0.1, 2.0, 0.8, 12.5, 30.0, 2)])
    evaluation = {"checkpoint": "000000100", "env_step": 24, "success": 0.5, "wilson_low": 0.3}
    writer.evaluation(evaluation)
    assert (writer.recent_success, writer.recent_interventions) == (1.0, 0.25)
    writer.close()
    writer.close()
    assert [r["episode"] for r in rows(tmp_path / "episodes.csv")] == ["0", "1", "2"]
    assert [r["critic_loss"] for r in rows(tmp_path / "learner.csv")] == ["0.123457", "0.5"]
    told = ("actor", "host", "share", "late_p99_ms", "missed")
    assert [tuple(r[name] for name in told) for r in rows(tmp_path / "actors.csv")] == [
        ("a0", "here", "0.8", "", ""),
        ("a1", "there", "0.2", "12.5", "2"),
    ]
    assert [json.loads(x) for x in (tmp_path / "evaluations.jsonl").read_text().splitlines()] == [evaluation]
    assert [p for p in (tmp_path / "tb").iterdir() if p.stat().st_size > 100]


def test_rows_after_a_checkpoint_are_dropped_with_a_half_written_one(tmp_path: Path) -> None:
    path = tmp_path / "learner.csv"
    path.write_text("update,loss\n50,0.1\n100,0.2\n150,0.3\n200,0.")
    assert drop_rows_after(path, "update", 100) == 2
    assert path.read_text() == "update,loss\n50,0.1\n100,0.2\n"
    path.write_text("update,loss\n50,0.1\n100")
    assert drop_rows_after(path, "update", 1000) == 1
    assert drop_rows_after(tmp_path / "absent.csv", "update", 1) == 0


def test_a_continued_table_has_one_header(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for value in (1, 2):
        log = CsvLog(path, ("a", "b"))
        log.append({"a": value, "b": 0})
        log.close()
    assert path.read_text() == "a,b\n1,0\n2,0\n"


def test_a_table_with_other_columns_is_kept_beside_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("old\n1\n")
    log = CsvLog(path, ("a",))
    log.append({"a": 2})
    log.close()
    assert path.read_text() == "a\n2\n"
    assert [p.read_text() for p in tmp_path.glob("t.*.csv")] == ["old\n1\n"]


@pytest.mark.parametrize(
    ("value", "text"), [(0.1 + 0.2, "0.3"), (1234567.0, "1.23457e+06"), (7, "7"), ("x,y", '"x,y"')]
)
def test_cells(tmp_path: Path, value: object, text: str) -> None:
    log = CsvLog(tmp_path / "t.csv", ("a",))
    log.append({"a": value})
    log.close()
    assert (tmp_path / "t.csv").read_text().splitlines()[1] == text
