"""Pictures that nothing can be learnt from are told, sound ones never."""

from __future__ import annotations

import numpy as np
import pytest

from robot_rl.core.errors import DataError
from robot_rl.core.specs import Part, StateSpec
from robot_rl.core.transition import Observation
from robot_rl.core.types import Image
from robot_rl.data.cameras import FROZEN_FRAMES
from robot_rl.vision.health import PictureWatch, thumbnail, usual_pictures

SPEC = StateSpec((Part("tcp_position", 3, "m"), Part("tcp_rotation", 3, "rad")))
CAMERAS = ("wrist", "side")


def _picture(camera: str, seed: int, light: float = 1.0) -> Image:
    """Noise around what the camera shows."""
    scene = np.kron(np.random.default_rng(len(camera)).uniform(40, 160, (4, 4, 3)), np.ones((8, 8, 1)))
    noise = np.random.default_rng([seed, len(camera)]).normal(0, 20, scene.shape)
    return np.clip(light * (scene + noise), 0, 255).astype(np.uint8)


def _obs(step: int, *, moved_m: float = 0.005, light: float = 1.0, **images: Image) -> Observation:
    state = np.zeros(6, np.float32)
    state[0] = step * moved_m
    return Observation(state, {name: _picture(name, step, light) for name in CAMERAS} | images)


USUAL = usual_pictures([_obs(i) for i in range(20)], CAMERAS)


@pytest.mark.parametrize("light", [0.5, 1.0, 1.4])
def test_sound_pictures_pass_in_any_light(light: float) -> None:
    watch = PictureWatch(CAMERAS, SPEC, USUAL)
    for episode in range(3):
        watch.begin()
        for step in range(30):
            watch.check(_obs(100 * episode + step, light=light))


def test_a_black_picture_is_told() -> None:
    watch = PictureWatch(CAMERAS, SPEC, USUAL)
    noise = np.random.default_rng(0).integers(0, 9, (32, 32, 3)).astype(np.uint8)
    with pytest.raises(DataError, match="'side' is black"):
        watch.check(_obs(0, side=noise))


def test_a_missing_picture_is_told() -> None:
    with pytest.raises(DataError, match="no picture of camera 'side'"):
        PictureWatch(CAMERAS, SPEC).check(Observation(np.zeros(6, np.float32), {"wrist": _picture("wrist", 0)}))


def test_another_size_than_before_is_told() -> None:
    watch = PictureWatch(CAMERAS, SPEC, USUAL)
    watch.check(_obs(0))
    with pytest.raises(DataError, match=r"'side' gives pictures of \[16, 32, 3\], it gave \[32, 32, 3\]"):
        watch.check(_obs(1, side=_picture("side", 1)[:16]))


def test_a_camera_that_stands_still_while_the_robot_moves_is_told_and_not_before() -> None:
    watch = PictureWatch(CAMERAS, SPEC, USUAL)
    still = _picture("side", 0)
    for step in range(FROZEN_FRAMES - 1):
        watch.check(_obs(step, side=still))
    with pytest.raises(DataError, match=f"'side' has shown the same frame {FROZEN_FRAMES} times"):
        watch.check(_obs(FROZEN_FRAMES - 1, side=still.copy()))


def test_a_robot_that_stands_still_may_show_the_same_frame() -> None:
    watch = PictureWatch(CAMERAS, SPEC, USUAL)
    still = _picture("side", 0)
    for step in range(50):
        watch.check(_obs(step, moved_m=0.0001, side=still))
    watch.begin()
    watch.check(_obs(1000, side=still))


def test_swapped_cameras_are_told_in_any_light() -> None:
    for light in (0.6, 1.0, 1.3):
        obs = _obs(0, light=light)
        swapped = {"wrist": obs.images["side"], "side": obs.images["wrist"]}
        with pytest.raises(DataError, match="'wrist' and 'side' look swapped"):
            PictureWatch(CAMERAS, SPEC, USUAL).check(Observation(obs.state, swapped))


def test_cameras_that_show_the_same_cannot_be_told_apart() -> None:
    same = {name: _picture("side", i) for i, name in enumerate(CAMERAS)}
    watch = PictureWatch(CAMERAS, SPEC, usual_pictures([Observation(np.zeros(6, np.float32), same)], CAMERAS))
    watch.check(Observation(np.zeros(6, np.float32), {"wrist": same["side"], "side": same["wrist"]}))


def test_without_demonstrations_only_the_pictures_themselves_are_judged() -> None:
    obs = _obs(0)
    PictureWatch(CAMERAS, SPEC).check(
        Observation(obs.state, {"wrist": obs.images["side"], "side": obs.images["wrist"]})
    )


def test_usual_pictures_are_means_that_survive_a_file() -> None:
    assert set(USUAL) == set(CAMERAS) and all(len(values) == 48 for values in USUAL.values())
    assert thumbnail(np.full((9, 8, 3), 255, np.uint8)) == (1.0,) * 48
    assert all(v == round(v, 3) for values in USUAL.values() for v in values)
    with pytest.raises(DataError, match="without a picture of camera 'front'"):
        usual_pictures([_obs(0)], ("front",))
