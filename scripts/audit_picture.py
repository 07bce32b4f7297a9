"""Take the picture of an audit page for docs/classifiers.md, with the Chromium that is on the path.

Usage: .venv/bin/python scripts/audit_picture.py AUDIT.html
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from robot_rl.runtime.bench.browser import ARGUMENTS, BROWSERS

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "classifier_audit.png"
WIDTH_PX, HEIGHT_PX = 1160, 1500


def main(page_file: Path) -> None:
    """Write the upper part of the page into docs/images.

    Args:
        page_file: as ``robot-rl reward audit`` wrote it.
    """
    browser_file = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser_file is None:
        sys.exit(f"needs Chromium: one of {', '.join(BROWSERS)} on the path")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_file, args=list(ARGUMENTS))
        page = browser.new_page(viewport={"width": WIDTH_PX, "height": HEIGHT_PX})
        page.goto(page_file.absolute().as_uri())
        page.screenshot(path=PICTURE)
        browser.close()
    print(PICTURE)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
