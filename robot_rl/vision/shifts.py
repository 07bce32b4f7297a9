"""Shifted copies of a picture, for features that are computed once: what random shifts do to pictures in an update.

A frozen encoder is too dear to run on a newly shifted picture in every update, so each picture is shown to it some
times, shifted differently, and an update draws one of the results. After the random shift of DrQ-v2 (Yarats et al.
2021, arXiv 2107.09645, section 3.1).
"""

from __future__ import annotations

import zlib

import numpy as np

from robot_rl.core.types import Image

SHIFT = 4 / 128
"""Largest shift as a share of the picture's height."""


def shifted_copies(image: Image, copies: int) -> Image:
    """The picture as it is, and shifted by up to `SHIFT` in both directions, edges repeated.

    The shifts follow from the picture alone, so that whoever computes them again gets the same.

    Args:
        image: ``uint8[H, W, 3]``.
        copies: how many in all, at least 1.

    Returns:
        ``uint8[copies, H, W, 3]``, the first of them the picture itself.
    """
    height, width = image.shape[:2]
    reach = max(1, round(SHIFT * height))
    out = np.empty((copies, *image.shape), np.uint8)
    out[0] = image
    if copies == 1:
        return out
    rng = np.random.default_rng(zlib.crc32(image.tobytes()))
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    offsets = rng.integers(2 * reach + 1, size=(copies - 1, 2))
    for k, (top, left) in enumerate(offsets.tolist(), 1):
        out[k] = padded[top : top + height, left : left + width]
    return out
