"""A console answers what a program of this machine asks; neither takes the other down."""

from __future__ import annotations

import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("viser")

from robot_rl.console.panel_preferences import PROMPT, ask_flags, asked_text
from robot_rl.console.questions import Question, Questions, read_question
from robot_rl.core.errors import ConfigError, DataError
from robot_rl.rewards.preferences import PreferenceStore
from robot_rl.runtime.attend.place import QUESTIONS, meeting_folder, sockets_of_questions
from tests.console.asking import PAIRS, asking, label_prefs, turned, wait_for
from tests.rewards.recordings import record_many

GOAL = "the square is on the right"


@pytest.fixture(autouse=True)
def _place(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with tempfile.TemporaryDirectory(prefix="rrl") as short:  # the names of sockets are
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        yield


@pytest.fixture
def questions() -> Iterator[Questions]:
    with closing(Questions()) as questions:
        yield questions
    questions.close()


def answer(questions: Questions, saying: str, by: str = "kim") -> Question:
    """Say it to what is asked now; that question."""
    asked: Question = wait_for(lambda: questions.asked, "a question")
    questions.say(asked.id, saying, by)
    wait_for(lambda: questions.asked is None or questions.asked.id != asked.id, "the next question")
    return asked


def test_answers_of_the_console_are_kept(questions: Questions, tmp_path: Path) -> None:
    assert questions.asked is None
    with asking(tmp_path / "prefs") as store:
        first = answer(questions, "left")
        assert (first.goal, first.answered, first.of) == ("make it bright", 0, len(PAIRS))
        assert f'data-rrl-question="{first.id}"' in first.html
        assert answer(questions, "unknown", "lee").answered == 1
        questions.say(first.id, "right", "kim")  # of a question that has gone by
        assert answer(questions, "undo").answered == 2
        assert answer(questions, "same").answered == 1
        wait_for(lambda: len(store.labelled) == 4)
    said = [(x.answer.outcome, x.by) for x in store.labelled]
    assert said == [
        ("second" if turned(PAIRS[0]) else "first", "person:kim"),
        ("refused", "person:lee"),
        ("withdrawn", "person:kim"),
        ("equal", "person:kim"),
    ]
    wait_for(lambda: questions.asked is None)
    assert questions.problem == ""


def test_a_console_that_goes_away_loses_nothing(tmp_path: Path) -> None:
    with asking(tmp_path / "prefs") as store:
        with closing(Questions()) as first:
            before = answer(first, "same")
            waiting = wait_for(lambda: first.asked)
        with closing(Questions()) as second:
            assert wait_for(lambda: second.asked) == waiting != before
            answer(second, "same")
        wait_for(lambda: len(store.labelled) == 2)


def test_a_program_that_was_killed_is_passed_over(questions: Questions, tmp_path: Path) -> None:
    path = meeting_folder() / f"1{QUESTIONS}"
    with closing(socket.socket(socket.AF_UNIX)) as dead:
        dead.bind(str(path))
    assert path in sockets_of_questions()
    with asking(tmp_path / "prefs"):
        wait_for(lambda: questions.asked)


def test_the_verb_asks_the_console(questions: Questions, tmp_path: Path) -> None:
    """Real processes: answered by the console, ended in the middle by Ctrl-C, and taken up again."""
    data, out = record_many(tmp_path / "data", 4), tmp_path / "prefs"
    with label_prefs(data, out, "--goal", GOAL, "--pairs", "3", "--gold", "0") as process:
        assert answer(questions, "same").goal == GOAL
        wait_for(lambda: questions.asked)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[0]
        assert process.returncode == 130, said
    assert "tab Preferences" in said and "Traceback" not in said
    assert len(PreferenceStore(out).labelled) == 1
    wait_for(lambda: questions.asked is None)
    with label_prefs(data, out, "--pairs", "3", "--gold", "0") as process:
        assert [answer(questions, "left").of for _ in range(2)] == [2, 2]
        said = process.communicate(timeout=60)[0]
        assert process.returncode == 0, said
    store = PreferenceStore(out)
    assert len(store.labelled) == 3 and len(store.usable()) == 2
    assert {x.by for x in store.labelled} == {"person:kim"}
    assert not sockets_of_questions()


@given(st.one_of(st.binary(max_size=40), st.sampled_from([b"{}", b'{"id":1}', b'{"id":"a","goal":2}', b"[]", b"null"])))
def test_what_is_no_question_is_refused(body: bytes) -> None:
    with pytest.raises(DataError, match="no question"):
        read_question(200, body)
    with pytest.raises(DataError, match="no question"):
        read_question(500, b'{"id": "", "html": ""}')
    assert read_question(200, b'{"id": ""}') is None


def test_what_the_tab_starts(tmp_path: Path) -> None:
    out = tmp_path / "prefs"
    flags = ask_flags(tmp_path / "run", out, " lift it ", 50, 2)
    assert flags[:2] == ["label-prefs", str(tmp_path / "run")]
    assert {"--goal=lift it", "person", "50", "2"} < set(flags)
    with pytest.raises(ConfigError, match="goal"):
        ask_flags(tmp_path / "run", out, "  ", 50, 2)
    out.mkdir()
    assert not any("goal" in flag or "frames" in flag for flag in ask_flags(tmp_path / "run", out, "", 50, 2))


def test_the_tab_in_words() -> None:
    asked = Question("a-1", "lift it", 3, 20, "<section></section>")
    assert asked_text(asked, "", "Running").startswith("**3 of 20 answered.**")
    assert "answer again" in asked_text(asked, "answer again", "")
    assert asked_text(None, "", "Ended: 4 of 4").endswith("Ended: 4 of 4")
    assert "tab Preferences" in PROMPT
