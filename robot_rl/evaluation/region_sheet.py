"""A picture with rulers and a region in it, beside what a network would see of either."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw

from robot_rl.core.crops import Crop
from robot_rl.core.errors import StorageError
from robot_rl.core.types import Array, Image
from robot_rl.hardware.cameras.picture import fit

_TALL_PX, _EDGE_PX, _GAP_PX = 480, 34, 16
_INK, _PAPER, _MARK, _DOT = (40, 44, 52), (250, 250, 248), (0, 150, 60), (230, 0, 160)


class View(NamedTuple):
    """One camera on the sheet.

    Attributes:
        name: of the camera.
        image: ``uint8[H, W, 3]``.
        region: left, top, width, height in it.
        usual: what a network sees of it without the region.
        pixels: columns and rows ``[n, 2]`` of what must stay in view.
    """

    name: str
    image: Image
    region: Crop
    usual: Crop
    pixels: Array


def write_sheet(views: Sequence[View], size_px: int, path: Path) -> Path:
    """Write a PNG with one row a camera: the picture with rulers, what a network sees now, and with the region.

    Args:
        views: the rows.
        size_px: height and width of what the network sees.
        path: of the file.

    Raises:
        StorageError: it cannot be written.
    """
    rows = [_row(view, size_px) for view in views]
    sheet = Pillow.new("RGB", (max(r.width for r in rows), sum(r.height for r in rows)), _PAPER)
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(path, "PNG")
    except OSError as e:
        raise StorageError(f"cannot write the picture {path}: {e.strerror or e}") from e
    return path


def _row(view: View, size_px: int) -> Pillow.Image:
    whole = _ruled(view)
    row = Pillow.new("RGB", (whole.width + 2 * (_TALL_PX + _GAP_PX), whole.height), _PAPER)
    row.paste(whole, (0, 0))
    draw = ImageDraw.Draw(row)
    left, top, width, height = view.region
    for n, (crop, text) in enumerate(
        (
            (view.usual, f"{view.name}: what {size_px} px show of all"),
            (view.region, f"{view.name}: what they show of {left} {top} {width} {height}"),
        )
    ):
        seen = Pillow.fromarray(fit(view.image, crop, (size_px, size_px)))
        x = whole.width + n * (_TALL_PX + _GAP_PX)
        row.paste(seen.resize((_TALL_PX, _TALL_PX), Pillow.Resampling.NEAREST), (x, _EDGE_PX))
        draw.text((x, 10), text, fill=_INK)
    return row


def _ruled(view: View) -> Pillow.Image:
    """The picture, 480 pixels tall, with a grid, rulers in its own pixels, the region and what must stay in view."""
    height, width = view.image.shape[:2]
    scale = _TALL_PX / height
    size = (round(width * scale), _TALL_PX)
    out = Pillow.new("RGB", (size[0] + _EDGE_PX + _GAP_PX, size[1] + _EDGE_PX + _GAP_PX), _PAPER)
    picture = Pillow.fromarray(view.image).resize(size, Pillow.Resampling.NEAREST)
    step = _step(height)
    draw = ImageDraw.Draw(picture, "RGBA")
    for x in range(0, width, step):
        draw.line([(x * scale, 0), (x * scale, size[1])], fill=(255, 255, 255, 70))
    for y in range(0, height, step):
        draw.line([(0, y * scale), (size[0], y * scale)], fill=(255, 255, 255, 70))
    for x, y in view.pixels[np.isfinite(view.pixels).all(axis=1)]:
        draw.ellipse([x * scale - 1, y * scale - 1, x * scale + 1, y * scale + 1], fill=(*_DOT, 120))
    left, top, wide, high = (v * scale for v in view.region)
    draw.rectangle([left, top, left + wide - 1, top + high - 1], outline=(*_MARK, 255), width=3)
    out.paste(picture, (_EDGE_PX, _EDGE_PX))
    draw = ImageDraw.Draw(out)
    for x in range(0, width, 2 * step):
        draw.text((_EDGE_PX + x * scale, 10), str(x), fill=_INK)
    for y in range(0, height, 2 * step):
        draw.text((2, _EDGE_PX + y * scale - 5), str(y), fill=_INK)
    return out


def _step(height: int) -> int:
    """Pixels between two lines of the grid: 12 of them or fewer, a round number."""
    return next(s for s in (1, 2, 5, 10, 20, 40, 50, 100, 200, 400, 500, 1000) if height <= 12 * s)
