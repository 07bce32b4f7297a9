"""What pages say at the door, and what they are told."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("viser", reason="needs the extra console")

from aiohttp import ClientSession, WSMsgType
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.console.door import Door
from robot_rl.console.door_guests import ELSEWHERE, REFUSED
from robot_rl.console.door_messages import Bar, Hands, Hello, clean_name, read
from robot_rl.core.errors import DataError
from tests.console.visits import Book, hands, hello, line, play, until, wait_for


def test_what_a_page_says_is_heard(door: Door, book: Book) -> None:
    async def visit(session: ClientSession) -> None:
        page = await line(session, door)
        await page.send_json(hello(5, name="  an\x07n \n b "))
        await page.send_json(hands(0, "w"))
        await page.send_json({"kind": "act", "what": "take"})
        await page.send_json(hands(1))
        await page.close()

    play(visit)
    wait_for(lambda: len(book.lines) == 5)
    assert book.lines == [
        ("hello", Hello(5, "an n b", "a")),
        ("hands of 5", Hands(0, ("w",), False, 1.5)),
        ("act of 5", "take"),
        ("hands of 5", Hands(1, (), False, 1.5)),
        ("gone", 5),
    ]


def test_bars_are_told_when_they_change(door: Door, book: Book) -> None:
    async def visit(session: ClientSession) -> None:
        page = await line(session, door)
        book.shown = {
            5: Bar("ann", True, "you", "ok", "you", offers=(("take", "Take"),)),
            6: Bar("b", False, "", "", ""),
        }
        await page.send_json(hello(5))
        bar = await page.receive_json(timeout=5.0)
        assert bar == {
            "kind": "bar", "name": "ann", "you": True, "who": "you", "state": "ok", "tone": "you", "prompt": "",
            "offers": [["take", "Take"]],
        }  # fmt: skip
        book.shown = {5: Bar("ann", False, "bob", "ok", "calm")}
        assert (await page.receive_json(timeout=5.0))["who"] == "bob"
        await page.close()

    play(visit)


def test_a_page_whose_viewer_came_back_under_another_number(door: Door, book: Book) -> None:
    async def visit(session: ClientSession) -> None:
        page = await line(session, door)
        await page.send_json(hello(5))
        await page.send_json(hands(3))
        await page.send_json(hello(6))
        await page.send_json(hands(4))
        await until(lambda: len(book.lines) == 5)
        await page.close()

    play(visit)
    kinds = [(kind, getattr(what, "client", what)) for kind, what in book.lines]
    assert kinds[0] == ("hello", 5)
    assert kinds[2:4] == [("gone", 5), ("hello", 6)]
    assert kinds[4][0] == "hands of 6"


def test_a_copy_of_a_tab_sends_the_first_away(door: Door, book: Book) -> None:
    async def visit(session: ClientSession) -> None:
        first, second = await line(session, door), await line(session, door)
        await first.send_json(hello(5))
        await until(lambda: len(book.lines) == 1)
        await second.send_json(hello(6))
        assert (await first.receive(timeout=5.0)).type is WSMsgType.CLOSE
        assert first.close_code == ELSEWHERE
        await until(lambda: len(book.lines) == 3)
        assert [kind for kind, _ in book.lines] == ["hello", "gone", "hello"]
        await second.send_json(hands(0))
        await until(lambda: len(book.lines) == 4)
        await second.close()

    play(visit)


NONSENSE = [
    "w",
    "[]",
    "[" * 100_000,
    json.dumps({"kind": "dance"}),
    json.dumps({"kind": "act", "what": 3}),
    json.dumps(hello(client=-1)),
    json.dumps({**hello(), "client": True}),
    json.dumps({**hello(), "client": 1.5}),
    json.dumps(hello(key="")),
    json.dumps(hello(key="k" * 65)),
    json.dumps({**hands(0), "keys": "w"}),
    json.dumps({**hands(0), "keys": [1]}),
    json.dumps({**hands(0), "keys": ["w"] * 17}),
    json.dumps({**hands(0), "pointer": 1}),
    json.dumps({**hands(0), "at_ms": True}),
    json.dumps({**hands(0), "at_ms": float("nan")}),
]


@pytest.mark.parametrize("text", NONSENSE, ids=lambda text: text[:40])
def test_nonsense_ends_the_line(door: Door, book: Book, text: str) -> None:
    async def visit(session: ClientSession) -> None:
        page = await line(session, door)
        if "hello" not in text:
            await page.send_json(hello())
        await page.send_str(text)
        assert (await page.receive(timeout=5.0)).type is WSMsgType.CLOSE
        assert page.close_code == (1009 if len(text) > 4096 else REFUSED)

    play(visit)
    wait_for(lambda: [kind for kind, _ in book.lines] in ([], ["hello", "gone"]))


def test_what_cannot_be_said_now_ends_the_line(door: Door, book: Book) -> None:
    async def visit(session: ClientSession) -> None:
        silent = await line(session, door)
        await silent.send_json(hands(0))
        assert (await silent.receive(timeout=5.0)).data == REFUSED
        old = await line(session, door)
        await old.send_json(hello())
        await old.send_json(hands(3))
        await old.send_json(hands(3))
        assert (await old.receive(timeout=5.0)).data == REFUSED
        first, second = await line(session, door), await line(session, door)
        await first.send_json(hello(5, key="a"))
        await until(lambda: book.lines[-1][0] == "hello")
        await second.send_json(hello(5, key="b"))
        assert (await second.receive(timeout=5.0)).data == REFUSED
        await first.close()

    play(visit)


@given(st.text(max_size=80))
def test_any_text_is_a_message_or_refused(text: str) -> None:
    try:
        read(text)
    except DataError as e:
        assert len(str(e)) < 400


@given(st.text(max_size=80))
def test_names_can_be_shown(name: str) -> None:
    cleaned = clean_name(name)
    assert len(cleaned) <= 32
    assert cleaned.isprintable()
    assert cleaned == clean_name(cleaned)
