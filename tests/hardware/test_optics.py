"""What a lens and a sensor make of pictures: nothing when off, as much as asked for, the same again from a seed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from robot_rl.core.config import Range, from_dict
from robot_rl.core.imperfections import FRANKA, Imperfections
from robot_rl.core.types import Float32, Image
from robot_rl.hardware.imperfect.optics import blurred, draw_optics, expose, exposure_gains, noisy, smeared

PICTURES = hnp.arrays(np.uint8, st.tuples(st.integers(1, 24), st.integers(1, 24), st.just(3)))
EFFECTS = st.fixed_dictionaries(
    {},
    optional={
        "camera_exposure_stops": st.floats(0.0, 4.0),
        "camera_drift_stops": st.floats(0.0, 2.0),
        "camera_white_balance": st.floats(0.0, 0.5),
        "camera_vignetting": st.floats(0.0, 1.0),
        "camera_blur_px": st.floats(0.0, 20.0),
        "camera_motion_blur_px": st.floats(0.0, 40.0),
        "camera_shot_noise": st.floats(0.0, 0.5),
        "camera_read_noise": st.floats(0.0, 0.5),
        "camera_jpeg": st.integers(0, 95),
    },
)


@given(PICTURES, EFFECTS, st.integers(0, 2**62), st.floats(0.0, 1000.0))
def test_any_picture_through_any_camera(image: Image, effects: dict[str, Any], seed: int, t_s: float) -> None:
    settings, before = from_dict(Imperfections, effects), image.copy()
    optics = draw_optics(settings, np.random.default_rng(seed))
    seen = expose(image, settings, optics, t_s)
    assert seen.shape == image.shape and seen.dtype == np.uint8
    assert image.tobytes() == before.tobytes(), "the picture that came in is as it was"
    assert expose(image, settings, optics, t_s).tobytes() == seen.tobytes()
    if settings.picture_off:
        assert seen is image


def test_what_is_next_to_nothing_changes_no_pixel() -> None:
    image = np.arange(256 * 3, dtype=np.uint8).reshape(16, 16, 3)
    settings = Imperfections(camera_exposure_stops=1e-9, camera_blur_px=1e-9, camera_vignetting=1e-9)
    seen = expose(image, settings, draw_optics(settings, np.random.default_rng(0)), 0.0)
    assert seen.tobytes() == image.tobytes(), "the way to linear light and back keeps every value"


@pytest.mark.parametrize("stops", [-1.0, 1.0])
def test_a_stop_doubles_the_light_and_is_clipped_at_white(stops: float) -> None:
    optics = replace(draw_optics(Imperfections(), np.random.default_rng(0)), stops=stops)
    assert exposure_gains(optics, 3.0) == pytest.approx([2.0**stops] * 3)
    settings = Imperfections(camera_exposure_stops=1.0)
    grey, white = np.full((4, 4, 3), 128, np.uint8), np.full((4, 4, 3), 255, np.uint8)
    light = ((128 / 255 + 0.055) / 1.055) ** 2.4 * 2.0**stops
    expected = 255 * (1.055 * light ** (1 / 2.4) - 0.055)
    assert expose(grey, settings, optics, 0.0)[0, 0] == pytest.approx([expected] * 3, abs=1.0)
    assert (expose(white, settings, optics, 0.0) == 255).all() == (stops > 0)


def test_the_exposure_swings_slowly_within_its_bounds() -> None:
    settings = Imperfections(camera_drift_stops=0.5)
    for seed in range(20):
        optics = draw_optics(settings, np.random.default_rng(seed))
        stops = np.log2([exposure_gains(optics, 0.1 * n)[0] for n in range(400)])
        assert np.abs(stops).max() <= 0.5 + 1e-6
        assert np.abs(np.diff(stops)).max() <= 0.5 * 2 * np.pi * 0.1 / 4.0 + 1e-6, "no flicker"


@given(
    hnp.arrays(
        np.float32, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3)), elements=st.floats(0, 1, width=32)
    ),
    st.floats(0.0, 10.0),
    st.floats(0.0, 10.0),
    st.floats(0.0, np.pi),
)
def test_blur_stays_between_the_darkest_and_the_brightest(
    light: Float32, sigma_px: float, length_px: float, angle_rad: float
) -> None:
    for out in (blurred(light, sigma_px), smeared(light, length_px, angle_rad)):
        assert out.shape == light.shape
        assert out.min() >= light.min() - 1e-5 and out.max() <= light.max() + 1e-5


def test_blur_spreads_a_point_as_far_as_asked_and_keeps_its_light() -> None:
    point = np.zeros((41, 41, 3), np.float32)
    point[20, 20] = 1.0
    spread = blurred(point, 2.0)[..., 0]
    x = np.arange(41) - 20
    assert spread.sum() == pytest.approx(1.0, abs=1e-5)
    assert np.sqrt((spread.sum(axis=0) * x**2).sum()) == pytest.approx(2.0, abs=0.15)
    line = smeared(point, 8.0, 0.0)[..., 0]
    assert line.sum() == pytest.approx(1.0, abs=1e-5)
    assert np.flatnonzero(line.sum(axis=0)).tolist() == list(range(16, 25)) and np.flatnonzero(line.sum(axis=1)) == [20]


@pytest.mark.parametrize(("shot", "read", "light", "expected"), [(0.1, 0.0, 0.25, 0.05), (0.0, 0.02, 0.25, 0.02)])
def test_noise_is_as_strong_as_asked_for(shot: float, read: float, light: float, expected: float) -> None:
    flat = np.full((64, 64, 3), light, np.float32)
    first, second = (noisy(flat, shot, read, np.random.default_rng(seed)) - flat for seed in (0, 1))
    assert first.std() == pytest.approx(expected, rel=0.05) and abs(first.mean()) < 0.05 * expected
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.05, "another picture has other noise"


def test_single_pictures_of_an_episode_differ_in_noise_alone() -> None:
    image = np.full((32, 32, 3), 120, np.uint8)
    settings = Imperfections(camera_exposure_stops=0.5, camera_white_balance=0.2, camera_shot_noise=0.02)
    optics = draw_optics(settings, np.random.default_rng(3))
    first, second = (expose(image, settings, optics, t_s).astype(float) for t_s in (0.0, 0.1))
    assert (first != second).any() and first.mean((0, 1)) == pytest.approx(second.mean((0, 1)), abs=0.5)
    other = expose(image, settings, draw_optics(settings, np.random.default_rng(4)), 0.0)
    assert np.abs(other.mean((0, 1)) - first.mean((0, 1))).max() > 2.0, "another episode has another exposure"


def test_one_effect_does_not_change_what_is_drawn_of_another() -> None:
    more = replace(FRANKA, camera_blur_px=3.0, camera_jpeg=0)
    a, b = (draw_optics(s, np.random.default_rng(5)) for s in (FRANKA, more))
    assert replace(a, blur_px=0.0) == replace(b, blur_px=0.0)


def test_the_preset_is_within_the_ranges_and_leaves_pictures_recognisable() -> None:
    assert str(Range(0, 95)) == "between 0 and 95"
    image = np.kron(np.random.default_rng(0).integers(40, 216, (8, 8, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    for seed in range(10):
        seen = expose(image, FRANKA, draw_optics(FRANKA, np.random.default_rng(seed)), 0.5)
        assert np.corrcoef(seen.ravel(), image.ravel())[0, 1] > 0.9
