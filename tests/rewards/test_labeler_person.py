"""A person answers: on either door of the page, with second thoughts, and nothing of it is lost."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_rl.core.errors import ConfigError, StorageError
from robot_rl.rewards.labeler_page import PageLabeler
from robot_rl.rewards.labeler_person import LEFT, RIGHT, SAME, SAYINGS, STOP, UNDO, UNKNOWN, Asked, PersonLabeler
from robot_rl.rewards.labeler_session import Tally, label_pairs
from robot_rl.rewards.labeler_view import KEYS, question_html
from robot_rl.rewards.labelers import Back, Enough, Labeler, Shown
from robot_rl.rewards.preferences import WITHDRAWN, Answer, Pair, PreferenceStore, Question
from tests.rewards.chat_server import grey_clip, show

QUESTION = Question("make it bright", ("side",))
PAIRS = [Pair(grey_clip(i), grey_clip(250 - i)) for i in range(6)]
OUTCOMES = {SAME: "equal", UNKNOWN: "refused"}


def outcome(pair: Pair, saying: str) -> str:
    """What becomes of a pair of which this is said."""
    turned = bool(int(pair.id, 16) & 1)
    return OUTCOMES.get(saying, "first" if (saying == LEFT) != turned else "second")


def wait_for(condition: Callable[[], Any]) -> Any:
    end_s = time.monotonic() + 20.0
    while not (value := condition()):
        assert time.monotonic() < end_s, "it did not happen"
        time.sleep(0.002)
    return value


class Session:
    """Labelling in a thread of its own."""

    def __init__(self, labeler: PersonLabeler, store: PreferenceStore, pairs: Sequence[Pair] = PAIRS) -> None:
        self.labeler, self.store = labeler, store
        self.tally: Tally | None = None
        self._pairs = pairs
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self.tally = label_pairs(self._pairs, self.labeler, self.store, show)

    def say(self, saying: str, by: str = "") -> None:
        asked = wait_for(lambda: self.labeler.asked)
        assert self.labeler.say(asked.id, saying, by)

    def ended(self) -> Tally:
        self._thread.join(20)
        assert self.tally is not None
        return self.tally


@pytest.fixture
def store(tmp_path: Path) -> PreferenceStore:
    return PreferenceStore(tmp_path / "prefs", QUESTION)


@given(st.lists(st.sampled_from([LEFT, RIGHT, SAME, UNKNOWN, UNDO, UNDO]), max_size=12))
@settings(max_examples=30, deadline=None)
def test_what_counts_is_what_was_not_taken_back(tmp_path_factory: pytest.TempPathFactory, says: list[str]) -> None:
    """Against a stack: every answer is pushed, every second thought pops one."""
    folder = tmp_path_factory.mktemp("prefs")
    left, answers = list(PAIRS), list[str]()
    script = iter(says)

    class Scripted(PersonLabeler):
        def ask(self, shown: Shown) -> Answer:
            assert shown.pair == left[len(answers)]
            assert (shown.answered, shown.of) == (len(answers), len(left))
            saying = next(script, STOP)
            if saying == STOP:
                raise Enough("enough")
            if saying == UNDO:
                del answers[-1:]
                raise Back
            answers.append(saying)
            return {LEFT: Answer("first", 0.0), RIGHT: Answer("second", 1.0), SAME: Answer("equal", 0.5)}.get(
                saying, Answer("refused", None, "cannot tell")
            )

    tally = label_pairs(left, Scripted(), PreferenceStore(folder, QUESTION), show)
    again = PreferenceStore(folder)
    assert tally.done == len(answers) == len(again.settled())
    expected = {pair.id: said for pair, said in zip(left, answers, strict=False) if said in (LEFT, RIGHT)}
    names = {LEFT: "first", RIGHT: "second"}
    assert {x.pair.id: x.answer.outcome for x in again.usable()} == {k: names[v] for k, v in expected.items()}
    assert again.settled() == {pair.id for pair in left[: len(answers)]}


def test_the_left_one_is_the_one_that_was_on_the_left(store: PreferenceStore) -> None:
    labeler = PersonLabeler("ann")
    assert isinstance(labeler, Labeler)
    session = Session(labeler, store)
    says = [LEFT, RIGHT, SAME, UNKNOWN, LEFT]
    for pair, saying in zip(PAIRS, says, strict=False):
        asked = wait_for(lambda: labeler.asked)
        turned = bool(int(pair.id, 16) & 1)
        assert asked.shown.pair.first == (pair.second if turned else pair.first)
        session.say(saying)
    session.say(STOP)
    assert "run again to go on" in session.ended().stopped
    assert [x.answer.outcome for x in store.labelled] == [outcome(*x) for x in zip(PAIRS, says, strict=False)]
    assert {x.by for x in store.labelled} == {"person:ann"}


def test_every_answer_is_on_the_disk_before_the_next_question(store: PreferenceStore) -> None:
    labeler = PersonLabeler()
    session = Session(labeler, store)
    for k in range(4):
        wait_for(lambda: labeler.asked)
        assert len(PreferenceStore(store.folder).labelled) == k
        session.say(LEFT, by="bob" if k % 2 else "")
    session.say(STOP)
    session.ended()
    assert [x.by for x in store.labelled] == ["person:person", "person:bob"] * 2


def test_only_the_first_word_to_a_question_counts(store: PreferenceStore) -> None:
    labeler = PersonLabeler()
    session = Session(labeler, store)
    asked = wait_for(lambda: labeler.asked)
    assert not labeler.say(asked.id, UNDO), "there is nothing to take back yet"
    assert not labeler.say(asked.id, "nonsense")
    assert not labeler.say("0-1", LEFT)
    assert labeler.say(asked.id, LEFT)
    assert not labeler.say(asked.id, RIGHT)
    wait_for(lambda: labeler.asked)
    session.say(UNDO)
    again = wait_for(lambda: labeler.asked)
    assert again.shown.pair.id == asked.shown.pair.id
    assert again.id != asked.id
    assert store.labelled[-1].answer.outcome == WITHDRAWN
    session.say(STOP)
    assert session.ended().done == 0


def test_labelling_that_is_broken_off_waits_for_nobody(store: PreferenceStore) -> None:
    """As Ctrl-C does, while a person thinks."""

    def broken_off(pair: Pair) -> Shown:
        if pair == PAIRS[0]:
            return show(pair)
        raise KeyboardInterrupt

    class Impatient(PersonLabeler):
        parallel = 2

    labeler = Impatient()
    with pytest.raises(KeyboardInterrupt):
        label_pairs(PAIRS, labeler, store, broken_off)
    assert labeler.asked is None
    with pytest.raises(Enough):
        labeler.ask(show(PAIRS[0]))


def test_a_question_as_a_page_shows_it() -> None:
    clip = show(PAIRS[0])
    shown = Shown("lift <it>", clip.first * 3, clip.second * 3, PAIRS[0], answered=3, of=20)
    text = question_html(Asked("ab-4", shown))
    assert 'data-rrl-question="ab-4"' in text
    assert text.count("data:image/png;base64,") == 6
    assert "lift &lt;it&gt;" in text and "3 of 20 answered" in text and "the oldest first" in text
    for saying in SAYINGS:
        assert f'data-rrl-say="{saying}"' in text
    assert f'data-rrl-say="{UNDO}"' not in question_html(Asked("ab-1", replace(shown, answered=0)))
    assert sorted(KEYS.values()) == sorted(set(KEYS.values()))


def test_keys_mean_nothing_to_a_robot() -> None:
    from robot_rl.hardware.keyboard.table import USE_OF

    assert not set(KEYS.values()) & set(USE_OF)


@pytest.fixture
def page(tmp_path: Path) -> Iterator[PageLabeler]:
    with closing(PageLabeler(by="ann", path=tmp_path / "1.ask")) as page:
        yield page
    page.close()
    assert not (tmp_path / "1.ask").exists()


def ask(url: str, seen: str = "") -> dict[str, Any] | None:
    with urllib.request.urlopen(f"{url}question?seen={seen}") as reply:
        return json.loads(reply.read()) if reply.status == 200 else None


def post(url: str, **data: str) -> int:
    try:
        with urllib.request.urlopen(url + "answer", json.dumps(data).encode()) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as e:
        return e.code


def test_the_page(page: PageLabeler, store: PreferenceStore) -> None:
    assert ask(page.url) is None
    session = Session(page, store)
    for k, (saying, by) in enumerate([(LEFT, ""), (RIGHT, " bob\n the second" + 60 * "x")]):
        question = wait_for(lambda: ask(page.url))
        assert (question["goal"], question["answered"], question["of"]) == (QUESTION.goal, k, len(PAIRS))
        assert "make it bright" in question["html"]
        assert ask(page.url, question["id"]) is None
        assert post(page.url, id=question["id"], say="x") == post(page.url, id=question["id"]) == 400
        assert post(page.url, id=question["id"], say=saying, by=by) == 204
        assert post(page.url, id=question["id"], say=saying) == 409
        assert wait_for(lambda: ask(page.url))["answered"] == k + 1 == len(store.labelled)
    assert b"being prepared" in urllib.request.urlopen(page.url).read()
    for wrong in (page.url.rsplit("/", 2)[0] + "/", page.url + "x"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(wrong)
    page.close()
    assert session.ended().stopped
    assert [x.by for x in store.labelled] == ["person:ann", "person:" + ("bob the second" + 60 * "x")[:40]]


def test_the_socket_for_the_console_is_the_same_page(page: PageLabeler, store: PreferenceStore, tmp_path: Path) -> None:
    session = Session(page, store)
    wait_for(lambda: page.asked)
    line = http.client.HTTPConnection("localhost", timeout=5)
    with closing(socket.socket(socket.AF_UNIX)) as raw:
        raw.connect(str(tmp_path / "1.ask"))
        line.sock = raw
        line.request("GET", "/question")
        assert json.loads(line.getresponse().read()) == ask(page.url)
    page.close()
    session.ended()


def test_a_place_that_cannot_be_had(page: PageLabeler, tmp_path: Path) -> None:
    port = int(page.url.split(":")[2].split("/")[0])
    with pytest.raises(ConfigError, match=f"cannot use port {port}"):
        PageLabeler(port)
    with pytest.raises(StorageError, match="for the console"):
        PageLabeler(path=tmp_path / "none" / "1.ask")
