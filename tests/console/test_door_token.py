"""Who may come in."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("viser", reason="needs the extra console")

import viser
from aiohttp import ClientSession, WSServerHandshakeError
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.console import door as module
from robot_rl.console.door import Door
from robot_rl.console.door_proxy import SCRIPT
from robot_rl.console.door_token import Lock, is_loopback
from robot_rl.core.errors import ConfigError
from tests.console.visits import TOKEN, Book, line, ours, play


def test_another_page_cannot_open_a_line(door: Door, book: Book) -> None:
    async def visit(session: ClientSession) -> None:
        for path in ("", "operator"):
            for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {}):
                with pytest.raises(WSServerHandshakeError) as refused:
                    await session.ws_connect(door.url + path, headers=headers)
                assert refused.value.status == 403

    play(visit)
    assert not book.lines


def test_a_name_that_was_made_to_point_here(door: Door) -> None:
    evil = f"evil.example:{door.port}"

    async def visit(session: ClientSession) -> None:
        async with session.get(door.url, headers={"Host": evil}) as answer:
            assert answer.status == 403
        with pytest.raises(WSServerHandshakeError):
            await session.ws_connect(door.url + "operator", headers={"Host": evil, "Origin": f"http://{evil}"})
        async with session.get(door.url, headers={"Host": f"localhost:{door.port}"}) as answer:
            assert answer.status == 200

    play(visit)


def test_without_the_token_nobody_comes_further_than_the_login(locked: Door, book: Book) -> None:
    async def visit(session: ClientSession) -> None:
        async with session.get(locked.url) as answer:
            assert answer.status == 401
            page = await answer.text()
            assert 'name="token"' in page
            assert SCRIPT not in page
        for path in ("operator.js", "assets/x", "operator"):
            async with session.get(locked.url + path) as answer:
                assert answer.status == 401
        for path in ("", "operator"):
            with pytest.raises(WSServerHandshakeError) as refused:
                await session.ws_connect(locked.url + path, headers=ours(locked))
            assert refused.value.status == 403
        async with session.post(locked.url + "login", data={"token": "guess"}) as answer:
            assert answer.status == 401
            assert "That is not the token." in await answer.text()
        async with session.get(locked.url + "?token=guess") as answer:
            assert answer.status == 401
        async with session.get(locked.url, cookies={f"robot_rl_console_{locked.port}": "guess"}) as answer:
            assert answer.status == 401

    play(visit)
    assert not book.lines


@pytest.mark.parametrize("way", ["form", "address"])
def test_with_the_token(locked: Door, way: str) -> None:
    async def visit(session: ClientSession) -> None:
        entering = (
            session.post(locked.url + "login", data={"token": TOKEN}, allow_redirects=False)
            if way == "form"
            else session.get(locked.url, params={"token": TOKEN}, allow_redirects=False)
        )
        async with entering as answer:
            assert answer.status == 303
            assert answer.headers["Location"] == "/"
            cookie = answer.headers["Set-Cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=Strict" in cookie
            assert TOKEN not in cookie
        async with session.get(locked.url) as answer:
            assert SCRIPT in await answer.text()
        page = await line(session, locked)
        await page.close()
        with pytest.raises(WSServerHandshakeError):
            await session.ws_connect(locked.url + "operator", headers={"Origin": "http://evil.example"})

    play(visit)


def test_a_wrong_token_takes_time(locked: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    sleep = asyncio.sleep

    async def watched(seconds: float) -> None:
        waited.append(seconds)
        await sleep(0.0)

    async def visit(session: ClientSession) -> None:
        async with session.post(locked.url + "login", data={"token": "guess"}):
            pass

    monkeypatch.setattr(module.asyncio, "sleep", watched)
    play(visit)
    assert waited == [module.WRONG_TOKEN_S]


@pytest.mark.parametrize("host", ["0.0.0.0", "", "192.168.0.5", "::"])
def test_others_need_a_token(host: str, book: Book) -> None:
    with pytest.raises(ConfigError, match="give a token, or listen on 127.0.0.1"):
        Door(1, book, host=host, port=0)


def test_an_empty_token(book: Book) -> None:
    with pytest.raises(ConfigError, match="token is empty"):
        Door(1, book, port=0, token=" ")


def test_a_door_for_others_lets_them_in_with_the_token(viewer: viser.ViserServer, book: Book) -> None:
    door = Door(viewer.get_port(), book, host="0.0.0.0", port=0, token=TOKEN)

    async def visit(session: ClientSession) -> None:
        headers = {"Host": f"cell-pc:{door.port}"}
        async with session.get(door.url, params={"token": TOKEN}, headers=headers, allow_redirects=False) as answer:
            assert answer.status == 303

    play(visit)
    door.close()


@given(st.text(max_size=20), st.text(max_size=20))
def test_only_the_token_is_known(token: str, said: str) -> None:
    if token.strip():
        assert Lock("127.0.0.1", 1, token).knows(said) == (token == said)
        assert Lock("127.0.0.1", 1, token).key != token


def test_what_only_this_machine_reaches() -> None:
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost"))
    assert not any(is_loopback(host) for host in ("", "0.0.0.0", "::", "10.0.0.1", "localhost.evil.example"))


def test_origins() -> None:
    assert Lock.is_same_page("https://cell:8080", "cell:8080")
    for origin in (None, "null", "", "http://cell:8081", "http://evil/cell:8080", "cell:8080"):
        assert not Lock.is_same_page(origin, "cell:8080")
