from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.hardware.cameras.intrinsics import Intrinsics, pinhole
from robot_rl.hardware.cameras.picture import fit

UNIT = st.floats(0.05, 1.0)


def test_a_pinhole_sees_its_field_of_view() -> None:
    camera = pinhole(90.0, 640, 480)
    edge = camera.pixel(np.array([0.0, 1.0, 1.0]))
    np.testing.assert_allclose((camera.fx, camera.fy), 240.0)
    # The lower border lies half a pixel below the centre of the last row.
    np.testing.assert_allclose(edge, (319.5, 479.5))


@given(UNIT, UNIT, UNIT, UNIT, st.integers(16, 300), st.integers(16, 300))
def test_a_spot_is_where_the_fitted_intrinsics_say(a: float, b: float, c: float, d: float, w: int, h: int) -> None:
    whole = Intrinsics(640, 480, 600.0, 610.0, 322.0, 238.0)
    left, top = int(320 * a), int(240 * b)
    crop = (left, top, max(16, int((640 - left) * c)), max(16, int((480 - top) * d)))
    fitted = whole.fitted(crop, (h, w))
    # A border between two halves of the picture stays a border wherever cropping and resizing put it.
    column, row = left + crop[2] // 2, top + crop[3] // 2
    ray = np.array([(column - 0.5 - whole.cx) / whole.fx, (row - 0.5 - whole.cy) / whole.fy, 1.0])
    image = np.zeros((480, 640, 3), np.uint8)
    image[:, column:, 0] = 255
    image[row:, :, 1] = 255
    out = fit(image, crop, (h, w)).astype(float).mean((0, 1)) / 255
    seen_column, seen_row = fitted.pixel(ray)
    # To half a pixel of the coarser grid: each pixel goes to one of the new ones, never to two.
    np.testing.assert_allclose(1 - (seen_column + 0.5) / w, out[0], atol=0.01 + 0.5 / min(w, crop[2]))
    np.testing.assert_allclose(1 - (seen_row + 0.5) / h, out[1], atol=0.01 + 0.5 / min(h, crop[3]))
    assert (fitted.width, fitted.height) == (w, h)


def test_all_of_it_at_its_size_is_the_same() -> None:
    whole = Intrinsics(64, 48, 60.0, 61.0, 32.0, 23.0, "plumb_bob", (0.1, 0.0, 0.0, 0.0, 0.0))
    assert whole.fitted(None, None) == whole
