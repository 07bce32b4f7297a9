"""Doors in front of a real viser server, over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import viser

    from robot_rl.console.door import Door
    from tests.console.visits import Book


@pytest.fixture(scope="module")
def viewer() -> Iterator[viser.ViserServer]:
    viser = pytest.importorskip("viser", reason="needs the extra console")
    server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
    yield server
    server.stop()


@pytest.fixture
def book() -> Book:
    from tests.console.visits import Book

    return Book()


@pytest.fixture
def door(viewer: viser.ViserServer, book: Book) -> Iterator[Door]:
    from robot_rl.console.door import Door

    door = Door(viewer.get_port(), book, port=0)
    yield door
    door.close()


@pytest.fixture
def locked(viewer: viser.ViserServer, book: Book, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    from robot_rl.console import door as module
    from robot_rl.console.door import Door
    from tests.console.visits import TOKEN

    monkeypatch.setattr(module, "WRONG_TOKEN_S", 0.05)
    door = Door(viewer.get_port(), book, port=0, token=TOKEN)
    yield door
    door.close()
