"""Regions of pictures: they hold what they must, lie in the picture, and mean the same in another picture's pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image as Pillow

from robot_rl.core.errors import ConfigError, DataError, StorageError
from robot_rl.core.types import Array
from robot_rl.evaluation.region_sheet import View, write_sheet
from robot_rl.evaluation.regions import check_region, enclosing_region, moving_pixels, region_in

SIDES = st.integers(16, 300)
POINTS = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 20), st.just(2)), elements=st.floats(-100, 400) | st.just(np.nan)
)


@given(POINTS, SIDES, SIDES, st.floats(0.0, 1.0))
def test_the_region_holds_all_that_is_seen_and_lies_in_the_picture(
    pixels: Array, height: int, width: int, margin: float
) -> None:
    seen = np.array([p for p in pixels if 0 <= p[0] <= width and 0 <= p[1] <= height])
    if len(seen) == 0:
        with pytest.raises(DataError, match="nothing that should stay in view"):
            enclosing_region(pixels, height, width, margin)
        return
    region = enclosing_region(pixels, height, width, margin)
    left, top, wide, high = check_region("side", region, height, width)
    assert wide in (high, width) or high == height, "square as far as the picture allows"
    low, far = seen.min(axis=0), seen.max(axis=0)
    assert left <= low[0] and top <= low[1]
    # A square of whole pixels may start up to one pixel early.
    assert left + wide >= far[0] - 1 and top + high >= far[1] - 1
    assert wide <= max((1 + 2 * margin) * (far - low).max(), 16) + 1


@given(st.integers(0, 40), st.integers(0, 40), st.integers(3, 20), st.integers(0, 3))
def test_what_moves_is_found_in_spite_of_noise(left: int, top: int, size: int, noise: int) -> None:
    rng = np.random.default_rng(size)
    frames = []
    for n in range(4):
        frame = np.full((64, 64, 3), 90.0)
        frame[top : top + size, left + n : left + n + size] = 220.0
        frames.append(np.clip(frame + noise * rng.standard_normal(frame.shape), 0, 255).astype(np.uint8))
    low, high = moving_pixels(frames)
    assert low == pytest.approx([left, top], abs=1.5)
    assert high == pytest.approx([min(left + size + 2, 63), min(top + size - 1, 63)], abs=1.5)


def test_pictures_in_which_nothing_moves_say_so() -> None:
    still = np.full((32, 32, 3), 90, np.uint8)
    with pytest.raises(DataError, match="nothing moved"):
        moving_pixels([still, still])
    with pytest.raises(DataError, match="got 1 pictures"):
        moving_pixels([still])


@given(st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(8, 60)] * 2), SIDES, SIDES)
def test_a_region_of_a_cropped_and_resized_picture_is_one_of_the_device(
    region: tuple[int, int, int, int], height: int, width: int
) -> None:
    assume(region[0] + region[2] <= 128 and region[1] + region[3] <= 128)
    shown = (40, 30, width, height)
    left, top, wide, high = region_in(region, (128, 128), shown)
    assert 40 <= left <= 40 + width and 30 <= top <= 30 + height
    assert abs(wide / width - region[2] / 128) <= 1 / width and abs(high / height - region[3] / 128) <= 1 / height
    assert region_in((0, 0, 128, 128), (128, 128), shown) == shown


@pytest.mark.parametrize("region", [(-1, 0, 20, 20), (0, 0, 0, 20), (50, 0, 60, 20), (0, 90, 20, 20)])
def test_a_region_outside_of_its_picture_is_refused(region: tuple[int, int, int, int]) -> None:
    with pytest.raises(ConfigError, match="of side does not lie in its picture of 100x100"):
        check_region("side", region, 100, 100)


@settings(max_examples=8)
@given(st.integers(16, 700), st.integers(16, 700), st.integers(16, 256))
def test_any_picture_fits_on_the_sheet(tmp_path_factory: pytest.TempPathFactory, h: int, w: int, size_px: int) -> None:
    image = np.zeros((h, w, 3), np.uint8)
    view = View("side", image, (0, 0, w // 2, h // 2), (0, 0, w, h), np.array([[1.0, 2.0], [np.nan, 3.0]]))
    file = write_sheet([view, view], size_px, tmp_path_factory.getbasetemp() / "sheet.png")
    with Pillow.open(file) as sheet:
        assert sheet.height > 2 * 480 and sheet.width > 2 * 480


def test_a_sheet_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    image = np.zeros((16, 16, 3), np.uint8)
    with pytest.raises(StorageError, match="cannot write the picture"):
        write_sheet([View("a", image, (0, 0, 9, 9), (0, 0, 16, 16), np.empty((0, 2)))], 16, tmp_path / "file" / "x.png")
