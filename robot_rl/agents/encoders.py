"""Networks between what a camera gives and the state row that actor and critics take; they learn with the critics.

An algorithm calls four functions. `init_encoder` makes the parameters, a pytree with one entry for each camera and
``{}`` without cameras. `augment` shifts pictures at random. `encode` turns views and normalised state rows into network
inputs; without cameras these are the rows themselves, so that no caller needs a case of its own. `encoded_size` says
how long they are.

Views are ``uint8[..., h, w, 3]`` pictures or ``float16[..., h, w, c]`` features of a frozen backbone by camera name.
Network inputs are the outputs of the cameras in alphabetical order, then the state. Convolutions have stride 1 on
pictures whose blocks of pixels have been folded into channels: on CPUs this is several times faster than the strided
convolution on three channels, which is the same sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import jax
import jax.numpy as jnp

from robot_rl.agents.networks import Params, init_dense, layer_norm
from robot_rl.agents.vision_config import VisionConfig
from robot_rl.core.errors import DataError
from robot_rl.core.specs import ViewSpec

Views = Mapping[str, jax.Array]
PATCHES = 16
"""Positions a side that are left of a picture after the first stage, or a few more."""
KERNEL = 2
"""Side of the later convolutions on folded pictures, and so half of what it is on unfolded ones."""
SHIFT_SIDE_PX = 128
"""Side of the picture to which `VisionConfig.augment_px` refers."""


def encoded_size(views: ViewSpec, config: VisionConfig, state_size: int) -> int:
    """Values in a network input: the cameras' and the state's."""
    return len(views.shapes) * config.bottleneck + state_size


def init_encoder(key: jax.Array, views: ViewSpec, config: VisionConfig) -> Params:
    """Fresh parameters by camera name.

    Args:
        key: random key.
        views: what each camera gives.
        config: sizes.

    Returns:
        For pictures convolutions ``"0", "1", ...`` of ``{"w": [k, k, in, out], "b": [out]}``; for features with
        positions ``"spatial"`` of ``{"w": [h, w, c, m]}``; for both ``"neck"``, a dense layer with LayerNorm.
    """
    keys = jax.random.split(key, max(1, len(views.shapes)))
    make = _init_head if views.encoder else _init_convolutions
    return {name: make(k, shape, config) for k, (name, shape) in zip(keys, sorted(views.shapes), strict=False)}


def _init_convolutions(key: jax.Array, shape: tuple[int, int, int], config: VisionConfig) -> Params:
    keys = jax.random.split(key, len(config.channels) + 1)
    params: Params = {}
    side, channels = shape[:2], shape[2]
    for i, out in enumerate(config.channels):
        fold, kernel = (patch_px(shape), 1) if i == 0 else (2, KERNEL)
        side, channels = (-(-side[0] // fold), -(-side[1] // fold)), channels * fold**2
        params[str(i)] = {
            # He et al. 2015 (arXiv 1502.01852), equation 10
            "w": jax.random.normal(keys[i], (kernel, kernel, channels, out)) * (2.0 / (kernel**2 * channels)) ** 0.5,
            "b": jnp.zeros(out),
        }
        channels = out
    return params | {"neck": _init_neck(keys[-1], prod(side) * channels, config)}


def _init_head(key: jax.Array, shape: tuple[int, int, int], config: VisionConfig) -> Params:
    spatial_key, neck_key = jax.random.split(key)
    positions = shape[0] * shape[1]
    if positions == 1:
        return {"neck": _init_neck(neck_key, shape[2], config)}
    spatial = jax.random.normal(spatial_key, (*shape, config.embeddings)) / positions**0.5
    return {"spatial": {"w": spatial}, "neck": _init_neck(neck_key, shape[2] * config.embeddings, config)}


def _init_neck(key: jax.Array, inputs: int, config: VisionConfig) -> Params:
    n = config.bottleneck
    return init_dense(key, inputs, n) | {"gain": jnp.ones(n), "shift": jnp.zeros(n)}


def patch_px(shape: tuple[int, ...]) -> int:
    """Side of the patches into which the first stage cuts a picture ``(h, w, 3)``."""
    return max(1, min(shape[:2]) // PATCHES)


def encode(params: Params, views: Views, state_x: jax.Array) -> jax.Array:
    """Network inputs of rows.

    Args:
        params: as made by `init_encoder`.
        views: ``[B, h, w, c]`` by camera name.
        state_x: normalised states ``[n, B]``.

    Returns:
        ``[cameras * bottleneck + n, B]``.
    """
    if not params:
        return state_x
    return jnp.concatenate([*(_camera(params[name], views[name]) for name in sorted(params)), state_x], axis=0)


def _camera(params: Params, view: jax.Array) -> jax.Array:
    """One camera's output ``[bottleneck, B]``."""
    if "spatial" in params:
        seen = _spatial_sums(params["spatial"]["w"], view)
    elif "0" in params:
        seen = _convolve(params, view)
    else:
        seen = view.astype(jnp.float32)
    neck = params["neck"]
    # Rows before features, unlike in the networks behind: here the input is long, and the gradient towards it would
    # otherwise need all weights in another order.
    x = (seen.reshape(len(view), -1) @ neck["w"].T).T + neck["b"][:, None]
    return jnp.tanh(layer_norm(x, neck["gain"], neck["shift"]))


def _spatial_sums(weights: jax.Array, features: jax.Array) -> jax.Array:
    """``[B, m, c]``; products summed over positions, which CPUs do faster than a matrix product for each channel."""
    height, width, channels, sums = weights.shape
    by_sum = weights.reshape(height * width, channels, sums).transpose(2, 0, 1)
    flat = features.astype(jnp.float32).reshape(len(features), 1, height * width, channels)
    return (flat * by_sum).sum(axis=2)


def _convolve(params: Params, pictures: jax.Array) -> jax.Array:
    x = fold(pictures, patch_px(pictures.shape[1:])).astype(jnp.float32) / 255.0 - 0.5
    for i in range(len(params) - 1):
        layer = params[str(i)]
        if i > 0:
            x = fold(x, 2)
        reach = layer["w"].shape[0] - 1
        x = jax.lax.conv_general_dilated(
            x, layer["w"], (1, 1), ((0, reach), (0, reach)), dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = jnp.maximum(x + layer["b"], 0.0)
    return x


def fold(x: jax.Array, block: int) -> jax.Array:
    """Blocks of pixels as channels, ``[B, h / block, w / block, block * block * c]``, sides rounded up."""
    rows, height, width, channels = x.shape
    if height % block or width % block:
        x = jnp.pad(x, ((0, 0), (0, -height % block), (0, -width % block), (0, 0)), mode="edge")
        height, width = x.shape[1:3]
    cut = x.reshape(rows, height // block, block, width // block, block, channels).transpose(0, 1, 3, 2, 4, 5)
    return cut.reshape(rows, height // block, width // block, block * block * channels)


def shift_px(shape: tuple[int, ...], augment_px: int) -> int:
    """Largest shift of a picture ``(h, w, 3)``: `augment_px` at a side of 128 pixels, at least 1 unless that is 0."""
    return 0 if augment_px == 0 else max(1, round(augment_px * min(shape[:2]) / SHIFT_SIDE_PX))


def augment(key: jax.Array, views: Views, augment_px: int) -> Views:
    """Shift each picture by its own random number of pixels, filled up with its border (DrQ-v2, section 3.1).

    Every row and every camera has a shift of its own. Features pass as they are: their crops are chosen when a batch is
    drawn.

    Args:
        key: random key, to be used for nothing else; next observations need another.
        views: ``[..., h, w, c]`` by camera name.
        augment_px: as in `VisionConfig`.
    """
    keys = jax.random.split(key, max(1, len(views)))
    return {name: _shift(k, views[name], augment_px) for k, name in zip(keys, sorted(views), strict=False)}


def _shift(key: jax.Array, pictures: jax.Array, augment_px: int) -> jax.Array:
    *lead, height, width, colours = pictures.shape
    most = shift_px((height, width), augment_px)
    if pictures.dtype != jnp.uint8 or most == 0:
        return pictures
    rows = prod(lead)
    offsets = jax.random.randint(key, (2, rows, 1), -most, most + 1)
    at_row, at_column = (
        jnp.clip(jnp.arange(n) + offset, 0, n - 1) for n, offset in zip((height, width), offsets, strict=True)
    )
    at = (jnp.arange(rows)[:, None, None] * height + at_row[:, :, None]) * width + at_column[:, None, :]
    pixels = pictures.reshape(rows * height * width, colours)
    return jnp.take(pixels, at.reshape(-1), axis=0, mode="clip").reshape(pictures.shape)


def check_views(views: ViewSpec, given: Mapping[str, jax.Array], lead: tuple[int, ...]) -> None:
    """Check the views of a batch. Runs while tracing, so it costs nothing per call.

    Args:
        views: what is expected.
        given: arrays by camera name.
        lead: axes before those of a view.

    Raises:
        DataError: a camera is missing or unknown, or an array has another shape or type.
    """
    if set(given) != set(views.cameras):
        raise DataError(f"the batch has views of {sorted(given)}, expected {sorted(views.cameras)}")
    for name, shape in views.shapes:
        array = given[name]
        if jnp.shape(array) != (*lead, *shape) or array.dtype != views.dtype:
            raise DataError(
                f"the view of camera {name!r} is {array.dtype}{list(jnp.shape(array))}, expected "
                f"{jnp.dtype(views.dtype).name}{[*lead, *shape]}"
            )
