"""The trained networks between cameras and the actor in numpy: `robot_rl.agents.encoders` for one observation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt, prod
from typing import Any

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DataError
from robot_rl.core.transition import Observation
from robot_rl.core.types import Float32

LAYER_NORM_EPSILON = np.float32(1e-6)
COLOURS = 3


@dataclass(frozen=True)
class Eye:
    """What turns the view of one camera into inputs of the actor.

    Attributes:
        camera: its name.
        shape: ``(h, w, c)`` of the view.
        convolutions: weights ``[k, k, in, out]`` and biases ``[out]`` of each stage on pictures; none on features.
        spatial: weights ``[h, w, c, m]`` of the sums over the positions of a feature map, or None.
        neck: weights ``[out, in]``, biases, gains and shifts ``[out]``.
    """

    camera: str
    shape: tuple[int, int, int]
    convolutions: tuple[tuple[Float32, Float32], ...]
    spatial: Float32 | None
    neck: tuple[Float32, Float32, Float32, Float32]

    @property
    def size(self) -> int:
        """Values it gives."""
        return int(self.neck[1].size)

    def see(self, obs: Observation) -> Float32:
        """The values ``[out]`` in [-1, 1] for one observation.

        Raises:
            DataError: the observation lacks the camera's picture or features, or they are of another shape.
        """
        if self.convolutions:
            x = self._convolve(self._checked("picture", obs.images.get(self.camera), np.dtype(np.uint8)))
        else:
            crops = obs.features.get(self.camera)
            features = self._checked("features", None if crops is None else crops[0], np.dtype(np.float16))
            x = features.astype(np.float32)
            if self.spatial is not None:
                x = np.einsum("hwc,hwcm->mc", x, self.spatial)
        weights, bias, gain, shift = self.neck
        y = weights @ x.reshape(-1) + bias
        y = y - y.sum() / np.float32(y.size)
        out: Float32 = np.tanh(y / np.sqrt(y @ y / np.float32(y.size) + LAYER_NORM_EPSILON) * gain + shift)
        return out

    def _convolve(self, picture: npt.NDArray[np.uint8]) -> Float32:
        (first, _), *_ = self.convolutions
        block = isqrt(first.shape[2] // COLOURS)
        x: Float32 = fold(picture, block).astype(np.float32) / np.float32(255.0) - np.float32(0.5)
        for i, (weights, bias) in enumerate(self.convolutions):
            x = np.maximum(_convolution(fold(x, 2) if i > 0 else x, weights) + bias, np.float32(0.0))
        return x

    def _checked(
        self, what: str, view: npt.NDArray[np.generic] | None, dtype: np.dtype[np.generic]
    ) -> npt.NDArray[Any]:
        if view is None:
            raise DataError(f"the policy sees camera {self.camera!r}, of which the observation holds no {what}")
        if view.shape != self.shape or view.dtype != dtype:
            raise DataError(
                f"the {what} of camera {self.camera!r}: {view.dtype}{list(view.shape)}, the policy expects "
                f"{dtype}{list(self.shape)}"
            )
        return view


def fold(x: npt.NDArray[Any], block: int) -> npt.NDArray[Any]:
    """Blocks of pixels as channels, ``[h / block, w / block, block * block * c]``, sides rounded up."""
    height, width, channels = x.shape
    if height % block or width % block:
        x = np.pad(x, ((0, -height % block), (0, -width % block), (0, 0)), mode="edge")
        height, width = x.shape[:2]
    cut = x.reshape(height // block, block, width // block, block, channels).swapaxes(1, 2)
    return cut.reshape(height // block, width // block, block * block * channels)


def _convolution(x: Float32, weights: Float32) -> Float32:
    """Sums over ``k`` rows down and ``k`` columns right of each position, zeros beyond the border."""
    kernel, height, width = len(weights), *x.shape[:2]
    padded = np.pad(x, ((0, kernel - 1), (0, kernel - 1), (0, 0)))
    shifted = [padded[i : i + height, j : j + width] for i in range(kernel) for j in range(kernel)]
    out: Float32 = np.concatenate(shifted, axis=-1) @ weights.reshape(-1, weights.shape[-1])
    return out


def eyes_from(params: Mapping[str, Float32]) -> tuple[Eye, ...]:
    """The eyes of a policy in the order in which its networks take them, alphabetical.

    Args:
        params: all of its arrays by name; those of cameras are ``views/<camera>`` and ``encoder/<camera>/...``.

    Raises:
        DataError: an array is missing or has another shape than the others ask for.
    """
    cameras = {name.split("/")[1] for name in params if name.startswith(("views/", "encoder/"))}
    return tuple(_eye(params, camera) for camera in sorted(cameras))


def _eye(params: Mapping[str, Float32], camera: str) -> Eye:
    at = f"encoder/{camera}"
    given = _get(params, f"views/{camera}")
    if given.shape != (3,) or not (given >= 1).all():
        raise DataError(f"policy parameter 'views/{camera}' is {given.tolist()}, expected (h, w, c)")
    shape = int(given[0]), int(given[1]), int(given[2])
    convolutions, size = _convolutions(params, at, shape)
    spatial = params.get(f"{at}/spatial/w")
    if spatial is not None and (convolutions or spatial.shape[:-1] != shape):
        raise DataError(f"policy parameter '{at}/spatial/w' has shape {spatial.shape}, expected {shape} and sums")
    if spatial is None and not convolutions and shape[:2] != (1, 1):
        raise DataError(f"policy parameter '{at}/spatial/w' is missing, which features of shape {shape} need")
    inputs = prod(size) if spatial is None else shape[2] * spatial.shape[-1]
    weights, bias, gain, shift = (_get(params, f"{at}/neck/{part}") for part in ("w", "b", "gain", "shift"))
    if weights.shape != (bias.size, inputs):
        raise DataError(f"policy parameter '{at}/neck/w' has shape {weights.shape}, expected {(bias.size, inputs)}")
    for vector in (bias, gain, shift):
        if vector.shape != bias.shape:
            raise DataError(f"a vector of policy layer '{at}/neck' has shape {vector.shape}, expected {bias.shape}")
    return Eye(camera, shape, convolutions, spatial, (weights, bias, gain, shift))


def _convolutions(
    params: Mapping[str, Float32], at: str, shape: tuple[int, int, int]
) -> tuple[tuple[tuple[Float32, Float32], ...], tuple[int, int, int]]:
    """The stages on pictures, none on features, and the shape of what they give."""
    stages = sum(1 for name in params if re.fullmatch(rf"{re.escape(at)}/\d+/w", name))
    convolutions, size = [], shape
    for i in range(stages):
        weights, bias = _get(params, f"{at}/{i}/w"), _get(params, f"{at}/{i}/b")
        block = isqrt(weights.shape[2] // COLOURS) if weights.ndim == 4 and i == 0 else 2
        inputs = block * block * size[2]
        if weights.ndim != 4 or weights.shape[2] != inputs or bias.shape != weights.shape[3:]:
            raise DataError(f"policy parameter '{at}/{i}/w' has shape {weights.shape}, expected (k, k, {inputs}, out)")
        size = (-(-size[0] // block), -(-size[1] // block), bias.size)
        convolutions.append((weights, bias))
    return tuple(convolutions), size


def _get(params: Mapping[str, Float32], name: str) -> Float32:
    if name not in params:
        raise DataError(f"policy parameter {name!r} is missing, got {', '.join(sorted(params)) or 'none'}")
    return params[name]
