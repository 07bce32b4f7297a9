"""What happens to a picture between the sensor and whoever looks at it: crop, shrink, JPEG."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image as Pillow

from robot_rl.core.crops import Crop
from robot_rl.core.types import Image

JPEG_QUALITY = 90


def fit(image: Image, crop: Crop | None, size: tuple[int, int] | None) -> Image:
    """Cut out and resize; each new pixel is the mean of those that it covers, so small things do not flicker.

    Args:
        image: ``uint8[H, W, 3]``.
        crop: left, top, width, height in pixels; None for all of it.
        size: height and width of the result; None keeps the size. A different aspect ratio stretches.

    Returns:
        ``uint8[h, w, 3]`` that shares no memory with `image`.
    """
    height, width = image.shape[:2]
    left, top, crop_width, crop_height = crop or (0, 0, width, height)
    part = np.ascontiguousarray(image[top : top + crop_height, left : left + crop_width])
    if size is None or size == (crop_height, crop_width):
        return part.copy() if np.shares_memory(part, image) else part
    return np.asarray(Pillow.fromarray(part).resize((size[1], size[0]), Pillow.Resampling.BOX))


def encode_jpeg(image: Image, quality: int = JPEG_QUALITY) -> bytes:
    """A JPEG file of a picture ``uint8[H, W, 3]`` RGB; `quality` is 1 to 95."""
    buffer = io.BytesIO()
    Pillow.fromarray(image).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
