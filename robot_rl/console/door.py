"""The only way into the console: lets the right people in, hands viser's page through, and hears their hands."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib.resources import files

from aiohttp import ClientSession, WSMsgType, web

from robot_rl.console.door_guests import Guests
from robot_rl.console.door_messages import Visitors, welcome
from robot_rl.console.door_proxy import fetch, join
from robot_rl.console.door_token import Lock
from robot_rl.core.config import Range
from robot_rl.core.errors import ConfigError

WRONG_TOKEN_S = 1.0
TELL_S = 0.1
_DEAD_S = 4.0
_MAX_MESSAGE = 4096
_HEADERS = {"Content-Security-Policy": "frame-ancestors 'self'", "X-Content-Type-Options": "nosniff"}
"""No page of somebody else may show this one in a frame and have its buttons pressed."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Door:
    """An HTTP server in a thread of its own in front of a viser server that listens on 127.0.0.1 alone.

    Args:
        viser_port: of the viser server.
        visitors: who receives those that come; called by this thread.
        host: where to listen.
        port: where to listen; 0 for any that is free.
        token: what others must know; None lets only this machine in.

    Raises:
        ConfigError: others could come in without a token, or the address cannot be had.
    """

    def __init__(
        self,
        viser_port: int,
        visitors: Visitors,
        *,
        host: str = "127.0.0.1",
        port: int = 8080,
        token: str | None = None,
    ) -> None:
        Lock(host, port, token)
        self._socket = _listen(host, port)
        self._host, self._port = host, int(self._socket.getsockname()[1])
        self._lock = Lock(host, self._port, token)
        self._viser = f"http://127.0.0.1:{viser_port}"
        self._visitors, self._guests = visitors, Guests(visitors)
        self._opened: set[web.WebSocketResponse] = set()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="console-door")
        self._thread.start()
        self._ready.wait()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    @property
    def url(self) -> str:
        """What to open on this machine."""
        local = self._host in ("", "0.0.0.0", "::")
        name = "127.0.0.1" if local else f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{name}:{self._port}/"

    def close(self) -> None:
        """Everybody is gone. May be called twice."""
        if self._thread.is_alive():
            with suppress(RuntimeError):  # it is ending just now
                self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._ready.set()
            self._loop.close()

    async def _serve(self) -> None:
        async with ClientSession(auto_decompress=False) as self._session:
            app = web.Application(middlewares=[self._guard])
            app.router.add_get("/operator", self._meet)
            app.router.add_get("/operator.js", _script)
            app.router.add_post("/login", self._login)
            app.router.add_get("/{path:.*}", self._pass)
            runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=1.0)
            await runner.setup()
            try:
                await web.SockSite(runner, self._socket).start()
                self._ready.set()
                await self._tell_until_stopped()
            finally:
                for each in list(self._opened):
                    await each.close(code=1001)
                await runner.cleanup()

    async def _tell_until_stopped(self) -> None:
        while not self._stop.is_set():
            await self._guests.tell()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), TELL_S)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Nobody comes further who may not."""
        answer = await self._refuse(request)
        if answer is None:
            answer = await handler(request)
        if not answer.prepared:
            answer.headers.update(_HEADERS)
        return answer

    async def _refuse(self, request: web.Request) -> web.StreamResponse | None:
        host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
        if not self._lock.is_ours(host):
            return web.Response(status=403, text=f"{host} is no name of this machine: open {self.url}")
        if _is_websocket(request):
            let_in = self._lock.is_open_to(request.cookies) and self._lock.is_same_page(origin, host)
            return None if let_in else web.Response(status=403, text="not opened by a page of this console")
        if request.method == "GET" and request.path == "/" and "token" in request.query:
            return await self._try(request.query["token"])
        if self._lock.is_open_to(request.cookies) or request.path == "/login":
            return None
        return _login_page("") if request.path == "/" else web.Response(status=401, text="come in by the front page")

    async def _login(self, request: web.Request) -> web.StreamResponse:
        return await self._try(str((await request.post()).get("token", "")))

    async def _try(self, token: str) -> web.StreamResponse:
        """Send those on who know the token, with a cookie; the others wait before they may guess again."""
        if not self._lock.knows(token):
            await asyncio.sleep(WRONG_TOKEN_S)
            return _login_page("That is not the token.")
        answer = web.Response(status=303, headers={"Location": "/"})
        answer.set_cookie(self._lock.cookie, self._lock.key, path="/", httponly=True, samesite="Strict")
        return answer

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        if _is_websocket(request):
            return await join(self._session, self._viser, request, self._opened)
        return await fetch(self._session, self._viser, request)

    async def _meet(self, request: web.Request) -> web.StreamResponse:
        """Somebody's hands, until they are gone."""
        page = web.WebSocketResponse(heartbeat=_DEAD_S, compress=False, max_msg_size=_MAX_MESSAGE, timeout=1.0)
        if not page.can_prepare(request):
            return web.Response(status=400, text="this is where a page of the console opens a websocket")
        await page.prepare(request)
        self._opened.add(page)
        try:
            await page.send_str(welcome(self._visitors.keys))
            async for message in page:
                if message.type is not WSMsgType.TEXT or not await self._guests.hear(page, message.data):
                    break
        except ConnectionError:
            pass
        finally:
            self._opened.discard(page)
            self._guests.forget(page)
            await page.close()
        return page


async def _script(request: web.Request) -> web.StreamResponse:
    text = files("robot_rl.console").joinpath("operator.js").read_text(encoding="utf-8")
    return web.Response(text=text, content_type="text/javascript", headers={"Cache-Control": "no-store"})


def _login_page(why: str) -> web.Response:
    text = files("robot_rl.console").joinpath("login.html").read_text(encoding="utf-8")
    body = text.replace("<!--why-->", why)
    return web.Response(status=401, text=body, content_type="text/html", headers={"Cache-Control": "no-store"})


def _is_websocket(request: web.Request) -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        ConfigError: it cannot be had.
    """
    Range(0, 65535).check("the console's port", port)
    try:
        family, _, _, _, address = socket.getaddrinfo(host or "0.0.0.0", port, type=socket.SOCK_STREAM)[0]
        return socket.create_server((str(address[0]), port), family=family)
    except OSError as e:
        if e.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"port {port} of {host} is taken, perhaps by another console: end that one, or choose another port"
            ) from e
        raise ConfigError(f"cannot listen on port {port} of {host!r} ({e}): choose another address or port") from e
