"""A TCP proxy between actor and learner that can stall, delay, cut and reset their connections.

For machines without network namespaces, and for faults that are of TCP itself. Lost packets show as stalls here, since
TCP hides the rest.
"""

from __future__ import annotations

import asyncio
import struct
import threading
from contextlib import suppress
from socket import SO_LINGER, SOL_SOCKET
from urllib.parse import urlsplit

CHUNK = 65_536


class Proxy:
    """Forwards ports of 127.0.0.1 to the same number of ports elsewhere, in order.

    Args:
        targets: endpoints ``tcp://host:port`` to forward to.
        ports: where to listen, 0 for any free port each.

    Attributes:
        endpoints: where it listens, in the order of `targets`.
        delay_s: time every chunk is held, in each direction.
        stalled: nothing is forwarded, connections stay open.
        cut: connections are reset and new ones refused at once.
    """

    def __init__(self, targets: list[str], ports: list[int] | None = None) -> None:
        self.delay_s = 0.0
        self.stalled = False
        self.cut = False
        self.endpoints: list[str] = []
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._servers: list[asyncio.Server] = []
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        for target, port in zip(targets, ports or [0] * len(targets), strict=True):
            asyncio.run_coroutine_threadsafe(self._listen(target, port), self._loop).result(10)

    def reset(self) -> None:
        """Reset every open connection; new ones are welcome."""
        self._loop.call_soon_threadsafe(self._abort_all)

    def close(self) -> None:
        """Close everything. May be called twice."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._finish(), self._loop).result(10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _listen(self, target: str, port: int) -> None:
        parts = urlsplit(target)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(reader, writer, str(parts.hostname), parts.port or 0)

        server = await asyncio.start_server(serve, "127.0.0.1", port)
        self._servers.append(server)
        self.endpoints.append(f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
        ends = [writer]
        self._open.add(writer)
        try:
            if self.cut:
                return
            far_reader, far_writer = await asyncio.open_connection(host, port)
            ends.append(far_writer)
            self._open.add(far_writer)
            flows = {asyncio.ensure_future(self._flow(*f)) for f in ((reader, far_writer), (far_reader, writer))}
            _, rest = await asyncio.wait(flows, return_when=asyncio.FIRST_COMPLETED)
            for flow in rest:
                flow.cancel()
            await asyncio.gather(*flows, return_exceptions=True)
        except OSError:
            return
        finally:
            for end in ends:
                self._open.discard(end)
                _abort(end)

    async def _flow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction: chunks leave `delay_s` after they came, in order, without waiting for each other."""
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=256)

        async def fill() -> None:
            while data := await reader.read(CHUNK):
                await queue.put((self._loop.time() + self.delay_s, data))
            await queue.put((0.0, b""))

        filling = asyncio.ensure_future(fill())
        try:
            while True:
                due_s, data = await queue.get()
                while self.stalled or self._loop.time() < due_s:
                    await asyncio.sleep(0.005)
                if not data or self.cut:
                    return
                writer.write(data)
                await writer.drain()
        finally:
            filling.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await filling

    def _abort_all(self) -> None:
        for writer in list(self._open):
            _abort(writer)

    async def _finish(self) -> None:
        for server in self._servers:
            server.close()
        self._abort_all()
        await asyncio.sleep(0)
        others = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close with a reset rather than a goodbye."""
    socket = writer.get_extra_info("socket")
    if socket is not None:
        with suppress(OSError):
            socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
