"""A person compares on a page of this machine: one of its own, or the console's.

Both ask the same small server. Its own page is served on this machine alone and only to who has its address, which
holds a secret. From another machine: ``ssh -L PORT:localhost:PORT``. The console comes through a socket in a folder of
this user, where no secret is needed.

Below either address, ``GET question`` answers with what is asked as JSON (``id``, ``goal``, ``answered``, ``of``,
``html``; an empty id between two questions), or with status 204 if ``?seen=`` names the id that is asked still.
``POST answer`` takes JSON: ``id``, ``say``, and ``by`` for who answers; status 204 if it counts, 409 if that question
has gone by.
"""

from __future__ import annotations

import json
import secrets
import socket
import socketserver
import threading
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from robot_rl.core.errors import ConfigError, StorageError
from robot_rl.rewards.labeler_person import SAYINGS, PersonLabeler
from robot_rl.rewards.labeler_view import question_html

MAX_BYTES = 1000
MAX_BY = 40

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Which is nearer to the goal?</title>
<meta name="viewport" content="width=device-width,initial-scale=1">
<style>html,body,main{height:100%;margin:0;background:#1a1d23;color:#e6e8ec;font:16px system-ui,sans-serif}
main>p{margin:0;padding:1rem}</style><main><p>The first pair is being prepared.</p></main>
<script>
const main = document.querySelector("main"); let seen = "";
const asked = () => document.querySelector("[data-rrl-question]");
const tell = (textContent) => main.replaceChildren(Object.assign(document.createElement("p"), {textContent}));
async function say(button) {
  const question = asked();
  if ("rrlSaid" in question.dataset) return;
  question.dataset.rrlSaid = "";
  const body = JSON.stringify({id: question.dataset.rrlQuestion, say: button.dataset.rrlSay});
  await fetch("answer", {method: "POST", body}).catch(() => {});
}
async function look() {
  try {
    const reply = await fetch("question?seen=" + encodeURIComponent(seen));
    if (reply.status === 200) {
      const question = await reply.json();
      if (question.id) { seen = question.id; main.innerHTML = question.html; }
    }
  } catch { tell("Labelling has ended. What was answered is kept."); return; }
  setTimeout(look, 150);
}
addEventListener("keydown", (e) => {
  const button = e.repeat || e.ctrlKey || e.altKey || e.metaKey || !asked() ? null
    : asked().querySelector(`[data-rrl-key="${CSS.escape(e.key.toLowerCase())}"]`);
  if (button) say(button);
});
addEventListener("click", (e) => { const b = e.target.closest("[data-rrl-say]"); if (b) say(b); });
look();
</script></html>"""


class PageLabeler(PersonLabeler):
    """Shows one pair at a time and waits for a person, for as long as it takes.

    Args:
        port: of its own page on this machine; 0 takes any that is free.
        by: who answers there.
        path: of the socket where the console finds it, in a folder that is closed to others; None for none.

    Raises:
        ConfigError: the port is taken.
        StorageError: the socket cannot be made.

    Attributes:
        url: of the page, with its secret.
    """

    def __init__(self, port: int = 0, by: str = "person", path: Path | None = None) -> None:
        super().__init__(by)
        self._view: Mapping[str, Any] = {"id": ""}
        secret = secrets.token_urlsafe(16)
        try:
            servers: list[HTTPServer] = [ThreadingHTTPServer(("127.0.0.1", port), _handler(self, f"/{secret}/"))]
        except OSError as e:
            raise ConfigError(f"the page for labelling cannot use port {port} ({e.strerror}): choose another") from e
        self.url = f"http://localhost:{servers[0].server_address[1]}/{secret}/"
        if path is not None:
            try:
                servers.append(_SocketServer(path, self))
            except OSError as e:
                servers[0].server_close()
                raise StorageError(f"cannot make the socket {path} for the console: {e.strerror or e}") from e
        self._path = path
        self._served = [(server, _served(server)) for server in servers]

    def close(self) -> None:
        """Take the page down. May be called twice."""
        super().close()
        for server, thread in self._served:
            if thread.is_alive():
                server.shutdown()
                thread.join()
            server.server_close()
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _question(self) -> Mapping[str, Any]:
        """What is asked now, for a page; the pictures of a question are packed once."""
        asked = self.asked
        if asked is None:
            return {"id": ""}
        view = self._view
        if view["id"] != asked.id:
            shown = asked.shown
            facts = {"id": asked.id, "goal": shown.goal, "answered": shown.answered, "of": shown.of}
            self._view = view = {**facts, "html": question_html(asked)}
        return view

    def _answer(self, body: bytes) -> int:
        """Take an answer; the status."""
        try:
            data = json.loads(body)
            question, saying, by = str(data["id"]), str(data["say"]), str(data.get("by", ""))
        except (ValueError, TypeError, KeyError, AttributeError):
            return 400
        if saying not in SAYINGS:
            return 400
        who = " ".join("".join(c if c.isprintable() else " " for c in by).split())[:MAX_BY]
        return 204 if self.say(question, saying, who) else 409


class _SocketServer(socketserver.ThreadingMixIn, HTTPServer):
    """The same on a socket in a folder."""

    address_family = socket.AF_UNIX
    daemon_threads = True

    def __init__(self, path: Path, page: PageLabeler) -> None:
        path.unlink(missing_ok=True)
        super().__init__(str(path), _handler(page, "/"))  # type: ignore[arg-type]

    def server_bind(self) -> None:
        """Without the name of a host, which a path has not."""
        socketserver.TCPServer.server_bind(self)


def _served(server: HTTPServer) -> threading.Thread:
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="label-page", daemon=True)
    thread.start()
    return thread


def _handler(page: PageLabeler, base: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if url.path == base:
                self._reply(200, "text/html", _PAGE.encode())
            elif url.path == f"{base}question":
                question = page._question()
                seen = parse_qs(url.query).get("seen", [""])[0]
                if seen == question["id"]:
                    self._reply(204, "text/plain", b"")
                else:
                    self._reply(200, "application/json", json.dumps(question).encode())
            else:
                self._reply(404, "text/plain", b"the address of this page holds a secret: copy all of it")

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            body = self.rfile.read(int(length)) if length.isdecimal() and int(length) <= MAX_BYTES else b""
            self._reply(page._answer(body) if self.path == f"{base}answer" else 404, "text/plain", b"")

        def _reply(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("Referrer-Policy", "no-referrer")
            self.end_headers()
            with suppress(BrokenPipeError, ConnectionResetError):  # whoever asked has left
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: the terminal shows the progress."""

    return Handler
