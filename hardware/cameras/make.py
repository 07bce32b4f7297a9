"""The driver of a camera, from its description."""

from __future__ import annotations

import time
from collections.abc import Callable

from robot_rl.core.errors import ConfigError
from robot_rl.hardware.cameras.driver import CameraDriver
from robot_rl.hardware.cameras.realsense import RealsenseCamera
from robot_rl.hardware.cameras.uvc import UvcCamera
from robot_rl.hardware.cell.description import CameraConfig


def make_camera(config: CameraConfig, now_s: Callable[[], float] = time.time) -> CameraDriver:
    """Open a real camera.

    Args:
        config: of the camera; its provider is ``realsense`` or ``uvc``.
        now_s: the system's clock.

    Raises:
        ConfigError: the provider is another, or what it needs is missing.
        DeviceError: there is no such device, or it gives no picture.
    """
    match config.provider:
        case "realsense":
            return RealsenseCamera(config, now_s)
        case "uvc":
            return UvcCamera(config, now_s)
        case _:
            raise ConfigError(f"a camera of provider {config.provider!r} is no device, expected realsense or uvc")
