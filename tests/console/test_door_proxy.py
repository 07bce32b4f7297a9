"""What viser serves, through the door."""

from __future__ import annotations

import socket
import threading

import pytest

pytest.importorskip("viser", reason="needs the extra console")

import viser
from aiohttp import ClientSession, WSMsgType, WSServerHandshakeError

from robot_rl.console.door import Door
from robot_rl.console.door_proxy import MAX_FROM_BROWSER, SCRIPT
from tests.console.visits import Book, ours, play


def test_the_page_comes_with_our_script(door: Door) -> None:
    async def visit(session: ClientSession) -> None:
        async with session.get(door.url, headers={"Accept-Encoding": "gzip"}) as answer:
            page = await answer.text()
            assert answer.status == 200
            assert page.count(SCRIPT) == 1
            assert page.index(SCRIPT) == page.index("<script")
            assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'self'"
        async with session.get(door.url + "operator.js") as answer:
            assert answer.content_type == "text/javascript"
            assert "data-rrl-client" in await answer.text()
        async with session.get(door.url + "nothing/here") as answer:
            assert answer.status == 404
        async with session.get(door.url + "operator") as answer:
            assert answer.status == 400

    play(visit)


def test_visers_websocket_goes_through(door: Door) -> None:
    protocol = f"viser-v{viser.__version__}"

    async def visit(session: ClientSession) -> None:
        page = await session.ws_connect(door.url, headers=ours(door), protocols=[protocol], max_msg_size=0)
        assert page.protocol == protocol
        message = await page.receive(timeout=10.0)
        assert message.type is WSMsgType.BINARY
        await page.close()

    play(visit)


def test_viser_says_why_it_closes(door: Door) -> None:
    async def visit(session: ClientSession) -> None:
        page = await session.ws_connect(door.url, headers=ours(door), protocols=["viser-v0.0.1"])
        assert (await page.receive(timeout=10.0)).type in (WSMsgType.CLOSE, WSMsgType.CLOSED)
        assert page.close_code == 1002

    play(visit)


def test_large_messages_go_through_both_ways(book: Book) -> None:
    """Larger than a websocket takes unless it is told to."""
    import websockets.sync.server as sync_server

    left = threading.Event()

    def echo(connection: sync_server.ServerConnection) -> None:
        for message in connection:
            connection.send(message)
        left.set()

    with sync_server.serve(echo, "127.0.0.1", 0, max_size=None, compression=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        door = Door(server.socket.getsockname()[1], book, port=0)
        large = bytes(MAX_FROM_BROWSER // 8)

        async def visit(session: ClientSession) -> None:
            page = await session.ws_connect(door.url, headers=ours(door), max_msg_size=0)
            await page.send_bytes(large)
            assert (await page.receive_bytes(timeout=30.0)) == large
            await page.send_str("short")
            assert (await page.receive_str(timeout=10.0)) == "short"
            await page.close()

        play(visit)
        assert left.wait(5.0)
        door.close()
        server.shutdown()
        thread.join()


def test_a_viewer_that_is_not_there(book: Book) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    door = Door(port, book, port=0)

    async def visit(session: ClientSession) -> None:
        async with session.get(door.url) as answer:
            assert answer.status == 502
        with pytest.raises(WSServerHandshakeError) as refused:
            await session.ws_connect(door.url, headers=ours(door))
        assert refused.value.status == 502

    play(visit)
    door.close()
