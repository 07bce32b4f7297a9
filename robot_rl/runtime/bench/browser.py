"""How long it takes from a key in a browser to the target of the simulated arm."""

from __future__ import annotations

import io
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from robot_rl.core.errors import ConfigError
from robot_rl.core.types import TeleopState
from robot_rl.hardware.takeover import TakeOver
from robot_rl.runtime.attend.link import OperatorLink, attend
from robot_rl.runtime.attend.messages import ActorStatus
from robot_rl.runtime.attend.post import OperatorPost
from robot_rl.runtime.bench import acting
from robot_rl.runtime.bench.acting import Hand

TIMEOUT_S = 5.0
READY_MS = 60_000
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# A screen is not there, so the view is drawn by the processor.
ARGUMENTS = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")


class Page:
    """The console's page in a real browser, whose reader is in charge."""

    def __init__(self, page: Any, front: Any, teleop: Any) -> None:
        self._page, self._front = page, front
        self.teleop = teleop

    def hand(self) -> Hand:
        """Two fingers that press opposite keys in turn."""
        down = ""

        def push(i: int) -> None:
            nonlocal down
            down = "w" if i % 2 else "s"
            self._page.keyboard.down(down)

        return Hand(push, lambda: self._page.keyboard.up(down), self._front.began_s)


@contextmanager
def open_page() -> Iterator[Page]:
    """A console with an empty view, opened in Chromium.

    Raises:
        ConfigError: Chromium, Playwright or the console's extra is missing.
    """
    library, path = _playwright(), _chromium()
    try:
        viser = import_module("viser")
        from robot_rl.console.browser import BrowserTeleop
        from robot_rl.console.door import Door
        from robot_rl.console.door_messages import Act
        from robot_rl.console.front import TAKE
        from robot_rl.runtime.bench.browser_front import WatchedFront
    except ModuleNotFoundError as e:
        if e.name is None or e.name.startswith("robot_rl"):
            raise
        raise ConfigError(f"the browser needs {e.name}: pip install 'robot-rl[console]'") from e
    with ExitStack() as stack:
        with redirect_stdout(io.StringIO()):  # it says hello, and goodbye
            viewer = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
        stack.callback(_stop, viewer)
        viewer.on_client_connect(_mark)
        teleop = BrowserTeleop()
        front = WatchedFront(teleop)
        door = stack.enter_context(closing(Door(viewer.get_port(), front, port=0)))
        playwright = stack.enter_context(library.sync_playwright())
        browser = stack.enter_context(closing(playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))))
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(door.url)
        page.wait_for_selector("#rrl .name:not(:empty)", timeout=READY_MS)
        front.act(front.desk.seating.guests[0].client, Act(TAKE))
        page.wait_for_selector("#rrl .who:text('you are in charge')", timeout=READY_MS)
        yield Page(page, front, teleop)


def times_to_read(page: Page, n: int, rng: np.random.Generator) -> list[float]:
    """From a key's going down to the first reading of the device that says so, in s.

    Raises:
        DeviceError: it did not arrive.
    """
    hand, found = page.hand(), []
    for i in range(n):
        time.sleep(rng.uniform(0.01, 0.02))
        reading = _Reading(page)
        hand.push(i)
        found.append(reading.wait() - hand.began_s())
        hand.rest()
        acting.wait(lambda: not page.teleop.read().engaged, TIMEOUT_S)
    return found


def times_to_target(page: Page, n: int, hz: float, rng: np.random.Generator) -> list[float]:
    """From a key's going down to the target of the simulated arm, by way of the actor's socket as in a session, in s.

    Raises:
        DeviceError: it did not arrive.
    """
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        path = Path(folder) / "actor.sock"
        post = stack.enter_context(closing(_Post(path)))
        stack.enter_context(_attending(page, path))
        return acting.times_to_target(post, page.hand(), n, hz, rng, timeout_s=TIMEOUT_S)


class _Reading(threading.Thread):
    """Reads the device while the thread of the page is busy with the key."""

    def __init__(self, page: Page) -> None:
        super().__init__(name="bench-reading")
        self._page, self._found_s = page, 0.0
        self.start()

    def run(self) -> None:
        end_s = time.perf_counter() + TIMEOUT_S
        while not self._page.teleop.read().engaged and time.perf_counter() < end_s:
            time.sleep(acting.POLL_S)
        self._found_s = time.perf_counter()

    def wait(self) -> float:
        self.join()
        acting.wait(lambda: self._page.teleop.read().engaged, TIMEOUT_S)
        return self._found_s


class _Post:
    """Where the operator attends, which also answers as an actor does."""

    def __init__(self, path: Path) -> None:
        self._post = OperatorPost(path)

    def read(self) -> TeleopState:
        state = self._post.read()
        self._post.tell(ActorStatus(engaged=state.engaged))
        return state

    def close(self) -> None:
        self._post.close()


@contextmanager
def _attending(page: Page, path: Path) -> Iterator[None]:
    ended = threading.Event()

    def run() -> None:
        with closing(OperatorLink(path, "bench")) as link:
            attend(link, TakeOver(page.teleop).read, lambda status: None, ended.is_set)

    thread = threading.Thread(target=run, name="bench-attending")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _stop(viewer: Any) -> None:
    with redirect_stdout(io.StringIO()):
        viewer.stop()


def _mark(client: Any) -> None:
    """Let the page know which client it is."""
    client.gui.add_html(f'<span data-rrl-client="{client.client_id}"></span>')


def _playwright() -> Any:
    try:
        return import_module("playwright.sync_api")
    except ModuleNotFoundError as e:
        raise ConfigError(f"the browser needs Playwright ({e}): pip install playwright") from e


def _chromium() -> str:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        raise ConfigError(f"the browser needs Chromium: none of {', '.join(BROWSERS)} is on the path")
    return found
