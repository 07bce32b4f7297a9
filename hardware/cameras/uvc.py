"""Webcams through Video4Linux, and whatever else PyAV opens: a network camera's address, a file."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable

import av
import numpy as np

from robot_rl.core.errors import ConfigError, DeviceError
from robot_rl.core.types import Image
from robot_rl.hardware.cameras.exposures import capture_time
from robot_rl.hardware.cameras.intrinsics import Intrinsics
from robot_rl.hardware.cameras.stream import STALL_AGES, Shot, StreamCamera
from robot_rl.hardware.cell.description import CameraConfig

V4L2_PREFIX = "/dev/video"
EXPOSURE_TOOL = "v4l2-ctl"
OPEN_TIMEOUT_S = 5.0
# More pixels a second than this do not fit through USB 2 uncompressed.
RAW_PIXELS_PER_S = 12e6
# Names of the controls in newer and older kernels; the unit is 100 us.
_EXPOSURE_CONTROLS = (("auto_exposure", "exposure_time_absolute"), ("exposure_auto", "exposure_absolute"))


class UvcCamera(StreamCamera):
    """A webcam or another video stream. It is not calibrated.

    Frames carry the time at which the kernel received them, or at which they arrived here if the stream says no usable
    time. A device that is unplugged is opened again when it is back.

    Args:
        config: of the camera; `device` is a path such as ``/dev/video0``, or an address.
        now_s: the system's clock.

    Raises:
        ConfigError: the exposure cannot be set.
        DeviceError: there is no such device, or it gives no picture.
    """

    def __init__(self, config: CameraConfig, now_s: Callable[[], float] = time.time) -> None:
        super().__init__(config, lambda c: UvcStream(c, now_s), now_s)


class UvcStream:
    """An open device.

    Args:
        config: of the camera.
        now_s: the system's clock.

    Raises:
        ConfigError: the exposure cannot be set.
        DeviceError: there is no such device, or nothing to be decoded.
    """

    intrinsics: Intrinsics | None = None

    def __init__(self, config: CameraConfig, now_s: Callable[[], float]) -> None:
        self._device, self._now_s, self._number = config.device, now_s, 0
        if config.exposure_us is not None:
            self.set_exposure_us(config.exposure_us)
        is_v4l2 = config.device.startswith(V4L2_PREFIX)
        try:
            self._container = av.open(
                config.device,
                format="v4l2" if is_v4l2 else None,
                options=v4l2_options(config) if is_v4l2 else {},
                timeout=(OPEN_TIMEOUT_S, max(STALL_AGES * config.max_age_s, 0.5)),
            )
        except (OSError, av.FFmpegError) as e:
            raise DeviceError(f"cannot open the camera {config.device!r}: {e}") from e
        if not self._container.streams.video:
            self._container.close()
            raise DeviceError(f"{config.device!r} has no video")
        # Decoding frames side by side would hold some of them back.
        self._container.streams.video[0].codec_context.thread_count = 1
        self._frames = self._container.decode(video=0)

    def grab(self, timeout_s: float) -> Shot | None:
        """The next picture; waits until the read times out, which is an error."""
        frame = next(self._frames, None)
        if frame is None:
            raise DeviceError(f"the stream of {self._device!r} has ended")
        self._number += 1
        image: Image = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
        return Shot(image, capture_time(frame.time, self._now_s()), self._number)

    def set_exposure_us(self, exposure_us: float) -> None:
        """Fix the exposure time; see `set_exposure`."""
        set_exposure(self._device, exposure_us)

    def reset(self) -> None:
        """There is nothing to restart; opening again has to do."""

    def close(self) -> None:
        """Release the device."""
        self._container.close()


def v4l2_options(config: CameraConfig) -> dict[str, str]:
    """What to ask a Video4Linux device for: size, rate, stamps of system time, JPEG where raw would be too slow."""
    options = {
        "video_size": f"{config.width}x{config.height}",
        "framerate": f"{config.hz:g}",
        "timestamps": "abs",
    }
    if config.width * config.height * config.hz > RAW_PIXELS_PER_S:
        options["input_format"] = "mjpeg"
    return options


def set_exposure(device: str, exposure_us: float) -> None:
    """Fix the exposure time of a Video4Linux device with `v4l2-ctl`, to 100 us.

    Raises:
        ConfigError: it is no such device, the program is missing, or the device refuses.
    """
    if not device.startswith(V4L2_PREFIX):
        raise ConfigError(f"the exposure of {device!r} cannot be set, only that of {V4L2_PREFIX}*; remove exposure_us")
    tool = shutil.which(EXPOSURE_TOOL)
    if tool is None:
        raise ConfigError(
            f"setting the exposure of {device!r} needs {EXPOSURE_TOOL} (Debian and Ubuntu: apt install v4l-utils); "
            "install it, or remove exposure_us"
        )
    answer = ""
    for mode, value in _EXPOSURE_CONTROLS:
        controls = f"{mode}=1,{value}={max(1, round(exposure_us / 100))}"
        done = subprocess.run([tool, "-d", device, "-c", controls], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        answer = answer or done.stderr.strip()
    raise ConfigError(f"{device!r} takes no exposure of {exposure_us:g} us: {answer}; remove exposure_us")
