"""What lens, sensor and compression make of a picture: pure functions of the picture, the settings and random numbers.

The order is that of a camera: light falls off towards the corners, the lens blurs it, the shutter smears it, exposure
and white balance scale it, the sensor adds its noise, the result is rounded to 8 bits and compressed. All up to the
rounding happens in linear light, which the sRGB curve (IEC 61966-2-1) maps to and from pixel values.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from robot_rl.core.imperfections import Imperfections
from robot_rl.core.types import Float32, Image

_LEVELS = 1 << 16
_SHARP_PX = 0.2
"""A narrower blur gives a neighbour less than 1e-5 of the light, which no pixel value shows."""
_PLACES = 1 << 16
_PERIOD_S = (4.0, 20.0)


@dataclass(frozen=True)
class Optics:
    """What is drawn for one camera and one episode.

    Attributes:
        stops: exposure.
        drift_stops: how far it swings on top.
        drift_period_s: of the swing.
        drift_phase_rad: at the beginning.
        gains: of the channels.
        vignetting: share of light that the corners lack.
        blur_px: standard deviation of the blur.
        seed: of the random numbers of single pictures.
    """

    stops: float
    drift_stops: float
    drift_period_s: float
    drift_phase_rad: float
    gains: tuple[float, float, float]
    vignetting: float
    blur_px: float
    seed: int


def draw_optics(settings: Imperfections, rng: np.random.Generator) -> Optics:
    """Draw for an episode; each effect has its own numbers, so that one of them does not change the others."""
    stops, red, blue = rng.uniform(-1.0, 1.0, 3).tolist()
    drift, vignetting, blur = rng.uniform(0.0, 1.0, 3).tolist()
    period_s, phase_rad = rng.uniform([_PERIOD_S[0], 0.0], [_PERIOD_S[1], 2 * np.pi]).tolist()
    s = settings
    return Optics(
        stops=s.camera_exposure_stops * stops,
        drift_stops=s.camera_drift_stops * drift,
        drift_period_s=period_s,
        drift_phase_rad=phase_rad,
        gains=(1.0 + s.camera_white_balance * red, 1.0, 1.0 + s.camera_white_balance * blue),
        vignetting=s.camera_vignetting * vignetting,
        blur_px=s.camera_blur_px * blur,
        seed=int(rng.integers(2**63)),
    )


def expose(image: Image, settings: Imperfections, optics: Optics, t_s: float) -> Image:
    """The picture as the camera gives it.

    Args:
        image: ``uint8[H, W, 3]`` of the scene as it is; not changed.
        settings: which effects there are.
        optics: of the episode.
        t_s: time of the exposure since the episode began; decides with `Optics.seed` all that is random.

    Returns:
        ``uint8[H, W, 3]``; `image` itself when every effect is off.
    """
    if settings.picture_off:
        return image
    rng = np.random.default_rng((optics.seed, max(round(1e3 * t_s), 0)))
    length_px, angle_rad = settings.camera_motion_blur_px * rng.random(), np.pi * rng.random()
    if _touches_light(settings):
        light = _DECODE.take(image)
        if optics.vignetting:
            light *= 1.0 - optics.vignetting * _falloff(*image.shape[:2])
        light = blurred(light, optics.blur_px)
        light = smeared(light, length_px, angle_rad)
        # Whole rows at a time: an inner loop over three channels takes ten times as long.
        rows = light.reshape(len(light), -1)
        rows *= np.tile(exposure_gains(optics, t_s), image.shape[1])
        light = noisy(light, settings.camera_shot_noise, settings.camera_read_noise, rng)
        image = _ENCODE.take(_rounded(light))
    return compressed(image, settings.camera_jpeg) if settings.camera_jpeg else image


def exposure_gains(optics: Optics, t_s: float) -> Float32:
    """Gain of each channel ``float32[3]`` at a time since the episode began."""
    swing = np.sin(2 * np.pi * t_s / optics.drift_period_s + optics.drift_phase_rad)
    return np.asarray(optics.gains, np.float32) * np.float32(2.0 ** (optics.stops + optics.drift_stops * swing))


def blurred(light: Float32, sigma_px: float) -> Float32:
    """Gaussian blur of ``float32[H, W, 3]``; the border is repeated. Below 0.2 pixels nothing happens."""
    if sigma_px < _SHARP_PX:
        return light
    radius = int(np.ceil(2.5 * sigma_px))
    x = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (x / sigma_px) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in (0, 1):
        light = _weighted(light, axis, weights)
    return light


def smeared(light: Float32, length_px: float, angle_rad: float) -> Float32:
    """Mean of ``float32[H, W, 3]`` along a straight line, to the nearest pixel; the border is repeated.

    Args:
        light: the picture.
        length_px: of the line; below half a pixel nothing happens.
        angle_rad: of the line from the x axis.
    """
    steps = int(np.ceil(2.0 * length_px)) + 1
    along = np.linspace(-0.5, 0.5, steps) * length_px
    dx = np.round(along * np.cos(angle_rad)).astype(int)
    dy = np.round(along * np.sin(angle_rad)).astype(int)
    reach = int(max(np.abs(dx).max(), np.abs(dy).max()))
    if reach == 0:
        return light
    height, width = light.shape[:2]
    wide = np.pad(light, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    total = np.zeros_like(light)
    for x, y in zip(dx, dy, strict=True):
        total += wide[reach + y : reach + y + height, reach + x : reach + x + width]
    return total / np.float32(steps)


def noisy(light: Float32, shot: float, read: float, rng: np.random.Generator) -> Float32:
    """Add the noise of light and of electronics to ``float32[H, W, 3]``; normally distributed.

    Pictures take their noise from one table, each from another place and with a sign of its own.

    Args:
        light: linear, 1 is white.
        shot: standard deviation at white of the part whose variance grows with the light.
        read: standard deviation of the part that is always there.
        rng: of this picture.
    """
    if shot == 0.0 and read == 0.0:
        return light
    start, sign = int(rng.integers(_PLACES)), float(rng.choice([-1.0, 1.0]))
    spread: Float32 = np.sqrt(np.float32(shot**2) * light + np.float32(read**2))
    spread *= _noise_table(light.size + _PLACES)[start : start + light.size].reshape(light.shape)
    spread *= np.float32(sign)
    spread += light
    return spread


def compressed(image: Image, quality: int) -> Image:
    """``uint8[H, W, 3]`` after JPEG compression and back; `quality` is 1 to 95."""
    buffer = io.BytesIO()
    Pillow.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Pillow.open(buffer))


def _touches_light(s: Imperfections) -> bool:
    lens = s.camera_vignetting or s.camera_blur_px or s.camera_motion_blur_px
    gains = s.camera_exposure_stops or s.camera_drift_stops or s.camera_white_balance
    return bool(lens or gains or s.camera_shot_noise or s.camera_read_noise)


def _weighted(light: Float32, axis: int, weights: Float32) -> Float32:
    """Correlation along one axis, the border repeated."""
    radius, length = len(weights) // 2, light.shape[axis]
    wide = np.pad(light, [(radius, radius) if a == axis else (0, 0) for a in range(3)], mode="edge")
    total, part = np.zeros_like(light), np.empty_like(light)
    for n, weight in enumerate(weights):
        np.multiply(wide[n : n + length] if axis == 0 else wide[:, n : n + length], weight, out=part)
        total += part
    return total


def _rounded(light: Float32) -> npt.NDArray[np.uint16]:
    scaled = light * np.float32(_LEVELS - 1)
    scaled += np.float32(0.5)
    return np.clip(scaled, 0.0, _LEVELS - 1, out=scaled).astype(np.uint16)


@lru_cache(maxsize=4)
def _noise_table(size: int) -> Float32:
    return np.random.default_rng(0).standard_normal(size, np.float32)


@lru_cache(maxsize=8)
def _falloff(height: int, width: int) -> Float32:
    """0 in the middle, 1 in the corners, with the square of the distance; ``float32[H, W, 1]``."""
    y, x = np.linspace(-1.0, 1.0, height)[:, None], np.linspace(-1.0, 1.0, width)[None]
    return np.asarray(0.5 * (x**2 + y**2), np.float32)[..., None]


def _decode_table() -> Float32:
    v = np.arange(256) / 255.0
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _encode_table() -> Image:
    v = np.arange(_LEVELS) / (_LEVELS - 1)
    return np.round(255.0 * np.where(v <= 0.0031308, 12.92 * v, 1.055 * v ** (1 / 2.4) - 0.055)).astype(np.uint8)


_DECODE, _ENCODE = _decode_table(), _encode_table()
