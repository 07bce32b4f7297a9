"""The pages that have a line to the door, and whose they are."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from robot_rl.console.door_messages import Act, Bar, Hands, Hello, Visitors, bar_text, read
from robot_rl.core.errors import DataError

ELSEWHERE = 4001
"""Closed for a page whose key another page has come with: it is a copy, and must call itself something else."""
REFUSED = 4002
"""Closed for a page that says what cannot be."""


@dataclass
class _Line:
    page: web.WebSocketResponse
    hello: Hello
    number: int = -1
    told: Bar | None = None


class Guests:
    """Used by the door's thread alone.

    Args:
        visitors: who receives them.
    """

    def __init__(self, visitors: Visitors) -> None:
        self._visitors = visitors
        self._lines: dict[web.WebSocketResponse, _Line] = {}

    async def hear(self, page: web.WebSocketResponse, text: str) -> bool:
        """What a page says.

        Returns:
            Whether it may go on; otherwise its line is closed.
        """
        try:
            message, line = read(text), self._lines.get(page)
            if isinstance(message, Hello):
                await self._greet(page, message)
            elif line is None:
                raise DataError("a page must say hello first")
            elif isinstance(message, Hands):
                self._follow(line, message)
            elif isinstance(message, Act):
                self._visitors.act(line.hello.client, message)
                await self.tell()
        except DataError as e:
            await page.close(code=REFUSED, message=str(e).encode()[:120])
            return False
        return True

    def forget(self, page: web.WebSocketResponse) -> None:
        """A page's line is closed."""
        line = self._lines.pop(page, None)
        if line is not None:
            self._visitors.gone(line.hello.client)

    async def tell(self) -> None:
        """Tell every page what its bar is to say, if it does not yet."""
        bars = self._visitors.bars()
        for line in list(self._lines.values()):
            bar = bars.get(line.hello.client)
            if bar is not None and bar != line.told:
                line.told = bar
                try:
                    await line.page.send_str(bar_text(bar))
                except ConnectionError:
                    self.forget(line.page)

    async def _greet(self, page: web.WebSocketResponse, hello: Hello) -> None:
        if not hello.key:
            raise DataError("a page's key is empty, expected something that it keeps")
        others = [line for line in self._lines.values() if line.page is not page]
        copies = [line for line in others if line.hello.key == hello.key]
        if any(line.hello.client == hello.client for line in others if line not in copies):
            raise DataError(f"client {hello.client} is somebody else's page")
        for copy in copies:
            self.forget(copy.page)
        before = self._lines.get(page)
        if before is not None and before.hello.client != hello.client:
            self._visitors.gone(before.hello.client)
        self._lines[page] = _Line(page, hello, -1 if before is None else before.number)
        self._visitors.hello(hello)
        await self.tell()
        for copy in copies:
            await copy.page.close(code=ELSEWHERE)

    def _follow(self, line: _Line, hands: Hands) -> None:
        if hands.number <= line.number:
            raise DataError(f"a page's message {hands.number} came after its message {line.number}")
        line.number = hands.number
        self._visitors.hands(line.hello.client, hands)
