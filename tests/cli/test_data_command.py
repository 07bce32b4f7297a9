"""``robot-rl data`` as a person meets it: what it prints, its exit codes, its one sentence when something is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from robot_rl.cli.data import USAGE, VERBS
from robot_rl.cli.main import main
from robot_rl.data.episode_log import EpisodeWriter, read_episode
from tests.data.episodes import CAMERAS, META, episode
from tests.data.test_card import make_run
from tests.data.test_catalog import write

WIDTH = 100


def ask(capsys: pytest.CaptureFixture[str], *args: object, code: int = 0) -> str:
    """Run the command in this process and return what it printed, on stderr when it failed."""
    assert main(["data", *map(str, args)]) == code
    out, err = capsys.readouterr()
    if code != 2:
        assert err == ""
        return out
    assert err.startswith("robot-rl: ") and err.count("\n") == 1
    return err


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Four whole episodes of two actors, one with pictures, and one that was cut."""
    folder = tmp_path / "set"
    write(folder / "a0" / "000000.mcap", episode(0, 4, terminated=True, images=True), "a0")
    write(folder / "a0" / "000001.mcap", episode(1, 5, interventions=(1, 2)), "a0")
    write(folder / "a1" / "000000.mcap", episode(2, 6, terminated=True), "a1")
    write(folder / "a1" / "000001.mcap", episode(3, 3), "a1")
    write(folder / "a1" / "000002.mcap", episode(4, 5, ended=False), "a1")
    return folder


def test_the_help_names_every_verb() -> None:
    assert all(f"robot-rl data {verb} " in USAGE for verb in VERBS)
    assert max(map(len, USAGE.splitlines())) <= 120


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_describes_its_options(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as e:
        main(["data", verb, "--help"])
    assert e.value.code == 0 and f"robot-rl data {verb}" in capsys.readouterr().out


def test_list_shows_one_line_a_file_and_the_totals(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ask(capsys, "list", dataset)
    lines = out.splitlines()
    assert str(dataset / "a0") in lines and str(dataset / "a1") in lines
    (helped,) = [x.split() for x in lines if "operator+policy" in x]
    assert helped[:6] == ["000001", "Toy", "a0", "5", "time_out", "operator+policy"] and helped[6:8] == ["40", "%"]
    assert any(x.startswith("000002") and "unfinished" in x and x.endswith("partial") for x in lines)
    assert "5 files (4 whole, 1 partial), 2 successes, 23 steps" in out
    assert max(len(x) for x in lines if "/" not in x) <= WIDTH


def test_inspect_shows_header_layout_and_every_step(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ask(capsys, "inspect", dataset / "a0" / "000000.mcap")
    for piece in (
        "run-a0-000000",
        "success (terminated)",
        "camera side: 4 x 3 pixels",
        "position",
        "20 mm and 0.1 rad",
    ):
        assert piece in out
    steps = [x.split() for x in out.splitlines() if x.split() and x.split()[0].isdigit()]
    assert [x[0] for x in steps] == ["0", "1", "2", "3"]
    helped = ask(capsys, "inspect", dataset / "a0" / "000001.mcap")
    assert helped.count("operator*") == 2
    unfinished = ask(capsys, "inspect", dataset / "a1" / "000002.mcap.partial")
    assert "nothing: it is unfinished" in unfinished and "partial" in unfinished


def test_inspect_shows_one_step_in_full(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = dataset / "a0" / "000000.mcap"
    out = ask(capsys, "inspect", path, "--step", 3)
    record = read_episode(path).records[3]
    for value in (*record.action_executed, *record.action_policy):
        assert f"{value:+.6f}" in out
    assert "after the last action:" in out and "process" in out and "camera wrist: 2 x 2" in out
    assert "has no step 4, expected 0 to 3" in ask(capsys, "inspect", path, "--step", 4, code=2)


def test_inspect_writes_frames(dataset: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = ask(capsys, "inspect", dataset / "a0" / "000000.mcap", "--frames", tmp_path / "png")
    assert f"{5 * len(CAMERAS)} frames written" in out and (tmp_path / "png" / "wrist_000004.png").is_file()


def test_validate_fails_on_errors_only(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ask(capsys, "validate", dataset)
    assert "warning  unfinished" in out and out.splitlines()[-1] == "5 files: 0 errors, 1 warnings"
    good = dataset / "a1" / "000000.mcap"
    good.write_bytes(good.read_bytes()[:-30])
    out = ask(capsys, "validate", dataset, code=1)
    assert "error    file" in out and out.splitlines()[-1] == "5 files: 1 errors, 1 warnings"
    assert max(len(x) for x in out.splitlines() if x.startswith(" ")) <= WIDTH


def test_repair_says_what_was_lost(dataset: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = ask(capsys, "repair", dataset, "--out", tmp_path / "whole")
    assert "4 steps recovered in" in out and "5 complete steps were found" in out
    assert read_episode(tmp_path / "whole" / "000002.mcap").complete
    assert "nothing recovered" in ask(capsys, "repair", dataset, "--out", tmp_path / "whole", code=1)
    assert "nothing to repair" in ask(capsys, "repair", tmp_path / "whole")


def test_thin_copies_and_says_what_it_left(dataset: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = ask(capsys, "thin", dataset, "--out", tmp_path / "small", "--every", 4, "--keep-interventions")
    assert "copied to" in out and "left behind: 3 files, 14 steps (2 thinned out, 1 not whole)" in out
    assert sorted(p.name for p in (tmp_path / "small").rglob("*.mcap")) == ["000000.mcap", "000001.mcap"]
    assert "not an empty folder" in ask(capsys, "thin", dataset, "--out", tmp_path / "small", code=2)


def test_card_is_printed_and_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    out = ask(capsys, "card", run)
    assert "# Dataset of run run: Toy" in out and "| TQ " in out
    assert json.loads((run / "dataset_card.json").read_text())["task"] == "Toy"


def test_replay_repeats_a_demonstration_and_films_nothing_unasked(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["demos", "record", "Reach", "--n", "1", "--out", str(tmp_path), "--task-options", "hz=20"]) == 0
    capsys.readouterr()
    path = tmp_path / "000000.mcap"
    recorded = read_episode(path)
    assert f"bit-identical: all {len(recorded.records) + 1} observations" in ask(capsys, "replay", path)
    state = recorded.records[2].obs.state.copy()
    state[4] += 0.5
    changed = [replace(r, obs=replace(r.obs, state=state)) if r.step_index == 2 else r for r in recorded.records]
    with EpisodeWriter(tmp_path / "changed.mcap", recorded.meta) as writer:
        for record in changed:
            writer.append(record)
    out = ask(capsys, "replay", tmp_path / "changed.mcap", "--steps")
    assert "parts at observation 2 of" in out and "tcp_rotation by 0.5 (1.67 of its scale)" in out
    assert not list(tmp_path.glob("*.mp4"))


@pytest.mark.gl
def test_replay_films_the_repetition(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["demos", "record", "Reach", "--n", "1", "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    out = ask(capsys, "replay", tmp_path / "000000.mcap", "--video", tmp_path / "film.mp4")
    (film,) = tmp_path.glob("film.*")
    assert str(film) in out and film.stat().st_size > 1000


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["lst"], "unknown verb of robot-rl data 'lst': did you mean 'list'?"),
        (["list"], "which episodes?"),
        (["list", "/nowhere"], "there is no file or folder /nowhere"),
        (["inspect", "/nowhere"], "cannot read /nowhere"),
        (["validate", "{tmp}"], "there is no episode file in"),
        (["repair", "/nowhere"], "there is no file or folder /nowhere"),
        (["replay", "{tmp}/toy.mcap"], "the header lacks reset_seed and task_options"),
        (["thin", "{tmp}/toy.mcap", "--out", "{tmp}/out", "--every", "0"], "every is 0, expected at least 1"),
        (["thin", "{tmp}/toy.mcap", "--out", "{tmp}/out", "--successes-only"], "no episode is left"),
        (["card", "{tmp}"], "is not a run folder"),
    ],
)
def test_a_wrong_argument_is_one_sentence(
    args: list[str], expected: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    if any("toy" in a for a in args):
        with EpisodeWriter(tmp_path / "toy.mcap", META) as writer:
            for record in episode(1, 3):
                writer.append(record)
    assert expected in ask(capsys, *[a.replace("{tmp}", str(tmp_path)) for a in args], code=2)
