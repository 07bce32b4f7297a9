"""The networks between cameras and actor are the sums that are written down, and shifts are shifts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_rl.agents import encoders
from robot_rl.agents.config import PRESETS
from robot_rl.agents.vision_config import VisionConfig
from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.specs import NO_VIEWS, ViewSpec

KEY = jax.random.PRNGKey(0)
SHIFT = jax.jit(encoders.augment, static_argnums=2)
CONFIG = VisionConfig(channels=(4, 6), embeddings=3, bottleneck=5)


def random_views(views: ViewSpec, rows: int = 3, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    if views.encoder:
        return {n: rng.standard_normal((rows, *s)).astype(np.float16) for n, s in views.shapes}
    return {n: rng.integers(0, 256, (rows, *s), np.uint8) for n, s in views.shapes}


def out(views: ViewSpec, given: dict[str, Any], params: Any) -> Any:
    return np.asarray(jax.jit(encoders.encode)(params, {k: jnp.asarray(v) for k, v in given.items()}, jnp.ones((2, 3))))


def test_folding_makes_a_strided_convolution_of_a_dense_one() -> None:
    views = ViewSpec((("side", (32, 48, 3)),))
    params = encoders.init_encoder(KEY, views, replace(CONFIG, channels=(4,)))["side"]
    picture = random_views(views)["side"]
    kernel = params["0"]["w"][0, 0].reshape(2, 2, 3, 4)
    wanted = jax.lax.conv_general_dilated(
        picture / 255.0 - 0.5, kernel, (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    got = jax.jit(encoders._convolve)(params, jnp.asarray(picture))
    assert got.shape == (3, 16, 24, 4)
    np.testing.assert_allclose(got, np.maximum(wanted, 0), atol=1e-5)


def test_a_head_sums_over_positions_with_weights_of_its_own_for_each_channel() -> None:
    views = ViewSpec((("side", (2, 3, 4)),), "abc")
    params = encoders.init_encoder(KEY, views, CONFIG)
    given = random_views(views)
    w, neck = np.asarray(params["side"]["spatial"]["w"]), params["side"]["neck"]
    flat = [[(row[..., c] * w[..., c, m]).sum() for m in range(3) for c in range(4)] for row in given["side"]]
    x = np.asarray(neck["w"]) @ np.array(flat).T
    wanted = np.tanh((x - x.mean(0)) / np.sqrt(x.var(0) + 1e-6))
    np.testing.assert_allclose(out(views, given, params), np.concatenate([wanted, np.ones((2, 3))]), atol=1e-4)


def test_pooled_features_have_no_positions_to_weigh() -> None:
    params = encoders.init_encoder(KEY, ViewSpec((("side", (1, 1, 7)),), "abc"), CONFIG)
    assert set(params["side"]) == {"neck"}
    assert params["side"]["neck"]["w"].shape == (5, 7)


def test_without_cameras_the_state_passes_as_it_is() -> None:
    x = jnp.ones((2, 3))
    assert encoders.init_encoder(KEY, NO_VIEWS, CONFIG) == {}
    assert encoders.encode({}, {}, x) is x
    assert encoders.encoded_size(NO_VIEWS, CONFIG, 2) == 2


def test_cameras_are_joined_in_alphabetical_order_however_they_are_listed() -> None:
    shapes = (("wrist", (16, 16, 3)), ("side", (16, 16, 3)))
    views, turned = ViewSpec(shapes), ViewSpec(shapes[::-1])
    given = random_views(views)
    params = encoders.init_encoder(KEY, views, CONFIG)
    got = out(views, given, params)
    np.testing.assert_array_equal(got, out(turned, given, encoders.init_encoder(KEY, turned, CONFIG)))
    alone = out(views, {"side": given["side"]}, {"side": params["side"]})
    np.testing.assert_allclose(got[:5], alone[:5], atol=1e-6)
    assert got.shape[0] == encoders.encoded_size(views, CONFIG, 2) == 12
    assert views.checksum == turned.checksum


def offset_of(before: np.ndarray, after: np.ndarray, most: int) -> tuple[int, int]:
    """By how much a picture has been shifted."""
    h, w = before.shape[:2]
    wide = np.pad(before, ((most, most), (most, most), (0, 0)), mode="edge")
    shifts = [(i - most, j - most) for i in range(2 * most + 1) for j in range(2 * most + 1)]
    found = [s for s in shifts if np.array_equal(wide[s[0] + most :, s[1] + most :][:h, :w], after)]
    assert found, "this is no shift of the picture"
    return found[0]


@settings(max_examples=20, deadline=None)
@given(side=st.sampled_from([(8, 40), (33, 16), (20, 20)]), px=st.sampled_from([1, 16]), seed=st.integers(0, 2**31))
def test_a_shifted_picture_is_a_window_of_the_picture_with_its_border_repeated(
    side: tuple[int, int], px: int, seed: int
) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (2, *side, 3), np.uint8)
    got = np.asarray(SHIFT(jax.random.PRNGKey(seed), {"side": jnp.asarray(picture)}, px)["side"])
    assert got.dtype == np.uint8
    for before, after in zip(picture, got, strict=True):
        offset_of(before, after, encoders.shift_px(side, px))


def test_every_row_camera_and_key_shifts_on_its_own_and_all_shifts_are_as_likely() -> None:
    one = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    same = {name: jnp.broadcast_to(one, (2, 100, *one.shape)) for name in ("side", "wrist")}

    def offsets(key: int) -> np.ndarray:
        got = SHIFT(jax.random.PRNGKey(key), same, 4)
        return np.array([[offset_of(one, p, 4) for p in np.asarray(v).reshape(200, *one.shape)] for v in got.values()])

    first, again, other = offsets(0), offsets(0), offsets(1)
    np.testing.assert_array_equal(first, again)
    for a, b in ((first[0], first[1]), (first[0], other[0]), (first[0, :100], first[0, 100:])):
        assert (a == b).all(axis=1).mean() < 0.1
    assert set(np.unique(first)) == set(range(-4, 5))


def test_features_and_pictures_that_shall_not_be_shifted_pass() -> None:
    views = random_views(ViewSpec((("side", (4, 4, 3)),), "abc"))
    np.testing.assert_array_equal(encoders.augment(KEY, views, 4)["side"], views["side"])
    pictures = random_views(ViewSpec((("side", (16, 16, 3)),)))
    np.testing.assert_array_equal(encoders.augment(KEY, pictures, 0)["side"], pictures["side"])
    assert [encoders.shift_px((s, 2 * s, 3), 4) for s in (16, 64, 84, 128, 224)] == [1, 2, 3, 4, 7]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"views of \[\], expected \['side'\]"),
        ({"top": np.zeros((2, 3, 16, 16, 3), np.uint8)}, r"\['top'\], expected \['side'\]"),
        ({"side": np.zeros((2, 3, 16, 20, 3), np.uint8)}, r"'side' is uint8\[2, 3, 16, 20, 3\], expected uint8\[2, 3"),
        ({"side": np.zeros((2, 3, 16, 16, 3), np.float16)}, "'side' is float16.* expected uint8"),
    ],
)
def test_views_that_do_not_fit_are_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        encoders.check_views(ViewSpec((("side", (16, 16, 3)),)), given, (2, 3))


def test_settings_that_make_no_network_are_refused() -> None:
    for change, message in (({"channels": ()}, "channels is"), ({"bottleneck": 0}, "bottleneck is 0")):
        with pytest.raises(ConfigError, match=message):
            replace(CONFIG, **change)
    with pytest.raises(ConfigError, match="augment_px is -1"):
        VisionConfig(augment_px=-1)


def test_parity_presets_have_the_heads_of_the_originals() -> None:
    for name in ("serl_compat", "hil_serl_compat"):
        vision = PRESETS[name].vision
        params = encoders.init_encoder(KEY, ViewSpec((("side", (4, 4, 512)),), "resnet"), vision)["side"]
        assert params["spatial"]["w"].shape == (4, 4, 512, 8)
        assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 1_114_880
