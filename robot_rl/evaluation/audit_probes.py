"""Pictures that a success classifier must not fall for: what a camera, a cable or a careless hand makes of a scene.

Each probe disturbs the pictures of frames that show no success; a model that calls many of them success would be paid
for a broken camera.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy as np

from robot_rl.core.types import Image
from robot_rl.rewards.frames import Clip

Images = Mapping[str, Image]


def black(clip: Clip) -> Images:
    """Nothing to see."""
    return {camera: np.zeros_like(pictures) for camera, pictures in clip.images.items()}


def frozen(clip: Clip) -> Images:
    """Every camera goes on showing the first frame."""
    return {camera: np.broadcast_to(p[:1], p.shape).copy() for camera, p in clip.images.items()}


def swapped(clip: Clip) -> Images:
    """The cameras' cables are exchanged; with one camera nothing changes. Sizes stay those of the names."""
    names = list(clip.images)
    others = names[1:] + names[:1]
    return {
        name: _resized(clip.images[other], clip.images[name].shape) for name, other in zip(names, others, strict=True)
    }


def mirrored(clip: Clip) -> Images:
    """Left is right."""
    return {camera: np.ascontiguousarray(p[:, :, ::-1]) for camera, p in clip.images.items()}


def brighter(clip: Clip) -> Images:
    """30 % more light."""
    return {camera: _gained(p, 1.3) for camera, p in clip.images.items()}


def darker(clip: Clip) -> Images:
    """30 % less light."""
    return {camera: _gained(p, 0.7) for camera, p in clip.images.items()}


def shifted(clip: Clip) -> Images:
    """A camera that was knocked: 4 % of the picture to the side and down, the edge repeated."""
    out = {}
    for camera, p in clip.images.items():
        s = max(1, round(0.04 * p.shape[1]))
        padded = np.pad(p, ((0, 0), (s, 0), (s, 0), (0, 0)), mode="edge")
        out[camera] = np.ascontiguousarray(padded[:, : p.shape[1], : p.shape[2]])
    return out


def jpeg(clip: Clip) -> Images:
    """Compressed at quality 50."""
    return {camera: np.stack([_jpeg(image, 50) for image in p]) for camera, p in clip.images.items()}


def channels(clip: Clip) -> Images:
    """Red and blue are exchanged."""
    return {camera: np.ascontiguousarray(p[..., ::-1]) for camera, p in clip.images.items()}


PROBES: Mapping[str, Callable[[Clip], Images]] = {
    "black": black,
    "frozen first frame": frozen,
    "swapped cameras": swapped,
    "mirrored": mirrored,
    "30 % brighter": brighter,
    "30 % darker": darker,
    "shifted by 4 %": shifted,
    "JPEG, quality 50": jpeg,
    "red and blue exchanged": channels,
}


def _gained(pictures: Image, gain: float) -> Image:
    return np.asarray(np.clip(pictures.astype(np.float32) * gain, 0.0, 255.0), np.uint8)


def _resized(pictures: Image, shape: tuple[int, ...]) -> Image:
    rows = np.arange(shape[1]) * pictures.shape[1] // shape[1]
    columns = np.arange(shape[2]) * pictures.shape[2] // shape[2]
    return np.ascontiguousarray(pictures[:, rows][:, :, columns])


def _jpeg(image: Image, quality: int) -> Image:
    from PIL import Image as Picture

    buffer = io.BytesIO()
    Picture.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Picture.open(buffer).convert("RGB"), np.uint8)
