"""``robot-rl label``: by flags, and by single keys in a real terminal."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from robot_rl.cli.label import choose, page, review
from robot_rl.cli.main import main
from robot_rl.data.catalog import describe, find_episodes
from robot_rl.data.episode_log import read_episode
from robot_rl.data.labels import read_labels
from tests.data.episodes import episode
from tests.data.test_catalog import write

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for actor in ("a0", "a1"):
        for number in range(2 + (actor == "a0")):
            records = episode(number, 4, terminated=number == 0)
            write(tmp_path / "set" / actor / f"{number:06d}.mcap", records, actor)
    return tmp_path / "set"


def ask(capsys: pytest.CaptureFixture[str], *args: object, code: int = 0) -> str:
    assert main(["label", *map(str, args)]) == code
    out, err = capsys.readouterr()
    return err if code else out


def outcomes(folder: Path) -> list[tuple[str, str]]:
    return [(label.episode_id, label.outcome) for label in read_labels(folder).values()]


def test_flags_label_several_at_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ask(capsys, folder, "--success", "a0/1", "2", "--failure", "a1/0", "--by", "anna")
    assert out.count("success") >= 2 and "failure" in out
    assert read_episode(folder / "a0" / "000002.mcap").success
    assert not read_episode(folder / "a1" / "000000.mcap").success
    assert {label.by for label in read_labels(folder / "a0").values()} == {"anna"}
    ask(capsys, folder, "--recorded", "a1/0")
    assert read_episode(folder / "a1" / "000000.mcap").success


@pytest.mark.parametrize(("name", "sentence"), [("0", "2 episodes are called"), ("77", "no episode '77'")])
def test_an_unclear_name_writes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, sentence: str
) -> None:
    err = ask(capsys, folder, "--success", "2", name, code=2)
    assert sentence in err and err.count("\n") == 1
    assert not list(folder.rglob("labels.jsonl"))


def test_an_episode_without_an_end_cannot_be_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "a0" / "000000.mcap", episode(0, 4, ended=False), "a0")
    assert "has no end" in ask(capsys, tmp_path, "--success", "0", code=2)
    assert "no episode" in ask(capsys, tmp_path, code=2)


def test_without_a_terminal_it_lists(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ask(capsys, folder, "--unknown", "a0/1")
    assert len(ask(capsys, folder, "--list").splitlines()) == 1 + 5
    assert len(ask(capsys, folder, "--list", "--only", "unlabelled").splitlines()) == 1 + 4
    assert len(ask(capsys, folder, "--list", "--only", "success").splitlines()) == 1 + 2


def test_keys_move_and_label(folder: Path) -> None:
    entries = [describe(p) for p in find_episodes(folder / "a0")]
    shown: list[str] = []
    said = review(entries, "me", iter(["n", "s", "p", "x", "f", "u", "q", "s"]), shown.append)
    assert said == 3
    assert [e.label for e in (describe(e.path) for e in entries)] == ["", "failure", "unknown"]
    assert "(1 of 3)" in shown[0] and any("(3 of 3)" in text for text in shown)
    assert choose(entries, "1").episode_id == entries[1].episode_id


def test_a_page_says_what_a_person_needs(folder: Path) -> None:
    text = page([describe(folder / "a0" / "000001.mcap")], 0)
    for word in ("a0/1", "4 steps", "time_out", "success no", "label none", "position", "q quit"):
        assert word in text


def test_keys_in_a_real_terminal(folder: Path) -> None:
    """Through a pseudo-terminal, without Enter; the terminal is as before afterwards."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "robot_rl.cli", "label", str(folder / "a0"), "--by", "me"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=ROOT,
                          start_new_session=True) as process:  # fmt: skip
        os.close(theirs)
        heard = _until(ours, "(1 of 3)")
        os.write(ours, b"n")
        heard = _until(ours, "(2 of 3)")
        os.write(ours, b"s")
        heard = _until(ours, "(3 of 3)")
        os.write(ours, b"q")
        heard += _until(ours, "1 labels written")
        assert process.wait(timeout=30) == 0
    os.close(ours)
    assert "success" in heard
    assert [label.outcome for label in read_labels(folder / "a0").values()] == ["success"]


def _until(fd: int, text: str, limit_s: float = 60.0) -> str:
    heard, end_s = "", time.monotonic() + limit_s
    while text not in heard:
        assert time.monotonic() < end_s, heard
        if select.select([fd], [], [], 0.5)[0]:
            heard += os.read(fd, 4096).decode(errors="replace")
    return heard
