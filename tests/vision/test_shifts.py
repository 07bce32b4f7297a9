"""Shifted copies follow from the picture alone, and are shifts."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.vision.shifts import SHIFT, shifted_copies


@given(st.integers(1, 6), st.integers(8, 70), st.integers(8, 70), st.integers(0, 1000))
def test_every_copy_is_the_picture_shifted_a_little(copies: int, height: int, width: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    out = shifted_copies(image, copies)
    assert out.shape == (copies, height, width, 3) and out.dtype == np.uint8
    np.testing.assert_array_equal(out[0], image)
    np.testing.assert_array_equal(out, shifted_copies(image.copy(), copies))
    reach = max(1, round(SHIFT * height))
    rows, columns = np.arange(height), np.arange(width)
    for copy in out[1:]:
        shifts = [
            (dy, dx)
            for dy in range(-reach, reach + 1)
            for dx in range(-reach, reach + 1)
            if np.array_equal(copy, image[np.clip(rows + dy, 0, height - 1)][:, np.clip(columns + dx, 0, width - 1)])
        ]
        assert shifts


def test_copies_of_different_pictures_are_shifted_differently() -> None:
    moved = set()
    for seed in range(20):
        image = np.random.default_rng(seed).integers(0, 256, (128, 128, 3)).astype(np.uint8)
        copy = shifted_copies(image, 2)[1]
        moved.update(
            (dy, dx)
            for dy in range(-4, 5)
            for dx in range(-4, 5)
            if np.array_equal(copy[8:-8, 8:-8], image[8 + dy : 120 + dy, 8 + dx : 120 + dx])
        )
    assert len(moved) > 10
