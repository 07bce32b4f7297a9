"""Whether each real camera delivers pictures at the rate it is described with."""

from __future__ import annotations

import time

from robot_rl.core.errors import RobotRlError
from robot_rl.core.protocols import Camera
from robot_rl.hardware.cell.description import CameraConfig, CellConfig
from robot_rl.runtime.doctor.finding import Finding, bad, ok, warn

LOOK_S = 2.0
WARM_UP_S = 1.0


def check_cameras(config: CellConfig) -> list[Finding]:
    """Open each real camera for a few seconds. One that a running cell uses cannot be opened twice."""
    return [_check(name, camera) for name, camera in config.cameras.items() if camera.provider != "sim"]


def _check(name: str, camera: CameraConfig) -> Finding:
    from robot_rl.hardware.cameras.make import make_camera

    what = f"camera {name}"
    try:
        device = make_camera(camera, time.time)
    except RobotRlError as e:
        return bad(what, str(e), "plug it in; end a cell or program that uses it; check `device`")
    try:
        rate_hz = picture_rate_hz(device, LOOK_S)
    except RobotRlError as e:
        return bad(what, str(e), "unplug it and plug it in again, at a USB 3 port of its own")
    finally:
        device.close()
    text = f"{rate_hz:.1f} pictures a second of {camera.hz:g}"
    if rate_hz >= 0.9 * camera.hz:
        return ok(what, text)
    return warn(what, text, "fix a shorter exposure (exposure_us), or use a USB 3 port of its own")


def picture_rate_hz(camera: Camera, look_s: float) -> float:
    """New pictures per second, counted by their sequence numbers after a warm-up.

    Raises:
        DeviceError: the camera has stopped.
    """
    _wait(WARM_UP_S, camera)
    seen = _wait(look_s, camera)
    return seen / look_s


def _wait(seconds: float, camera: Camera) -> int:
    end_s, seen, last = time.monotonic() + seconds, 0, -1
    while time.monotonic() < end_s:
        sequence = camera.read().sequence
        seen += sequence != last
        last = sequence
        time.sleep(0.001)
    return seen
