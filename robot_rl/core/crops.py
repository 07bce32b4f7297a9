"""Which part of a camera's picture a policy sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from robot_rl.core.errors import ConfigError, unknown_name

CROPS = "crops"
Crop = tuple[int, int, int, int]
"""Left, top, width, height in pixels."""
CROP_WIDTH, CROP_HEIGHT = 640, 480
"""Size of the picture that crops of simulated cameras refer to, the default of a camera in a cell's YAML."""


def check_crops(crops: Mapping[str, Sequence[int]], cameras: Sequence[str] | None = None) -> dict[str, Crop]:
    """Crops of simulated cameras by name, each within the picture.

    Args:
        crops: left, top, width, height by camera.
        cameras: names that there are; None if that is not known yet.

    Raises:
        ConfigError: a crop is no four whole numbers or leaves the picture, or there is no such camera.
    """
    out: dict[str, Crop] = {}
    for name, crop in crops.items():
        if cameras is not None and name not in cameras:
            raise ConfigError(unknown_name("camera of crops", name, cameras))
        if len(crop) != 4 or not all(isinstance(v, int) for v in crop):
            raise ConfigError(f"crops: {name} is {list(crop)}, expected left, top, width, height in whole pixels")
        left, top, width, height = crop
        inside = left >= 0 and top >= 0 and left + width <= CROP_WIDTH and top + height <= CROP_HEIGHT
        if width < 16 or height < 16 or not inside:
            raise ConfigError(
                f"crops: {name} is {list(crop)}, expected at least 16 x 16 pixels within a picture of "
                f"{CROP_WIDTH}x{CROP_HEIGHT}"
            )
        out[name] = (left, top, width, height)
    return out
