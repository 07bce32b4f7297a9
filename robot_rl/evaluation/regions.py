"""The part of a camera's picture that matters: from points that must stay in view, or from what moved."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robot_rl.core.crops import Crop
from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.types import Array, Image

SMALLEST_PX = 16
_NOISE_TIMES = 8.0


def enclosing_region(pixels: Array, height: int, width: int, margin: float = 0.1) -> Crop:
    """The smallest square region, as far as the picture allows, with all points that lie in the picture.

    Args:
        pixels: columns and rows ``[n, 2]``; nan and what lies outside of the picture do not count.
        height: of the picture.
        width: of the picture.
        margin: added on each side, as a share of the region's longer side.

    Returns:
        Left, top, width, height in whole pixels.

    Raises:
        DataError: no point lies in the picture.
    """
    with np.errstate(invalid="ignore"):
        inside = np.all((pixels >= 0.0) & (pixels <= [width, height]), axis=1)
    if not inside.any():
        raise DataError("nothing that should stay in view is seen by this camera: give the region with --roi")
    low, high = pixels[inside].min(axis=0), pixels[inside].max(axis=0)
    side = max(float((high - low).max()) * (1.0 + 2.0 * margin), float(SMALLEST_PX))
    sides = np.minimum(np.ceil(side), [width, height])
    corner = np.clip(np.floor(0.5 * (low + high - sides)), 0.0, np.array([width, height]) - sides)
    left, top, wide, high_px = (int(v) for v in (*corner, *sides))
    return left, top, wide, high_px


def check_region(name: str, region: Crop, height: int, width: int) -> Crop:
    """The region, if it lies in the picture.

    Raises:
        ConfigError: it does not.
    """
    left, top, wide, high = region
    if min(left, top) < 0 or min(wide, high) < 1 or left + wide > width or top + high > height:
        raise ConfigError(f"the region {list(region)} of {name} does not lie in its picture of {width}x{height}")
    return region


def moving_pixels(frames: Sequence[Image]) -> Array:
    """Columns and rows ``[n, 2]`` of pixels that changed by far more than the picture's noise does.

    Args:
        frames: ``uint8[H, W, 3]`` each, in their order in time.

    Raises:
        DataError: there are fewer than two frames, or nothing changed.
    """
    if len(frames) < 2:
        raise DataError(f"got {len(frames)} pictures, expected at least 2 to see what moves")
    stack = np.stack([f.astype(np.float32).mean(axis=2) for f in frames])
    change = np.abs(np.diff(stack, axis=0)).max(axis=0)
    threshold = max(_NOISE_TIMES * float(np.median(change)), 8.0)
    rows, columns = np.nonzero(change > threshold)
    if len(rows) == 0:
        raise DataError("nothing moved in these pictures: give the region with --roi")
    # A pixel far from all others is noise that got through.
    cut = np.percentile(np.stack([columns, rows], axis=1), [0.5, 99.5], axis=0)
    return np.asarray(cut, np.float64)


def region_in(region: Crop, picture: tuple[int, int], shown: Crop) -> Crop:
    """The same region in the pixels of the picture from which this one was cut and resized.

    Args:
        region: left, top, width, height in the picture at hand.
        picture: height and width of it.
        shown: what of the other picture it shows.
    """
    height, width = picture
    left, top, wide, high = shown
    x, y = wide / width, high / height
    return (
        left + round(region[0] * x),
        top + round(region[1] * y),
        max(round(region[2] * x), 1),
        max(round(region[3] * y), 1),
    )
