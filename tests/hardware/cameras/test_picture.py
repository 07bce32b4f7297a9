from __future__ import annotations

import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from robot_rl.core.types import Image
from robot_rl.hardware.cameras.picture import encode_jpeg, fit

Crop = tuple[int, int, int, int]


@st.composite
def pictures(draw: st.DrawFn) -> Image:
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    return np.random.default_rng(draw(st.integers(0, 99))).integers(0, 256, (height, width, 3), np.uint8)


@st.composite
def cropped(draw: st.DrawFn) -> tuple[Image, Crop]:
    image = draw(pictures())
    height, width, _ = image.shape
    left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return image, (left, top, draw(st.integers(1, width - left)), draw(st.integers(1, height - top)))


SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))


@given(cropped(), SIZES)
def test_the_result_has_the_size_asked_for_and_memory_of_its_own(
    item: tuple[Image, Crop], size: tuple[int, int]
) -> None:
    image, crop = item
    for out in (fit(image, crop, size), fit(image, None, size)):
        assert out.shape == (*size, 3)
        assert out.dtype == np.uint8
        assert out.flags.c_contiguous
        assert not np.shares_memory(out, image)


@given(cropped())
def test_cropping_alone_changes_no_pixel(item: tuple[Image, Crop]) -> None:
    image, (left, top, width, height) = item
    out = fit(image, (left, top, width, height), None)
    np.testing.assert_array_equal(out, image[top : top + height, left : left + width])
    assert not np.shares_memory(out, image)


@given(pictures())
def test_nothing_to_do_is_a_copy(image: Image) -> None:
    out = fit(image, None, None)
    np.testing.assert_array_equal(out, image)
    assert not np.shares_memory(out, image)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 5), st.integers(0, 99))
def test_a_new_pixel_is_the_mean_of_the_block_it_covers(height: int, width: int, factor: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height * factor, width * factor, 3), np.uint8)
    mean = image.reshape(height, factor, width, factor, 3).mean((1, 3))
    assert np.abs(fit(image, None, (height, width)) - mean).max() <= 1.0


@given(cropped(), SIZES)
def test_no_colour_is_brighter_or_darker_than_all_it_came_from(item: tuple[Image, Crop], size: tuple[int, int]) -> None:
    image, (left, top, width, height) = item
    part, out = image[top : top + height, left : left + width], fit(image, (left, top, width, height), size)
    assert (out >= part.min((0, 1))).all()
    assert (out <= part.max((0, 1))).all()


def test_a_jpeg_looks_like_its_picture() -> None:
    rows, columns = np.mgrid[0:96, 0:128]
    image = np.stack([2 * columns, 2 * rows, 255 - columns], -1).astype(np.uint8)
    data = encode_jpeg(image)
    out = np.asarray(Pillow.open(io.BytesIO(data)))
    assert len(data) < image.size / 4
    assert out.shape == image.shape
    assert np.abs(out.astype(int) - image).mean() < 3.0
