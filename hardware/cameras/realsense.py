"""Intel RealSense cameras through pyrealsense2, which is imported when one is opened."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from robot_rl.core.errors import ConfigError, DeviceError
from robot_rl.hardware.cameras.exposures import DeviceTime
from robot_rl.hardware.cameras.intrinsics import PLUMB_BOB, Intrinsics
from robot_rl.hardware.cameras.stream import Shot, StreamCamera
from robot_rl.hardware.cell.description import CameraConfig

# The colour sensor counts exposure in these; the stereo sensor, which gives the colour of a D405, in microseconds.
COLOUR_EXPOSURE_US = 100.0


def load_library() -> Any:
    """The module pyrealsense2.

    Raises:
        ConfigError: it or a library of the system that it needs is missing; says what to install.
    """
    try:
        return importlib.import_module("pyrealsense2")
    except ImportError as e:
        raise ConfigError(
            f"cannot load pyrealsense2 ({e}); install robot-rl[realsense], and the library libusb-1.0 "
            "(Debian and Ubuntu: apt install libusb-1.0-0)"
        ) from e


def find_device(serial: str) -> Any:
    """The connected device of a serial number, or the only one if it is empty.

    Raises:
        DeviceError: there is none such, or several to choose from; names those there are.
    """
    rs = load_library()
    devices = {d.get_info(rs.camera_info.serial_number): d for d in rs.context().query_devices()}
    if serial in devices:
        return devices[serial]
    if not serial and len(devices) == 1:
        return next(iter(devices.values()))
    there = ", ".join(sorted(devices)) or "none"
    raise DeviceError(f"no RealSense with serial number {serial!r}; connected are: {there}")


class RealsenseCamera(StreamCamera):
    """The colour stream of a RealSense.

    Frames carry the time at which the hardware took them: the library's global time where the device supports it,
    otherwise `DeviceTime` estimates it from the device's clock. A device that stalls is reset; one that is unplugged
    is opened again when it is back.

    Args:
        config: of the camera; `device` is the serial number.
        now_s: the system's clock.
        find: gives the device of a serial number.

    Raises:
        ConfigError: the library is missing, or the device has no such mode.
        DeviceError: there is no such device, or it gives no picture.
    """

    def __init__(
        self,
        config: CameraConfig,
        now_s: Callable[[], float] = time.time,
        find: Callable[[str], Any] = find_device,
    ) -> None:
        super().__init__(config, lambda c: RealsenseStream(c, find(c.device), now_s), now_s)


class RealsenseStream:
    """An open device.

    Args:
        config: of the camera.
        device: of the library.
        now_s: the system's clock.

    Raises:
        ConfigError: the device has no such mode, or no such exposure.
    """

    def __init__(self, config: CameraConfig, device: Any, now_s: Callable[[], float]) -> None:
        self._rs, self._device, self._now_s = load_library(), device, now_s
        self._sensor, profile = find_mode(self._rs, device, config)
        self.intrinsics: Intrinsics | None = to_intrinsics(profile.as_video_stream_profile().get_intrinsics())
        self._time = DeviceTime()
        # So that a dark scene does not lower the rate.
        self._set(self._rs.option.auto_exposure_priority, 0.0)
        self._set(self._rs.option.global_time_enabled, 1.0)
        if config.exposure_us is not None:
            self.set_exposure_us(config.exposure_us)
        self._frames = self._rs.frame_queue(1)
        self._sensor.open(profile)
        try:
            self._sensor.start(self._frames)
        except RuntimeError:
            self._sensor.close()
            raise

    def grab(self, timeout_s: float) -> Shot | None:
        """The next picture; its memory is the library's."""
        there, frame = self._frames.try_wait_for_frame(round(timeout_s * 1e3))
        if not there:
            return None
        arrival_s, t_s = self._now_s(), frame.get_timestamp() * 1e-3
        if frame.get_frame_timestamp_domain() == self._rs.timestamp_domain.hardware_clock:
            t_s = self._time.to_system(t_s, arrival_s)
        image = np.asarray(frame.as_video_frame().get_data())
        return Shot(image, t_s, int(frame.get_frame_number()))

    def set_exposure_us(self, exposure_us: float) -> None:
        """Fix the exposure time; the device rounds it to its own steps.

        Raises:
            ConfigError: the device has no such option, or not this value.
        """
        option = self._rs.option
        if not self._sensor.supports(option.exposure):
            raise ConfigError("the exposure of this RealSense sensor cannot be set; remove exposure_us")
        unit_us = 1.0 if self._sensor.is_depth_sensor() else COLOUR_EXPOSURE_US
        bounds, value = self._sensor.get_option_range(option.exposure), exposure_us / unit_us
        if not bounds.min <= value <= bounds.max:
            between = f"{bounds.min * unit_us:g} and {bounds.max * unit_us:g}"
            raise ConfigError(f"camera exposure_us is {exposure_us:g}, this RealSense takes between {between}")
        self._set(option.enable_auto_exposure, 0.0)
        self._sensor.set_option(option.exposure, float(round(value)))

    def reset(self) -> None:
        """Restart the device, which comes back under the same serial number after some seconds."""
        # One that was unplugged cannot be.
        with suppress(RuntimeError):
            self._device.hardware_reset()

    def close(self) -> None:
        """Stop streaming."""
        self._sensor.stop()
        self._sensor.close()

    def _set(self, option: Any, value: float) -> None:
        if self._sensor.supports(option):
            self._sensor.set_option(option, value)


def find_mode(rs: Any, device: Any, config: CameraConfig) -> tuple[Any, Any]:
    """The sensor and the profile of a device that give colour pictures as described.

    Raises:
        ConfigError: there is none; lists what the device offers.
    """
    wanted = (config.width, config.height, round(config.hz))
    offered = set()
    for sensor in device.query_sensors():
        for profile in sensor.get_stream_profiles():
            if profile.stream_type() != rs.stream.color or profile.format() != rs.format.rgb8:
                continue
            video = profile.as_video_stream_profile()
            mode = (video.width(), video.height(), profile.fps())
            if mode == wanted:
                return sensor, profile
            offered.add(mode)
    modes = ", ".join(f"{w}x{h} at {hz} Hz" for w, h, hz in sorted(offered)) or "no colour at all"
    raise ConfigError(f"this RealSense has no mode {wanted[0]}x{wanted[1]} at {wanted[2]} Hz; it offers {modes}")


def to_intrinsics(given: Any) -> Intrinsics:
    """The library's intrinsics in our words.

    A distortion other than Brown-Conrady keeps the library's name, so that nobody takes its coefficients for those of
    ``plumb_bob``; without coefficients there is none.
    """
    coefficients = tuple(float(c) for c in given.coeffs)
    model = given.model.name
    plain = model in ("brown_conrady", "none") or not any(coefficients)
    return Intrinsics(
        width=given.width,
        height=given.height,
        fx=given.fx,
        fy=given.fy,
        cx=given.ppx,
        cy=given.ppy,
        model=PLUMB_BOB if plain else model,
        distortion=coefficients,
    )
