"""From a camera's picture to what a model is fed: one function for collecting, training, judging and showing.

A model that is fed otherwise than it was trained loses its calibration without a word. So what was done to the pictures
is a value, `PreprocessSpec`, that travels with the model, and whoever feeds the model calls `preprocess` with it.

Sizes change by separable resampling whose kernel widens when the picture shrinks (antialiasing as in Pillow): a small
object keeps its weight at any size.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.types import Float32, Image

VERSION = 1
SQUASH, PAD = "squash", "pad"
RESIZE = (SQUASH, PAD)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class PreprocessSpec:
    """What is done to every picture of one camera.

    Attributes:
        size: side of the square that comes out, pixels.
        crop: (left, top, right, bottom) of the part that is kept, relative to width and height, in [0, 1].
        resize: ``squash`` stretches the part to the square, ``pad`` keeps its shape and fills up with black.
        kernel: ``bilinear`` or ``bicubic``, the latter being what CLIP-like models were trained with.
        mean: by channel, subtracted from values in [0, 1].
        std: by channel, what is left is divided by it.
    """

    size: int = 128
    crop: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    resize: str = SQUASH
    kernel: str = "bilinear"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: naming what is wrong and what it may be.
        """
        left, top, right, bottom = self.crop
        if not 1 <= self.size <= 4096:
            raise ConfigError(f"size must lie in [1, 4096] pixels, got {self.size}")
        if not (0.0 <= left < right <= 1.0 and 0.0 <= top < bottom <= 1.0):
            raise ConfigError(
                f"crop is {list(self.crop)}, expected left < right and top < bottom, relative to the picture in [0, 1]"
            )
        if self.resize not in RESIZE:
            raise ConfigError(f"resize is {self.resize!r}, expected one of {', '.join(RESIZE)}")
        if self.kernel not in _KERNELS:
            raise ConfigError(f"kernel is {self.kernel!r}, expected one of {', '.join(_KERNELS)}")
        if not (np.isfinite(self.mean).all() and np.isfinite(self.std).all() and min(self.std) > 0.0):
            raise ConfigError(f"mean {list(self.mean)} and std {list(self.std)} must be finite, std positive")

    @cached_property
    def checksum(self) -> str:
        """Short hash of these values and of the code's version: stored with models and features."""
        text = json.dumps({"version": VERSION, **self.to_dict()}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> PreprocessSpec:
        """Inverse of `to_dict`.

        Raises:
            DataError: it is something else.
        """
        names = {f.name for f in fields(PreprocessSpec)}
        if not isinstance(data, Mapping) or set(data) != names:
            raise DataError(f"not a preprocessing: got {sorted(data)}, expected {sorted(names)}")
        try:
            left, top, right, bottom = map(float, data["crop"])
            mean, std = _by_channel(data["mean"]), _by_channel(data["std"])
            crop = (left, top, right, bottom)
            return PreprocessSpec(int(data["size"]), crop, str(data["resize"]), str(data["kernel"]), mean, std)
        except (ConfigError, TypeError, ValueError) as e:
            raise DataError(f"not a preprocessing: {e}") from e


def preprocess(images: Image, spec: PreprocessSpec) -> Float32:
    """Crop, resize and normalise.

    Args:
        images: ``uint8[N, H, W, 3]``, or one picture ``uint8[H, W, 3]``.
        spec: how.

    Returns:
        ``float32[N, size, size, 3]``; for one picture N is 1.

    Raises:
        DataError: these are no pictures.
    """
    values = resized(images, spec)
    values *= 1.0 / 255.0
    values -= np.array(spec.mean, np.float32)
    values /= np.array(spec.std, np.float32)
    return values


def resized(images: Image, spec: PreprocessSpec) -> Float32:
    """Crop and resize, colours in [0, 255] as they were: what a person is shown of what a model sees.

    Args:
        images: as in `preprocess`.
        spec: how.

    Returns:
        ``float32[N, size, size, 3]`` in [0, 255].
    """
    pictures = cropped(_checked(images), spec)
    height, width = pictures.shape[1:3]
    size = spec.size
    if spec.resize == SQUASH or height == width:
        return _resample(pictures, size, size, spec.kernel)
    scale = size / max(height, width)
    inner = max(1, round(height * scale)), max(1, round(width * scale))
    out = np.zeros((len(pictures), size, size, 3), np.float32)
    top, left = (size - inner[0]) // 2, (size - inner[1]) // 2
    out[:, top : top + inner[0], left : left + inner[1]] = _resample(pictures, *inner, spec.kernel)
    return out


def cropped(images: Image, spec: PreprocessSpec) -> Image:
    """The part of the pictures ``[N, H, W, 3]`` that is kept, at least one pixel; a view."""
    height, width = images.shape[1:3]
    left, top, right, bottom = spec.crop
    x0, y0 = min(round(left * width), width - 1), min(round(top * height), height - 1)
    x1, y1 = max(round(right * width), x0 + 1), max(round(bottom * height), y0 + 1)
    return images[:, y0:y1, x0:x1]


def _by_channel(values: Sequence[Any]) -> tuple[float, float, float]:
    red, green, blue = map(float, values)
    return red, green, blue


def _checked(images: Image) -> Image:
    pictures = np.asarray(images)
    if pictures.ndim == 3:
        pictures = pictures[None]
    if pictures.ndim != 4 or pictures.shape[3] != 3 or pictures.dtype != np.uint8 or 0 in pictures.shape[1:3]:
        raise DataError(
            f"these are no pictures: got {pictures.dtype}{list(pictures.shape)}, expected uint8[N, H, W, 3]"
        )
    return pictures


def _resample(images: npt.NDArray[Any], height: int, width: int, kernel: str) -> Float32:
    """Both axes in turn, as products with the matrices of `_weights`; ``float32[N, height, width, 3]``."""
    out = images.astype(np.float32)
    n, h, w, c = out.shape
    if h != height:
        out = (_weights(h, height, kernel) @ out.reshape(n, h, w * c)).reshape(n, height, w, c)
    if w != width:
        # the columns lie between rows and channels: one product per row of the picture
        out = np.matmul(_weights(w, width, kernel), out)
    return np.clip(out, 0.0, 255.0, out=out)


def _triangle(x: Float32) -> Float32:
    return np.maximum(1.0 - np.abs(x), 0.0)


def _cubic(x: Float32) -> Float32:
    """Keys 1981 with a = -1/2."""
    t = np.abs(x)
    near = (1.5 * t - 2.5) * t * t + 1.0
    far = ((-0.5 * t + 2.5) * t - 4.0) * t + 2.0
    return np.where(t < 1.0, near, np.where(t < 2.0, far, 0.0)).astype(x.dtype)


_KERNELS: dict[str, tuple[Callable[[Float32], Float32], float]] = {
    "bilinear": (_triangle, 1.0),
    "bicubic": (_cubic, 2.0),
}


@lru_cache(maxsize=64)
def _weights(before: int, after: int, kernel: str) -> Float32:
    """Rows of weights ``[after, before]`` that sum to one; the kernel is as wide as a pixel of the coarser grid."""
    function, radius = _KERNELS[kernel]
    scale = before / after
    stretch = max(scale, 1.0)
    centers = (np.arange(after) + 0.5) * scale
    distance = (np.arange(before)[None] + 0.5 - centers[:, None]) / stretch
    weights = np.where(np.abs(distance) < radius, function(distance.astype(np.float32)), 0.0)
    matrix: Float32 = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    matrix.setflags(write=False)
    return matrix
