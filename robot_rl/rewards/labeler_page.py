"""A person compares, on a small page of this machine: two clips side by side, answered by a key or a click.

The page is served on this machine alone and only to who has its address, which holds a secret. From another machine:
``ssh -L PORT:localhost:PORT``.
"""

from __future__ import annotations

import html
import json
import queue
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from robot_rl.core.errors import ConfigError
from robot_rl.core.types import Image
from robot_rl.rewards.labelers import Enough, Shown, data_uri
from robot_rl.rewards.preferences import EQUAL, FIRST, SECOND, Answer

CHOICES = {"1": Answer(FIRST, 0.0), "2": Answer(SECOND, 1.0), "0": Answer(EQUAL, 0.5)}
STOP = "q"

_PAGE = """<!doctype html><meta charset="utf-8"><title>Which is nearer to the goal?</title>
<meta name="viewport" content="width=device-width,initial-scale=1">
<style>body{{font:16px system-ui,sans-serif;margin:1rem auto;max-width:1400px;color:#1b2330}}
main{{display:grid;grid-template-columns:1fr 1fr;gap:1rem}}figure{{margin:0;border:2px solid #d5dae2;padding:.5rem}}
img{{width:100%;image-rendering:auto;display:block;margin-bottom:.3rem}}
button{{font:inherit;padding:.6rem 1rem;margin:.3rem}}
</style><h1>Which is nearer to the goal?</h1><p>{goal}</p>
<main><figure>{first}<button data-key="1">1 this one</button></figure>
<figure>{second}<button data-key="2">2 this one</button></figure></main>
<button data-key="0">0 neither, or cannot tell</button><button data-key="q">q stop for now</button><p id="said"></p>
<script>
const said = document.getElementById("said"); let sent = false;
async function answer(key) {{
  if (sent || !["0", "1", "2", "q"].includes(key)) return;
  sent = true; said.textContent = "sent";
  await fetch("answer", {{method: "POST", body: JSON.stringify({{number: {number}, key}})}});
  if (key === "q") {{ said.textContent = "stopped; what was answered is kept"; return; }}
  for (;;) {{
    const state = await fetch("number").then(r => r.text()).catch(() => "gone");
    if (state === "gone") {{ said.textContent = "labelling has ended"; return; }}
    if (state !== "{number}") {{ location.reload(); return; }}
    await new Promise(done => setTimeout(done, 150));
  }}
}}
addEventListener("keydown", e => {{ if (!e.repeat) answer(e.key); }});
document.querySelectorAll("button").forEach(b => b.addEventListener("click", () => answer(b.dataset.key)));
</script>"""


class PageLabeler:
    """Shows one pair at a time and waits for a person.

    Args:
        port: of the page on this machine; 0 takes any that is free.
        by: who answers.

    Raises:
        ConfigError: the port is taken.

    Attributes:
        url: of the page, with its secret.
    """

    both_orders = False
    parallel = 1

    def __init__(self, port: int = 0, by: str = "person") -> None:
        self._by = by
        self._shown: Shown | None = None
        self._number = 0
        self._answers: queue.Queue[tuple[int, str]] = queue.Queue()
        self._secret = secrets.token_urlsafe(16)
        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        except OSError as e:
            raise ConfigError(f"the page for labelling cannot use port {port} ({e.strerror}): choose another") from e
        self._server.daemon_threads = True
        self.url = f"http://localhost:{self._server.server_address[1]}/{self._secret}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="label-page", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """Who answers."""
        return f"person:{self._by}"

    def ask(self, shown: Shown) -> Answer:
        """Show a pair and wait; which clip stands on the left is chosen by chance, so that a habit cancels out.

        Raises:
            Enough: the person wants to stop.
        """
        turned = bool(int(shown.pair.id, 16) & 1)
        self._number += 1
        self._shown = shown.swapped() if turned else shown
        while True:
            number, key = self._answers.get()
            if number != self._number:
                continue
            if key == STOP:
                raise Enough("whoever answers wants to stop; run again to go on")
            answer = CHOICES[key]
            if turned and answer.p_second in (0.0, 1.0):
                return CHOICES["1"] if answer.outcome == SECOND else CHOICES["2"]
            return answer

    def close(self) -> None:
        """Take the page down. May be called twice."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def _get(self, path: str) -> tuple[int, str, str]:
        """Status, type and text of an address."""
        if path == f"/{self._secret}/number":
            return 200, "text/plain", str(self._number)
        if path != f"/{self._secret}/":
            return 404, "text/plain", "the address of this page holds a secret: copy all of it"
        shown = self._shown
        if shown is None:
            return 200, "text/html", '<meta http-equiv="refresh" content="1">The first pair is being prepared.'
        page = _PAGE.format(
            goal=html.escape(shown.goal), first=_row(shown.first), second=_row(shown.second), number=self._number
        )
        return 200, "text/html", page

    def _post(self, path: str, body: bytes) -> int:
        """Take an answer; the status."""
        if path != f"/{self._secret}/answer":
            return 404
        try:
            data = json.loads(body)
            number, key = int(data["number"]), str(data["key"])
        except (ValueError, TypeError, KeyError):
            return 400
        if key not in (*CHOICES, STOP):
            return 400
        self._answers.put((number, key))
        return 204


def _row(clip: tuple[Image, ...]) -> str:
    return "".join(f'<img alt="" src="{data_uri(image)}">' for image in clip)


def _handler(page: PageLabeler) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, text = page._get(self.path)
            self._reply(status, kind, text.encode())

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            body = self.rfile.read(int(length)) if length.isdecimal() and int(length) <= 1000 else b""
            self._reply(page._post(self.path, body), "text/plain", b"")

        def _reply(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("Referrer-Policy", "no-referrer")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: the terminal shows the progress."""

    return Handler
