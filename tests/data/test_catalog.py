"""Files are found once each, and a row tells the truth about what a file holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from robot_rl.core.errors import DataError
from robot_rl.core.transition import StepRecord
from robot_rl.data.catalog import Entry, actor_of, describe, find_episodes, human_bytes, totals
from robot_rl.data.episode_log import EpisodeWriter
from tests.data.episodes import META, TASK, episode


def write(path: Path, records: Sequence[StepRecord], actor: str = "a0") -> Path:
    """Write an episode of the run ``run`` under the ids that an actor gives."""
    with EpisodeWriter(path, META) as writer:
        for r in records:
            writer.append(replace(r, episode_id=f"run-{actor}-{r.episode_id.rpartition('-')[2].zfill(6)}"))
    return path if path.exists() else writer.partial_path


def test_a_run_is_searched_without_its_spool(tmp_path: Path) -> None:
    run = tmp_path / "run"
    wanted = [write(run / "demos" / "000000.mcap", episode(0, 2))]
    wanted += [write(run / "episodes" / "a0" / "000001.mcap", episode(1, 2))]
    wanted += [write(run / "episodes" / "a1" / "000001.mcap", episode(1, 2, ended=False))]
    write(run / "spool" / "run" / "a0" / "000001.mcap", episode(1, 2))
    (run / "run.json").write_text("{}")
    (run / "notes.txt").write_text("no episode")
    assert find_episodes(run) == sorted(wanted)
    assert find_episodes(tmp_path) == sorted(wanted), "also from further up"
    assert len(find_episodes(run / "spool")) == 1, "unless it is asked for"


def test_each_file_is_found_once(tmp_path: Path) -> None:
    file = write(tmp_path / "000000.mcap", episode(0, 2))
    assert find_episodes(file, tmp_path, file) == [file]


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_nothing_to_find_is_one_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="there is no .* expected a run, a folder of .mcap files"):
        find_episodes(tmp_path / name)


def test_a_row_says_what_the_file_holds(tmp_path: Path) -> None:
    records = episode(4, 5, terminated=True, interventions=[1, 2])
    e = describe(write(tmp_path / "000004.mcap", records, actor="left-arm"))
    assert (e.task, e.actor, e.episode_id, e.steps) == (TASK, "left-arm", "run-left-arm-000004", 5)
    assert (e.outcome, e.success, e.state) == ("success", True, "whole")
    assert e.sources == {"policy": 3, "operator": 2} and e.intervention_share == pytest.approx(0.4)
    assert e.bytes == e.path.stat().st_size
    assert e.duration_s == pytest.approx(records[-1].t_control_s)
    assert (e.began_s, e.ended_s) == (records[0].t_wall_s, records[-1].t_wall_s)


def test_an_unfinished_and_an_unreadable_file_are_told_apart(tmp_path: Path) -> None:
    partial = describe(write(tmp_path / "000001.mcap", episode(1, 3, ended=False)))
    assert (partial.state, partial.outcome, partial.steps) == ("partial", "unfinished", 3)
    (tmp_path / "x.mcap").write_bytes(b"hello, this is no episode")
    broken = describe(tmp_path / "x.mcap")
    assert broken.state == "broken" and "not an episode file" in broken.problem and broken.steps == 0


@pytest.mark.parametrize(
    ("episode_id", "run_id", "actor"),
    [
        ("run-a0-000012", "run", "a0"),
        ("run-left-arm-000012", "run", "left-arm"),
        ("demo-12-000003", "demo-12", ""),
        ("other-a0-000012", "run", ""),
        ("a0-000012", "", ""),
    ],
)
def test_the_actor_is_read_from_the_id(episode_id: str, run_id: str, actor: str) -> None:
    assert actor_of(episode_id, run_id) == actor


def test_totals_add_up() -> None:
    rows = [
        Entry(Path("a"), 1500, whole=True, steps=30, success=True, interventions=6, duration_s=60.0),
        Entry(Path("b"), 500, steps=10, duration_s=30.0),
        Entry(Path("c"), 0, problem="?"),
    ]
    assert totals(rows) == (
        "3 files (1 whole, 1 partial, 1 broken), 1 successes, 40 steps, 1.5 robot minutes, 15.0 % operator steps, 2 kB"
    )


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (999_499, "999 kB"), (999_600, "1 MB"), (2.5e12, "2.5 TB")],
)
def test_sizes_for_people(count: float, text: str) -> None:
    assert human_bytes(int(count)) == text
