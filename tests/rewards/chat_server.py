"""A server on this machine that speaks chat completions, and a small world of clips to ask it about."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image as Pillow

from robot_rl.core.types import Image
from robot_rl.rewards.labelers import Shown
from robot_rl.rewards.preferences import Clip, Pair

Reply = tuple[int, Any] | bytes | None


@dataclass
class ChatServer:
    """What the server was asked; `url` is its base address."""

    url: str
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


def brightness(request: dict[str, Any]) -> list[float]:
    """Mean of every picture of a request, in the order in which they are shown, decoded as a model would."""
    means = []
    for part in request["messages"][0]["content"]:
        if part["type"] == "image_url":
            data = part["image_url"]["url"].removeprefix("data:image/png;base64,")
            means.append(float(np.asarray(Pillow.open(io.BytesIO(base64.b64decode(data)))).mean()))
    return means


def completion(text: str | None, **more: Any) -> tuple[int, Any]:
    """A reply that holds a text."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    choice["message"].update(more.pop("message", {}))  # type: ignore[attr-defined]
    choice.update(more)
    return 200, {"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 10}}


def brighter(request: dict[str, Any]) -> tuple[int, Any]:
    """Prefers the brighter of two pictures."""
    first, second = brightness(request)
    return completion(f'```json\n{{"first": "a", "second": "b", "better": {int(second > first)}}}\n```')


@contextmanager
def chat_server(answer: Callable[[dict[str, Any]], Reply]) -> Iterator[ChatServer]:
    """Serve; `answer` gives (status, JSON), raw bytes of a 200, or None to fall silent."""
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            facts.requests.append(request)
            facts.headers.append(dict(self.headers))
            reply = answer(request) if self.path.endswith("/v1/chat/completions") else (404, "no such page")
            if reply is None:
                ended.wait(30)
                return
            status, body = (200, reply) if isinstance(reply, bytes) else (reply[0], json.dumps(reply[1]).encode())
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if status == 429:
                self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    facts = ChatServer(f"http://127.0.0.1:{server.server_address[1]}/v1")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield facts
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


def picture(level: int) -> Image:
    """A grey picture."""
    return np.full((8, 12, 3), level, np.uint8)


def grey_clip(level: int) -> Clip:
    """A clip whose only picture is of that grey."""
    return Clip("grey", (level,))


def show(pair: Pair) -> Shown:
    """The pictures of two grey clips."""
    first, second = (tuple(picture(step) for step in clip.steps) for clip in (pair.first, pair.second))
    return Shown("make it bright", first, second, pair)
