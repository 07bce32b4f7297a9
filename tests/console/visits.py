"""Browsers that are played by an HTTP client, and somebody who writes down what they do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse, CookieJar

from robot_rl.console.door import Door
from robot_rl.console.door_messages import Act, Bar, Hands, Hello

TOKEN = "open sesame"


class Book:
    """Writes down who came and what they said."""

    keys: Mapping[str, str] = {"w": "forward"}

    def __init__(self) -> None:
        self.lines: list[tuple[str, Any]] = []
        self.shown: dict[int, Bar] = {}

    def hello(self, hello: Hello) -> None:
        self.lines.append(("hello", hello))

    def hands(self, client: int, hands: Hands) -> None:
        self.lines.append((f"hands of {client}", hands))

    def act(self, client: int, act: Act) -> None:
        self.lines.append((f"act of {client}", act.what))

    def gone(self, client: int) -> None:
        self.lines.append(("gone", client))

    def bars(self) -> Mapping[int, Bar]:
        return dict(self.shown)


def play(visit: Callable[[ClientSession], Coroutine[Any, Any, None]]) -> None:
    """What a browser does, in a session with its own cookies."""

    async def run() -> None:
        async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
            await visit(session)

    asyncio.run(run())


def ours(door: Door) -> dict[str, str]:
    return {"Origin": door.url.rstrip("/")}


async def line(session: ClientSession, door: Door) -> ClientWebSocketResponse:
    page = await session.ws_connect(door.url + "operator", headers=ours(door))
    assert (await page.receive_json())["kind"] == "welcome"
    return page


async def until(condition: Callable[[], Any]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come true within 5 s")


def hello(client: int = 0, key: str = "a", name: str = "ann") -> dict[str, Any]:
    return {"kind": "hello", "client": client, "name": name, "key": key}


def hands(number: int, *keys: str) -> dict[str, Any]:
    return {"kind": "hands", "number": number, "keys": list(keys), "pointer": False, "at_ms": 1500.0}


def wait_for(condition: Callable[[], Any]) -> None:
    end_s = time.monotonic() + 5.0
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)
