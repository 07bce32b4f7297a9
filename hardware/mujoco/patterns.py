"""Random patterns for surfaces of the simulated scene."""

from __future__ import annotations

import numpy as np
from PIL import Image as Pillow

from robot_rl.core.types import Array, Image


def random_pattern(rng: np.random.Generator, height: int, width: int) -> Image:
    """Checks, stripes, a gradient or clouds between two random colours.

    Args:
        rng: decides all of it.
        height: in pixels.
        width: in pixels.

    Returns:
        ``uint8[height, width, 3]``.
    """
    first, second = rng.uniform(0.15, 1.0, (2, 3))
    kind = (_checks, _stripes, _gradient, _clouds)[rng.integers(4)]
    share = kind(rng, height, width)[..., None]
    return np.asarray(255.0 * (share * first + (1.0 - share) * second), np.uint8)


def _checks(rng: np.random.Generator, height: int, width: int) -> Array:
    fields = rng.integers(2, 12)
    y, x = np.mgrid[:height, :width]
    return np.asarray((y * fields // height + x * fields // width) % 2, np.float64)


def _stripes(rng: np.random.Generator, height: int, width: int) -> Array:
    along, waves = rng.uniform(0.0, np.pi), rng.uniform(2.0, 12.0)
    y, x = np.mgrid[:height, :width]
    return np.asarray(np.sin(2 * np.pi * waves * (y / height * np.sin(along) + x / width * np.cos(along))) > 0.0) * 1.0


def _gradient(rng: np.random.Generator, height: int, width: int) -> Array:
    along = rng.uniform(0.0, 2 * np.pi)
    y, x = np.mgrid[:height, :width]
    slope = (y / height - 0.5) * np.sin(along) + (x / width - 0.5) * np.cos(along)
    return np.asarray(np.clip(0.5 + slope, 0.0, 1.0), np.float64)


def _clouds(rng: np.random.Generator, height: int, width: int) -> Array:
    cells = int(rng.integers(3, 16))
    coarse = Pillow.fromarray(rng.random((cells, cells)).astype(np.float32))
    return np.clip(np.asarray(coarse.resize((width, height), Pillow.Resampling.BICUBIC), np.float64), 0.0, 1.0)
