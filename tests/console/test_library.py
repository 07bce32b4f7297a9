"""Runs and episodes are listed from what is there, whatever is missing or damaged."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_rl.console import library, library_files
from robot_rl.console.library import EpisodeEntry, list_episodes, list_runs, look_into, summarize_run
from robot_rl.core.transition import Source
from robot_rl.data.episode_log import PARTIAL, EpisodeMeta
from robot_rl.runtime.acting import ActingConfig
from robot_rl.runtime.collector import Collector
from robot_rl.runtime.episode_files import EpisodeSink
from robot_rl.runtime.monitor.metrics import EpisodeTally, MetricsWriter
from robot_rl.runtime.run_folder import RunFolder, create_run
from tests.runtime.fakes import ACTIONS, SPEC, Constant, Helper, PointEnv, tiny_config

FILES = ("run.json", "config.yaml", "episodes.csv", "evaluations.jsonl")


def write_run(root: Path, *, episodes: int = 4, actors: tuple[str, ...] = ("a0",), seed: int = 0) -> RunFolder:
    """A run as training leaves it: its files, its episodes, a demonstration, an evaluation."""
    config = tiny_config(seed=seed, out_dir=root, env_steps=500)
    run = create_run(config, SPEC, ACTIONS, 10.0)
    metrics = MetricsWriter(run.path)
    steps = done = 0
    for actor in actors:
        collector = Collector(
            PointEnv(limit=12),
            Constant(0.3),
            ActingConfig(seed, f"run-{actor}", actor=actor, teleop_source=Source.SCRIPTED),
            make_teleop=lambda rng: Helper({1, 2, 3}, -0.7),
        )
        sink = EpisodeSink(run.episodes / actor, EpisodeMeta("Point", SPEC, ACTIONS, run_id="run"))
        (run.episodes / actor).mkdir()
        tally = EpisodeTally()
        while collector.next_episode < episodes or not collector.between_episodes:
            for record in collector.step():
                sink.append(record)
                tally.add(record)
                steps += 1
                if record.last:
                    row = tally.row(record.stop_reason, episode=done, env_step=steps, robot_s=steps / 10, wall_s=1.0)
                    metrics.episode(row)
                    tally, done = EpisodeTally(), done + 1
        sink.close()
    first = next((run.episodes / actors[0]).glob("*.mcap"))
    shutil.copy(first, run.demos / "000000.mcap")
    metrics.evaluation({"success": 0.25, "wilson_low": 0.1, "env_step": 3, "n": 8})
    metrics.evaluation({"success": 0.75, "wilson_low": 0.5, "env_step": 9, "n": 40})
    metrics.close()
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return write_run(tmp_path_factory.mktemp("runs"))


def seen(entry: EpisodeEntry) -> tuple[object, ...]:
    assert entry.intervention_share is not None
    return entry.length, entry.success, entry.stop_reason, round(entry.intervention_share, 4)


def test_a_run_in_one_line(run: RunFolder) -> None:
    (summary,) = list_runs(run.path.parents[1])
    rows = (run.path / "episodes.csv").read_text().splitlines()[1:]
    helped = sum(int(row.split(",")[8]) for row in rows)
    assert summary.path == run.path and summary.run_id == run.run_id and summary.problem == ""
    assert (summary.task, summary.status) == (run.info()["task"], "running")
    assert (summary.episodes, summary.demos, summary.planned_steps) == (4, 1, 500)
    assert summary.env_steps == int(rows[-1].split(",")[1])
    assert (summary.evaluated, summary.evaluated_step, summary.evaluated_episodes) == (0.75, 9, 40)
    assert summary.corrected_min == pytest.approx(helped / 10.0 / 60.0) and helped > 0 and summary.scripted
    assert summary.success == sum(row.split(",")[6] == "1" for row in rows) / 4


def test_no_episode_is_opened_for_a_list_of_runs(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise AssertionError(f"{path} was opened")

    monkeypatch.setattr(library, "describe", refuse)
    assert len(list_runs(run.path.parent)) == 1


def test_newest_first_and_as_deep_as_they_lie(tmp_path: Path, run: RunFolder) -> None:
    for k, where in enumerate(("a/b/c/old", "Point/new", "middle")):
        shutil.copytree(run.path, tmp_path / where)
        facts = json.loads((tmp_path / where / "run.json").read_text())
        start = ("2026-01-01T00:00:00+00:00", "2026-03-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00")[k]
        (tmp_path / where / "run.json").write_text(json.dumps({**facts, "start": start}))
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "config.yaml").write_text("cameras: {}\n")
    assert [r.path.name for r in list_runs(tmp_path)] == ["new", "middle", "old"]
    assert list_runs(tmp_path / "nothing here") == []


def test_a_change_is_seen(tmp_path: Path, run: RunFolder) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    before = summarize_run(tmp_path / "run")
    with (tmp_path / "run" / "episodes.csv").open("a") as file:
        file.write("4,900,90.0,1.0,12,0.0,1,success,0,0.0,3,policy\n")
    after = summarize_run(tmp_path / "run")
    assert (after.episodes, after.env_steps) == (before.episodes + 1, 900)


@pytest.mark.parametrize("gone", ["run.json", "config.yaml"])
def test_a_damaged_run_is_listed_with_what_is_wrong(tmp_path: Path, run: RunFolder, gone: str) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    (tmp_path / "run" / gone).unlink()
    (summary,) = list_runs(tmp_path)
    assert gone in summary.problem and summary.episodes == 4


@settings(max_examples=40)
@given(st.sampled_from(FILES), st.binary(max_size=60), st.floats(0.0, 1.0), st.booleans())
def test_no_damage_stops_the_list(
    run: RunFolder, tmp_path_factory: pytest.TempPathFactory, name: str, junk: bytes, where: float, cut: bool
) -> None:
    folder = tmp_path_factory.mktemp("damaged") / "run"
    folder.mkdir()
    for file in FILES:
        shutil.copy(run.path / file, folder / file)
    data = (folder / name).read_bytes()
    at = int(where * len(data))
    (folder / name).write_bytes(data[:at] + junk + (b"" if cut else data[at:]))
    (summary,) = list_runs(folder.parent)
    assert summary.path == folder and summary.env_steps >= 0 and not summary.corrected_min < 0.0
    assert 0.0 <= summary.success <= 1.0 or math.isnan(summary.success)


@pytest.mark.parametrize(
    "value", ["[1, 2]", "null", "{", '{"hz": "fast", "counters": 3}', '{"counters": {"episodes": "x"}}']
)
def test_json_of_another_kind(tmp_path: Path, run: RunFolder, value: str) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text(value)
    assert "run.json" in list_runs(tmp_path)[0].problem


def test_what_is_written_down_is_what_the_files_say(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = list_episodes(run.path, look=0)
    demos, training = [e for e in listed if e.kind == "demos"], [e for e in listed if e.kind == "training"]
    assert [(e.actor, e.number) for e in training] == [("a0", k) for k in range(4)]
    assert [e.length for e in demos] == [None]
    looked = [look_into(EpisodeEntry(e.path)) for e in training]
    assert [seen(e) for e in training] == [seen(e) for e in looked]
    assert len({seen(e) for e in looked}) > 1


def test_several_actors_are_told_apart(tmp_path: Path) -> None:
    run = write_run(tmp_path, actors=("a0", "a1"), episodes=2)
    training = [e for e in list_episodes(run.path) if e.kind == "training"]
    assert [(e.actor, e.number) for e in training] == [("a0", 0), ("a0", 1), ("a1", 0), ("a1", 1)]
    for entry in training:
        assert seen(entry) == seen(look_into(EpisodeEntry(entry.path)))
    assert sum(e.length is not None for e in list_episodes(run.path, look=2)) == 2


def test_an_episode_under_way_is_the_last(tmp_path: Path) -> None:
    run = write_run(tmp_path, episodes=3)
    last = run.episodes / "a0" / "000002.mcap"
    data = last.read_bytes()
    last.unlink()
    last.with_name(last.name + PARTIAL).write_bytes(data[: len(data) // 2])
    lines = (run.path / "episodes.csv").read_text().splitlines(keepends=True)
    (run.path / "episodes.csv").write_text("".join(lines[:-1]))
    entry = [e for e in list_episodes(run.path) if e.kind == "training"][-1]
    assert entry.number == 2 and entry.stop_reason == "unfinished" and entry.length


def test_tables_that_do_not_match_the_files_are_not_believed(tmp_path: Path) -> None:
    run = write_run(tmp_path, episodes=4)
    (run.episodes / "a0" / "000001.mcap").unlink()
    (run.episodes / "a0" / "000002.mcap").unlink()
    for entry in list_episodes(run.path):
        assert seen(entry) == seen(look_into(EpisodeEntry(entry.path)))


def test_a_file_is_read_once_until_it_changes(run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "000000.mcap"
    shutil.copy(run.demos / "000000.mcap", path)
    (first,) = list_episodes(tmp_path)
    assert (first.kind, first.actor, first.number) == ("", "", 0) and first.length
    read = library.describe
    calls: list[Path] = []
    monkeypatch.setattr(library, "describe", lambda p: calls.append(p) or read(p))
    assert list_episodes(tmp_path) == [first] and calls == []
    path.write_bytes(b"rubbish")
    (broken,) = list_episodes(tmp_path)
    assert calls == [path] and broken.problem and broken.length is None
    path.unlink()
    assert list_episodes(tmp_path) == [] and look_into(first).problem


def test_a_second_header_takes_over(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\na,b,c\n3,4,5\n6,7\n8,9,1")
    assert list(library_files.read_rows(tmp_path / "t.csv")) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4", "c": "5"}]
