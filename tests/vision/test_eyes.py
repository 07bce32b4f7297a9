"""One way from an observation to what the networks see, the same for acting and learning."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from robot_rl.core.errors import DataError
from robot_rl.core.transition import Observation, Source, StepRecord
from robot_rl.core.types import Features, Image
from robot_rl.vision.eyes import Eyes
from robot_rl.vision.shifts import shifted_copies

CAMERAS = ("wrist", "side")


class Means:
    """A frozen encoder whose features can be checked by hand, and which counts what it was shown."""

    checksum, shape = "means", (2, 2, 3)

    def __init__(self) -> None:
        self.shown = 0
        self.closed = False

    def encode(self, images: Image) -> Features:
        self.shown += len(images)
        n, h, w, _ = images.shape
        return images.reshape(n, 2, h // 2, 2, w // 2, 3).mean((2, 4)).astype(np.float16)

    def close(self) -> None:
        self.closed = True


def _obs(seed: int, size: int = 32) -> Observation:
    rng = np.random.default_rng(seed)
    images = {name: rng.integers(0, 256, (size, size, 3)).astype(np.uint8) for name in (*CAMERAS, "overview")}
    return Observation(rng.normal(size=3).astype(np.float32), images)


def _record(obs: Observation, final: Observation | None = None) -> StepRecord:
    action = np.zeros(7, np.float32)
    return StepRecord(
        "e", 0, obs, action, action, {"success": 0.0}, False, final is not None, "", False,
        Source.POLICY, 0, "t", 0.0, 0.0, final_obs=final,
    )  # fmt: skip


def test_features_are_those_of_every_camera_and_copy() -> None:
    encoder = Means()
    eyes = Eyes(CAMERAS, 32, encoder, copies=3)
    obs = _obs(0)
    seen = eyes.see(obs)
    assert list(seen.features) == list(CAMERAS) == list(seen.images)
    assert eyes.views.shapes == (("wrist", (2, 2, 3)), ("side", (2, 2, 3))) and eyes.views.encoder == "means"
    assert eyes.feature_shapes == {name: (3, 2, 2, 3) for name in CAMERAS}
    for name in CAMERAS:
        expected = Means().encode(shifted_copies(obs.images[name], 3))
        np.testing.assert_array_equal(seen.features[name], expected)
        assert seen.images[name] is obs.images[name]
    np.testing.assert_array_equal(seen.state, obs.state)
    for views, shown in ((eyes.views_of(obs), seen.features), (Eyes(CAMERAS, 32).views_of(obs), seen.images)):
        assert list(views) == list(CAMERAS)
        for name, view in views.items():
            np.testing.assert_array_equal(view, shown[name][0] if shown is seen.features else shown[name])


def test_a_frame_is_encoded_once_although_policy_and_replay_both_ask() -> None:
    encoder = Means()
    eyes = Eyes(CAMERAS, 32, encoder, copies=2)
    observations = [_obs(i) for i in range(4)]
    for before, after in pairwise(observations):
        eyes.see(before)  # the policy
        eyes.see_record(_record(replace(before, images={n: before.images[n] for n in CAMERAS})))
        eyes.see(after)
    assert encoder.shown == len(observations) * len(CAMERAS) * 2


def test_equal_frames_of_other_arrays_are_looked_at_anew() -> None:
    """Memory may be used again for another picture: what is remembered is told apart by the array, never its place."""
    eyes = Eyes(CAMERAS, 32, Means())
    first, other = _obs(0), _obs(1)
    assert not np.array_equal(eyes.see(first).features["side"], eyes.see(other).features["side"])
    np.testing.assert_array_equal(eyes.see(_obs(0)).features["side"], eyes.see(first).features["side"])


def test_the_last_observation_of_an_episode_is_seen_too() -> None:
    eyes = Eyes(CAMERAS, 32, Means())
    seen = eyes.see_record(_record(_obs(0), _obs(1)))
    assert seen.final_obs is not None
    np.testing.assert_array_equal(seen.final_obs.features["side"], eyes.see(_obs(1)).features["side"])


def test_without_an_encoder_pictures_are_seen_at_their_size() -> None:
    eyes = Eyes(CAMERAS, 16)
    seen = eyes.see(_obs(0, 64))
    assert seen.features == {} and eyes.feature_shapes == {} and eyes.views.encoder == ""
    assert {i.shape for i in seen.images.values()} == {(16, 16, 3)} == set(eyes.image_shapes.values())
    assert {i.dtype for i in seen.images.values()} == {np.dtype(np.uint8)}
    blocks = _obs(0, 64).images["side"].reshape(16, 4, 16, 4, 3).mean((1, 3))
    assert np.corrcoef(blocks.ravel(), seen.images["side"].ravel())[0, 1] > 0.8


@pytest.mark.parametrize("bad", [{}, {"wrist": _obs(0).images["wrist"]}])
def test_a_missing_picture_is_named(bad: dict[str, Image]) -> None:
    eyes = Eyes(CAMERAS, 32, Means())
    for look in (eyes.see_record, eyes.check):
        with pytest.raises(DataError, match=r"step 0 of episode 'e'.*picture is missing.*(wrist|side)"):
            look(_record(replace(_obs(0), images=bad)))
    eyes.check(_record(_obs(0), _obs(1)))


def test_closing_closes_the_encoder() -> None:
    encoder = Means()
    eyes = Eyes(CAMERAS, 32, encoder)
    eyes.close()
    eyes.close()
    assert encoder.closed
