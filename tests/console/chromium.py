"""A real Chromium without a screen, for tests that open the console as a person does."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from robot_rl.runtime.bench.browser import ARGUMENTS, BROWSERS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

READY_MS = 30_000


def executable() -> str | None:
    """Path of the browser; None if there is none."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def require() -> str:
    """Path of the browser; skips the test where that or Playwright is missing."""
    pytest.importorskip("playwright", reason="needs Playwright: pip install playwright")
    found = executable()
    if found is None:
        pytest.skip(f"needs Chromium: one of {', '.join(BROWSERS)} on the path")
    return found


@contextmanager
def launched() -> Iterator[Browser]:
    """A browser that is closed at the end."""
    path = require()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


def open_console(
    browser: Browser, url: str, *, width: int = 900, height: int = 600, touch: bool = False, ready_ms: float = READY_MS
) -> Page:
    """A page of its own, as another person's, once the console knows it."""
    page = browser.new_context(viewport={"width": width, "height": height}, has_touch=touch, is_mobile=touch).new_page()
    page.goto(url)
    page.wait_for_selector("#rrl .name:not(:empty)", timeout=ready_ms)
    return page


def until(page: Page, condition: Callable[[], Any], seconds: float = 10.0) -> None:
    """Let the page live until something is true.

    Raises:
        AssertionError: it was not in time.
    """
    for _ in range(int(seconds / 0.02)):
        if condition():
            return
        page.wait_for_timeout(20)
    raise AssertionError(f"it did not come true within {seconds:g} s")
