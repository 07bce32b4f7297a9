"""The driver on the library's own software device: its sensors, profiles, queues and frames, without a camera."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from robot_rl.core.errors import ConfigError, DeviceError
from robot_rl.core.protocols import Camera
from robot_rl.hardware.cameras.driver import CameraDriver
from robot_rl.hardware.cameras.realsense import RealsenseCamera, find_device, find_mode, to_intrinsics
from robot_rl.hardware.cell.description import CameraConfig
from robot_rl.testing import CameraContract

rs = pytest.importorskip("pyrealsense2", exc_type=ImportError)

CONFIG = CameraConfig(provider="realsense", device="42", image_size=(60, 80), max_age_s=0.1)
TRANSPORT_S = 0.003
BOOT_S = 5000.0


class SoftDevice:
    """A colour camera of software whose pictures grow brighter one by one, stamped by a clock of its own.

    Args:
        domain: of its stamps.
        exposure: (least, most, unit) of an exposure option; None for a sensor without.
        numbers_from: number of its first frame.
    """

    def __init__(
        self, domain: str = "hardware_clock", exposure: tuple[float, float] | None = None, numbers_from: int = 0
    ) -> None:
        self.domain = getattr(rs.timestamp_domain, domain)
        self.device = rs.software_device()
        self.sensor = self.device.add_sensor("RGB Camera")
        if exposure is not None:
            bounds = rs.option_range()
            bounds.min, bounds.max, bounds.default, bounds.step = *exposure, exposure[0], 1.0
            self.sensor.add_option(rs.option.exposure, bounds)
        self.profile = self.sensor.add_video_stream(self._stream())
        self.number = numbers_from
        self.fed_s: dict[int, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._feed)
        self._thread.start()

    def _stream(self) -> Any:
        stream, intrinsics = rs.video_stream(), rs.intrinsics()
        intrinsics.width, intrinsics.height, intrinsics.model = 640, 480, rs.distortion.inverse_brown_conrady
        intrinsics.fx, intrinsics.fy, intrinsics.ppx, intrinsics.ppy = 600.0, 610.0, 319.5, 239.5
        intrinsics.coeffs = [0.0] * 5
        stream.type, stream.index, stream.uid, stream.fmt = rs.stream.color, 0, 1, rs.format.rgb8
        stream.width, stream.height, stream.fps, stream.bpp, stream.intrinsics = 640, 480, 30, 3, intrinsics
        return stream

    def _feed(self) -> None:
        while not self._stop.wait(0.02):
            self.send()

    def send(self) -> None:
        self.number += 1
        frame, taken_s = rs.software_video_frame(), time.time() - TRANSPORT_S
        self.fed_s[self.number] = taken_s
        offset_s = BOOT_S - 1.7e9 if self.domain == rs.timestamp_domain.hardware_clock else 0.0
        columns = np.arange(640) // 3
        picture = np.broadcast_to((columns + self.number).astype(np.uint8)[None, :, None], (480, 640, 3))
        frame.pixels, frame.stride, frame.bpp = np.ascontiguousarray(picture), 640 * 3, 3
        frame.timestamp, frame.domain = (taken_s + offset_s) * 1e3, self.domain
        frame.frame_number, frame.profile = self.number, self.profile.as_video_stream_profile()
        self.sensor.on_video_frame(frame)

    def freeze(self) -> None:
        self._stop.set()
        self._thread.join()


class Bench:
    """Devices that are plugged in one after the other."""

    def __init__(self) -> None:
        self.devices: list[SoftDevice] = []
        self.plugged = True
        self.asked: list[str] = []

    def plug(self, device: SoftDevice) -> SoftDevice:
        self.devices.append(device)
        return device

    def find(self, serial: str) -> Any:
        self.asked.append(serial)
        if not self.plugged:
            raise DeviceError("no such RealSense")
        return self.devices[-1].device

    def close(self) -> None:
        for device in self.devices:
            device.freeze()


@pytest.fixture
def bench() -> Any:
    bench = Bench()
    yield bench
    bench.close()


def wait_for_number(camera: Camera, number: int) -> None:
    end_s = time.monotonic() + 20.0
    while camera.read().sequence < number:
        assert time.monotonic() < end_s, "no new frames"
        time.sleep(0.01)


class TestRealsenseCamera(CameraContract):
    period_s = 0.5

    @pytest.fixture(autouse=True)
    def _bench(self, bench: Bench) -> None:
        self.bench = bench

    def make(self) -> Camera:
        self.bench.plug(SoftDevice())
        return RealsenseCamera(CONFIG, find=self.bench.find)

    def test_is_a_driver(self, device: Camera) -> None:
        assert isinstance(device, CameraDriver)
        assert self.bench.asked == ["42"]


@pytest.mark.parametrize("domain", ["hardware_clock", "system_time", "global_time"])
def test_frames_carry_the_time_at_which_they_were_taken(bench: Bench, domain: str) -> None:
    soft = bench.plug(SoftDevice(domain))
    camera = RealsenseCamera(CONFIG, find=bench.find)
    try:
        first = camera.read()
        wait_for_number(camera, 12)
        frame = camera.read()
        assert first.t_s < frame.t_s <= time.time()
        # The first pixel is the mean of eight columns, one brighter than the number of the picture.
        error_s = frame.t_s - soft.fed_s[int(frame.image[0, 0, 0]) - 1]
        if domain == "hardware_clock":
            # Transport cannot be told from the offset of the clocks: stamps are late by the shortest one seen.
            assert TRANSPORT_S <= error_s <= TRANSPORT_S + 0.1
        else:
            assert error_s == pytest.approx(0.0, abs=2e-6)
    finally:
        camera.close()


def test_pictures_are_cropped_resized_and_right_way_round(bench: Bench) -> None:
    bench.plug(SoftDevice())
    config = CameraConfig(provider="realsense", crop=(160, 0, 320, 480), image_size=(96, 64))
    camera = RealsenseCamera(config, find=bench.find)
    try:
        frame = camera.read()
        assert frame.image.shape == camera.shape == (96, 64, 3)
        # A ramp from left to right, modulo 256.
        steps = np.diff(frame.image[40, :, 0].astype(int)) % 256
        assert ((steps >= 1) & (steps <= 2)).mean() > 0.9
        fitted = camera.intrinsics
        assert fitted is not None
        assert (fitted.width, fitted.height, fitted.model) == (64, 96, "plumb_bob")
        assert fitted.fx == pytest.approx(600.0 * 64 / 320)
        assert fitted.cx == pytest.approx((319.5 + 0.5 - 160) * 64 / 320 - 0.5)
    finally:
        camera.close()


def test_a_lost_frame_is_a_gap(bench: Bench) -> None:
    soft = bench.plug(SoftDevice())
    camera = RealsenseCamera(replace(CONFIG, max_age_s=5.0), find=bench.find)
    try:
        wait_for_number(camera, 2)
        soft.freeze()
        time.sleep(0.3)
        last = camera.read().sequence
        soft.number += 5
        soft.send()
        wait_for_number(camera, last + 1)
        assert camera.read().sequence == last + 6
    finally:
        camera.close()


def test_it_comes_back_after_it_was_unplugged(bench: Bench) -> None:
    soft = bench.plug(SoftDevice(numbers_from=1000))
    camera = RealsenseCamera(CONFIG, find=bench.find)
    try:
        bench.plugged = False
        soft.freeze()
        end_s = time.monotonic() + 20.0
        while "problem" not in camera.health():
            assert time.monotonic() < end_s
            time.sleep(0.01)
        assert camera.health()["problem"] in ("no picture for 0.5 s", "no such RealSense")
        last = camera.read()
        with pytest.raises(DeviceError, match="away"):
            camera.set_exposure_us(1000.0)
        assert camera.read() is last
        bench.plug(SoftDevice(numbers_from=3))
        bench.plugged = True
        wait_for_number(camera, last.sequence + 3)
        assert camera.read().t_s > last.t_s
        assert "problem" not in camera.health()
        assert camera.health()["times opened"] == "2"
    finally:
        camera.close()


def test_new_frames_are_announced(bench: Bench) -> None:
    bench.plug(SoftDevice())
    camera = RealsenseCamera(CONFIG, find=bench.find)
    heard = threading.Semaphore(0)
    try:
        camera.listen(lambda: heard.release())
        assert all(heard.acquire(timeout=10.0) for _ in range(3))
    finally:
        camera.close()


def test_exposure_is_counted_in_units_of_the_colour_sensor(bench: Bench) -> None:
    soft = bench.plug(SoftDevice(exposure=(1.0, 10000.0)))
    config = CameraConfig(provider="realsense", exposure_us=8000.0)
    camera = RealsenseCamera(config, find=bench.find)
    try:
        assert soft.sensor.get_option(rs.option.exposure) == 80.0
        camera.set_exposure_us(12_340.0)
        assert soft.sensor.get_option(rs.option.exposure) == 123.0
        with pytest.raises(ConfigError, match=r"exposure_us is 10, this RealSense takes between 100 and 1e\+06"):
            camera.set_exposure_us(10.0)
        assert soft.sensor.get_option(rs.option.exposure) == 123.0
    finally:
        camera.close()


def test_a_sensor_without_exposure_says_so(bench: Bench) -> None:
    bench.plug(SoftDevice())
    with pytest.raises(ConfigError, match="remove exposure_us"):
        RealsenseCamera(CameraConfig(provider="realsense", exposure_us=8000.0), find=bench.find)


def test_a_mode_that_there_is_not_is_refused_with_those_there_are(bench: Bench) -> None:
    soft = bench.plug(SoftDevice())
    with pytest.raises(ConfigError, match="no mode 640x480 at 60 Hz; it offers 640x480 at 30 Hz"):
        find_mode(rs, soft.device, CameraConfig(provider="realsense", hz=60.0))


def test_a_camera_that_gives_nothing_is_an_error(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robot_rl.hardware.cameras.stream.FIRST_FRAME_S", 0.2)
    soft = bench.plug(SoftDevice())
    soft.freeze()
    with pytest.raises(DeviceError, match=r"'42' gives nothing: no picture within 0.2 s"):
        RealsenseCamera(CONFIG, find=bench.find)


def test_no_device_is_an_error_that_lists_those_there_are() -> None:
    with pytest.raises(DeviceError, match=r"serial number '1234567'; connected are: none"):
        find_device("1234567")


def test_a_distortion_of_another_kind_keeps_its_name() -> None:
    given = rs.intrinsics()
    given.width, given.height, given.fx, given.fy, given.ppx, given.ppy = 8, 6, 5.0, 5.0, 4.0, 3.0
    given.model, given.coeffs = rs.distortion.inverse_brown_conrady, [0.1, 0.0, 0.0, 0.0, 0.0]
    assert to_intrinsics(given).model == "inverse_brown_conrady"
    given.model = rs.distortion.brown_conrady
    assert to_intrinsics(given).model == "plumb_bob"
    assert to_intrinsics(given).distortion == pytest.approx((0.1, 0.0, 0.0, 0.0, 0.0))


def test_a_missing_library_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['pyrealsense2'] = None\n"
        "from robot_rl.hardware.cameras.make import make_camera\n"
        "from robot_rl.hardware.cell.description import CameraConfig\n"
        "make_camera(CameraConfig(provider='realsense'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "ConfigError: cannot load pyrealsense2" in done.stderr
    assert "apt install libusb-1.0-0" in done.stderr
