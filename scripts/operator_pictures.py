"""Makes the pictures of docs/operator.md: a real console, a real training, a real browser. Takes some minutes.

Usage: PYTHONPATH=. .venv/bin/python scripts/operator_pictures.py [docs/images]
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.console.chromium import launched, open_console

LAPTOP, TABLET = (1280, 800), (1024, 768)
PATIENCE_MS = 300_000


def main(folder: Path) -> None:
    """Go through a session and photograph it."""
    with tempfile.TemporaryDirectory(prefix="rrl") as short, launched() as browser:
        os.environ["XDG_RUNTIME_DIR"] = short
        argv = [sys.executable, "-m", "robot_rl.cli", "console", "--folder", f"{short}/runs", "--port", "0"]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as console:
            assert console.stdout is not None
            lines = (re.search(r"console: (http://\S+)", line) for line in console.stdout)
            url = next(m.group(1) for m in lines if m)
            try:
                session(browser, url, folder)
            finally:
                subprocess.run(["pkill", "-INT", "-f", f"out-dir {short}"], check=False)
                console.send_signal(signal.SIGTERM)
                time.sleep(10.0)  # in which the training saves


def session(browser: Any, url: str, folder: Path) -> None:
    """One person at a laptop, then another at a tablet."""
    laptop = open_console(browser, url, width=LAPTOP[0], height=LAPTOP[1], ready_ms=PATIENCE_MS)
    laptop.evaluate("localStorage.setItem('robot_rl.name', 'Ada')")
    laptop.reload()
    close_notice(laptop)
    laptop.get_by_role("button", name="Take charge").click(timeout=PATIENCE_MS)
    laptop.get_by_role("tab", name="Sessions").click()
    choose(laptop, "Task", "PickCube")
    cameras = laptop.locator("label", has_text="Cameras").locator("xpath=following::input[1]").first
    cameras.fill("side wrist")
    cameras.press("Enter")
    laptop.get_by_role("button", name="Train").click()
    laptop.get_by_role("tab", name="Live").click()
    laptop.wait_for_selector("text=the arm follows the policy", timeout=PATIENCE_MS)
    laptop.wait_for_selector("text=Learner:", timeout=PATIENCE_MS)
    laptop.wait_for_timeout(60_000)
    hold(laptop, "w")
    photograph(laptop, folder / "operator_take_over.png")
    laptop.close()  # in the middle of the take-over; without a graphics card two pages at once take too long
    tablet = open_console(browser, url, width=TABLET[0], height=TABLET[1], touch=True, ready_ms=PATIENCE_MS)
    close_notice(tablet)
    tablet.wait_for_selector("#rrl:has-text('HELD')", timeout=PATIENCE_MS)
    photograph(tablet, folder / "operator_held.png")
    tablet.get_by_role("button", name="Take charge").tap()
    tablet.wait_for_selector("#rrl:has-text('you are in charge')", timeout=PATIENCE_MS)
    photograph(tablet, folder / "operator_tablet.png")
    tablet.close()
    replay(browser, url, folder)
    preferences(browser, url, folder)


def replay(browser: Any, url: str, folder: Path) -> None:
    """Two episodes at once."""
    page = open_console(browser, url, width=LAPTOP[0], height=LAPTOP[1], ready_ms=PATIENCE_MS)
    close_notice(page)
    page.get_by_role("tab", name="Sessions").click()
    page.mouse.move(300, 300)
    photograph(page, folder / "operator_sessions.png")
    page.get_by_role("tab", name="Replay").click()
    for k, label in enumerate(("Show", "From")):
        if k:
            page.get_by_text("Compare with").click()
        page.get_by_role("combobox", name=label, exact=True).click(timeout=PATIENCE_MS)
        page.get_by_role("option").nth(1).click(timeout=PATIENCE_MS)
        page.wait_for_timeout(3000)
    page.get_by_role("combobox", name="Second episode").click(timeout=PATIENCE_MS)
    page.get_by_role("option").nth(3).click(timeout=PATIENCE_MS)
    page.wait_for_timeout(8000)
    photograph(page, folder / "operator_replay.png")
    page.close()


def preferences(browser: Any, url: str, folder: Path) -> None:
    """Clips of the newest recordings are compared."""
    page = open_console(browser, url, width=LAPTOP[0], height=LAPTOP[1], ready_ms=PATIENCE_MS)
    close_notice(page)
    page.get_by_role("button", name="Take charge").click(timeout=PATIENCE_MS)
    page.get_by_role("tab", name="Preferences").click()
    goal = page.locator("label", has_text="Goal").locator("xpath=following::input[1]").first
    goal.fill("the red cube is held in the air by the gripper")
    goal.press("Enter")
    page.get_by_role("button", name="Ask me").click()
    for answered in range(3):
        page.wait_for_selector(f".rrlq:has-text('{answered} of')", timeout=PATIENCE_MS)
        page.locator("[data-rrl-say=same]").click(timeout=PATIENCE_MS)
    page.wait_for_selector(".rrlq:has-text('3 of')", timeout=PATIENCE_MS)
    close_notice(page)
    photograph(page, folder / "operator_preferences.png")
    page.locator("[data-rrl-say=stop]").click(timeout=PATIENCE_MS)
    page.close()


def choose(page: Any, label: str, option: str) -> None:
    """An option of a list."""
    page.get_by_role("combobox", name=label).click(timeout=PATIENCE_MS)
    page.get_by_role("option", name=option, exact=True).click(timeout=PATIENCE_MS)


def close_notice(page: Any) -> None:
    """The page says that there is no graphics card; no reader needs to know."""
    notice = page.locator(".mantine-Notification-closeButton")
    page.wait_for_timeout(3000)
    while notice.count():
        notice.first.click(timeout=PATIENCE_MS)
        page.wait_for_timeout(500)


def hold(page: Any, key: str) -> None:
    """A key goes down and stays there."""
    page.mouse.move(300, 500)
    page.keyboard.down(key)
    page.wait_for_selector("#rrl:has-text('the arm follows you')", timeout=PATIENCE_MS)
    page.wait_for_timeout(1500)


def photograph(page: Any, path: Path) -> None:
    """A picture once the page has had time to draw."""
    page.wait_for_timeout(4000)
    page.screenshot(path=str(path), timeout=PATIENCE_MS)
    print(path, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images"))
