"""Pictures of a page as a headless Chromium draws it, also on machines without a graphics card."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from tests.console.chromium import launched

if TYPE_CHECKING:
    from playwright.sync_api import Page

Picture = npt.NDArray[np.uint8]

LAPTOP, TABLET, SMALL = (1280, 800), (1024, 768), (500, 400)
POLL_MS, PATIENCE_S = 250, 120.0


@contextmanager
def open_page(url: str, size: tuple[int, int] = LAPTOP, *, dark: bool = False) -> Iterator[Page]:
    """A page with a 3-D view, closed at the end; skips the test where there is no browser."""
    with launched() as browser:
        page = browser.new_page(
            viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light"
        )
        page.goto(url)
        page.wait_for_selector("canvas", timeout=1e3 * PATIENCE_S)
        yield page


def picture(page: Page, save: Path | None = None, *, until: Callable[[Picture], bool] | None = None) -> Picture:
    """What the page shows, ``uint8[H, W, 3]``; written to a file if wanted.

    Without a graphics card a page takes seconds to draw, so pictures are taken until one is as it should be, or by
    default until two in a row are equal; after two minutes the last one is answered.
    """
    end_s, before = time.monotonic() + PATIENCE_S, b""
    while True:
        page.wait_for_timeout(POLL_MS)
        data = page.screenshot(timeout=1e3 * PATIENCE_S)
        image = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        settled = data == before if until is None else until(image)
        before = data
        if settled or time.monotonic() > end_s:
            if save is not None:
                save.write_bytes(data)
            return image
