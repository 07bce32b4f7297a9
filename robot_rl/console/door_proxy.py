"""What viser serves, handed through the door."""

from __future__ import annotations

import asyncio

from aiohttp import ClientError, ClientSession, ClientWebSocketResponse, WSCloseCode, WSMsgType, web

MAX_FROM_BROWSER = 50 * 2**20
"""What viser itself takes, in bytes: pictures that a browser has rendered are large."""
DEAD_S = 20.0
"""A browser that does not answer a ping for half of it has gone."""
SCRIPT = '<script src="/operator.js"></script>'
_HEAD = "<head>"
_KEPT = ("Content-Type", "Content-Encoding")


async def fetch(session: ClientSession, viser: str, request: web.Request) -> web.Response:
    """A file of viser's, and its page with our script in front of its own.

    Args:
        session: does not decompress.
        viser: its address, as in ``http://127.0.0.1:8081``.
        request: of a browser.
    """
    # What is packed cannot be added to, and what viser serves is a page that unpacks itself.
    headers = {"Accept-Encoding": "identity"}
    try:
        async with session.get(viser + request.raw_path, headers=headers) as answer:
            body = await answer.read()
    except ClientError as e:
        return web.Response(status=502, text=f"the viewer does not answer: {e}")
    kept = {name: answer.headers[name] for name in _KEPT if name in answer.headers}
    if answer.status == 200 and answer.content_type == "text/html":
        page = body.decode("utf-8")
        if _HEAD not in page:
            return web.Response(status=502, text="the viewer's page has no head that the operator's script fits into")
        body = page.replace(_HEAD, _HEAD + SCRIPT, 1).encode()
    return web.Response(status=answer.status, body=body, headers={**kept, "Cache-Control": "no-store"})


async def join(
    session: ClientSession, viser: str, request: web.Request, opened: set[web.WebSocketResponse]
) -> web.StreamResponse:
    """A browser's websocket and one of viser's as one, until either ends.

    Args:
        session: to viser.
        viser: its address.
        request: of a browser.
        opened: where the browser's end is while it is open.
    """
    protocols = [p.strip() for p in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if p.strip()]
    try:
        inner = await session.ws_connect(viser, protocols=protocols, max_msg_size=0)
    except (ClientError, OSError) as e:
        return web.Response(status=502, text=f"the viewer does not answer: {e}")
    agreed = [inner.protocol] if inner.protocol else []
    outer = web.WebSocketResponse(
        protocols=agreed, heartbeat=DEAD_S, compress=False, max_msg_size=MAX_FROM_BROWSER, timeout=1.0
    )
    try:
        await outer.prepare(request)
        opened.add(outer)
        ways = {asyncio.create_task(_pump(outer, inner)), asyncio.create_task(_pump(inner, outer))}
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
    finally:
        opened.discard(outer)
        await inner.close(code=_sayable(outer.close_code))
        if outer.prepared:
            await outer.close(code=_sayable(inner.close_code))
    return outer


async def _pump(
    source: web.WebSocketResponse | ClientWebSocketResponse, drain: web.WebSocketResponse | ClientWebSocketResponse
) -> None:
    """One way, until the source ends or the drain is gone."""
    async for message in source:
        try:
            if message.type is WSMsgType.BINARY:
                await drain.send_bytes(message.data)
            elif message.type is WSMsgType.TEXT:
                await drain.send_str(message.data)
        except ConnectionError:
            return


def _sayable(code: int | None) -> int:
    """A reason for closing as the other end may hear it: some only say that nothing was heard."""
    silent = {WSCloseCode.ABNORMAL_CLOSURE, 1005, 1015}
    return WSCloseCode.GOING_AWAY if code is None or code in silent else code
