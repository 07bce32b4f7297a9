"""One way from a picture to a model, and its value that travels with the model."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.vision.preprocess import PreprocessSpec, cropped, preprocess, resized

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


def _pictures(n: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, 3)).astype(np.uint8)


@st.composite
def specs(draw: st.DrawFn) -> PreprocessSpec:
    edge = st.integers(0, 20)
    left, top = draw(edge), draw(edge)
    right, bottom = draw(st.integers(left + 1, 21)), draw(st.integers(top + 1, 21))
    return PreprocessSpec(
        draw(st.integers(1, 40)),
        (left / 21, top / 21, right / 21, bottom / 21),
        draw(st.sampled_from(["squash", "pad"])),
        draw(st.sampled_from(["bilinear", "bicubic"])),
        draw(st.tuples(*[st.floats(0, 1)] * 3)),
        draw(st.tuples(*[st.floats(0.1, 1)] * 3)),
    )


@given(specs())
def test_a_spec_survives_json(spec: PreprocessSpec) -> None:
    again = PreprocessSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert again == spec and again.checksum == spec.checksum


@given(specs(), specs())
def test_different_specs_have_different_checksums(one: PreprocessSpec, other: PreprocessSpec) -> None:
    assert (one == other) == (one.checksum == other.checksum)


@settings(deadline=None)
@given(specs(), st.integers(1, 3), st.integers(1, 30), st.integers(1, 30), st.integers(0, 255))
def test_an_even_picture_stays_even(spec: PreprocessSpec, n: int, height: int, width: int, value: int) -> None:
    out = resized(np.full((n, height, width, 3), value, np.uint8), spec)
    assert out.shape == (n, spec.size, spec.size, 3) and out.dtype == np.float32
    assert (np.isclose(out, value, atol=1e-2) | ((spec.resize == "pad") & (out == 0))).all()
    assert np.isclose(out, value, atol=1e-2).any()


@settings(deadline=None)
@given(specs(), st.integers(2, 4), st.integers(0, 5))
def test_pictures_are_treated_one_by_one(spec: PreprocessSpec, n: int, seed: int) -> None:
    pictures = _pictures(n, 19, 23, seed)
    one_by_one = np.concatenate([preprocess(p, spec) for p in pictures])
    np.testing.assert_allclose(preprocess(pictures, spec), one_by_one, atol=1e-5)


@pytest.mark.parametrize("kernel", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("height", "width", "size"), [(96, 128, 64), (60, 80, 128), (33, 57, 20), (64, 64, 64)])
def test_resampling_is_pillows(kernel: str, height: int, width: int, size: int) -> None:
    # a smooth picture, because Pillow rounds and clips between its two passes
    rows, columns = np.mgrid[:height, :width]
    waves = np.stack([np.sin(rows / 9), np.cos(columns / 7), np.sin((rows + columns) / 11)], -1)
    picture = (127 + 100 * waves).astype(np.uint8)
    how = {"bilinear": Pillow.Resampling.BILINEAR, "bicubic": Pillow.Resampling.BICUBIC}[kernel]
    theirs = np.asarray(Pillow.fromarray(picture).resize((size, size), how), np.float32)
    ours = resized(picture, PreprocessSpec(size, kernel=kernel))[0]
    assert np.abs(ours - theirs).max() <= 1.5


def test_the_crop_is_what_it_says() -> None:
    pictures = _pictures(2, 100, 200)
    spec = PreprocessSpec(50, (0.25, 0.5, 0.5, 1.0))
    np.testing.assert_array_equal(cropped(pictures, spec), pictures[:, 50:100, 50:100])
    np.testing.assert_array_equal(resized(pictures, spec), pictures[:, 50:100, 50:100].astype(np.float32))


def test_padding_keeps_the_shape_of_things() -> None:
    out = resized(np.full((1, 20, 40, 3), 200, np.uint8), PreprocessSpec(40, resize="pad"))[0, ..., 0]
    assert (out[:10] == 0).all() and (out[30:] == 0).all() and np.allclose(out[10:30], 200)


def test_colours_are_normalised_by_channel() -> None:
    spec = PreprocessSpec(4, mean=(0.0, 0.5, 1.0), std=(1.0, 0.5, 2.0))
    np.testing.assert_allclose(preprocess(np.full((4, 4, 3), 255, np.uint8), spec)[0, 0, 0], [1.0, 1.0, 0.0])


@pytest.mark.parametrize(
    "bad",
    [{"size": 0}, {"crop": (0.5, 0.0, 0.5, 1.0)}, {"crop": (0.0, 0.0, 1.0, 1.1)}, {"resize": "crop"}, {"kernel": "x"},
     {"std": (0.0, 1.0, 1.0)}, {"mean": (float("nan"), 0.0, 0.0)}],
)  # fmt: skip
def test_a_spec_that_makes_no_sense_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        PreprocessSpec(**bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "images", [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.uint8), np.zeros((1, 4, 4, 4), np.uint8)]
)
def test_what_is_no_picture_is_refused(images: np.ndarray) -> None:
    with pytest.raises(DataError, match="expected uint8"):
        preprocess(images, PreprocessSpec(4))


@pytest.mark.parametrize(
    "data",
    [{}, {"size": 3}, {**PreprocessSpec().to_dict(), "crop": [0, 1]}, {**PreprocessSpec().to_dict(), "size": "x"}],
)
def test_what_is_no_spec_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(DataError, match="not a preprocessing"):
        PreprocessSpec.from_dict(data)
