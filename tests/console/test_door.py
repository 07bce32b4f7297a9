"""Where the door listens, and how it is closed."""

from __future__ import annotations

import socket
import threading

import pytest

pytest.importorskip("viser", reason="needs the extra console")

import viser
from aiohttp import ClientSession, WSMsgType

from robot_rl.console.door import Door
from robot_rl.core.errors import ConfigError
from tests.console.visits import TOKEN, Book, hello, line, ours, play, until


def test_a_port_that_is_taken(door: Door, book: Book) -> None:
    with pytest.raises(ConfigError, match=f"port {door.port} of 127.0.0.1 is taken"):
        Door(1, book, port=door.port)


def test_an_address_that_cannot_be_had(book: Book) -> None:
    with pytest.raises(ConfigError, match="choose another address or port"):
        Door(1, book, host="no.such.host.invalid", port=0, token=TOKEN)
    with pytest.raises(ConfigError, match="port is 70000"):
        Door(1, book, port=70000)


def test_closing_ends_thread_and_lines(viewer: viser.ViserServer, book: Book) -> None:
    door = Door(viewer.get_port(), book, port=0)

    async def visit(session: ClientSession) -> None:
        page = await line(session, door)
        other = await session.ws_connect(door.url, headers=ours(door), protocols=[f"viser-v{viser.__version__}"])
        await page.send_json(hello())
        await until(lambda: book.lines)
        closing = threading.Thread(target=door.close)
        closing.start()
        assert (await page.receive(timeout=10.0)).type is WSMsgType.CLOSE
        while (await other.receive(timeout=10.0)).type is WSMsgType.BINARY:
            pass
        await until(lambda: not closing.is_alive())

    play(visit)
    door.close()
    assert book.lines[-1] == ("gone", 0)
    assert not [t for t in threading.enumerate() if t.name == "console-door"]
    socket.create_server(("127.0.0.1", door.port)).close()
