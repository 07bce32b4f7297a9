"""The driver on generated videos: files, and a network camera that is a thread of the test with a real socket."""

from __future__ import annotations

import socket
import stat
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from robot_rl.core.errors import ConfigError, DeviceError
from robot_rl.core.protocols import Camera
from robot_rl.hardware.cameras.driver import CameraDriver
from robot_rl.hardware.cameras.make import make_camera
from robot_rl.hardware.cameras.uvc import EXPOSURE_TOOL, UvcCamera, set_exposure, v4l2_options
from robot_rl.hardware.cell.description import CameraConfig
from robot_rl.testing import CameraContract

WIDTH, HEIGHT = 160, 120
AGE_S = 0.5
MICROSECONDS = Fraction(1, 1_000_000)


def picture(n: int) -> Any:
    """Red grows to the right, green downwards, blue from picture to picture."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.stack([columns, rows, np.full_like(rows, (16 * n) % 256)], -1).astype(np.uint8)


def open_video(target: Any, **options: str) -> tuple[Any, Any]:
    container = av.open(target, "w", format="nut", options=options)
    stream = container.add_stream("rawvideo", rate=30)
    stream.width, stream.height, stream.pix_fmt, stream.time_base = WIDTH, HEIGHT, "rgb24", MICROSECONDS
    stream.codec_context.time_base = MICROSECONDS
    return container, stream


def write_picture(container: Any, stream: Any, n: int, t_s: float) -> None:
    frame = av.VideoFrame.from_ndarray(picture(n), format="rgb24")
    frame.pts, frame.time_base = round(t_s * 1e6), MICROSECONDS
    container.mux(stream.encode(frame))


def config_of(device: object, **changes: Any) -> CameraConfig:
    settings = {"width": WIDTH, "height": HEIGHT, "image_size": None, "max_age_s": 0.1, **changes}
    return CameraConfig(provider="uvc", device=str(device), **settings)


class NetworkCamera:
    """Sends pictures to whoever connects, stamped as if they had been taken half a second ago."""

    def __init__(self) -> None:
        self._stop, self.plugged = threading.Event(), True
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            with connection, connection.makefile("wb", buffering=0) as pipe:
                self._send(pipe)

    def _send(self, pipe: Any) -> None:
        try:
            container, stream = open_video(pipe, flush_packets="1")
            for n in range(10_000):
                if self._stop.is_set() or not self.plugged:
                    break
                write_picture(container, stream, n, time.time() - AGE_S)
                time.sleep(0.02)
            container.close()
        except OSError:
            pass

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._listener.close()


@pytest.fixture
def network() -> Iterator[NetworkCamera]:
    camera = NetworkCamera()
    yield camera
    camera.close()


class TestUvcCamera(CameraContract):
    period_s = 0.5

    @pytest.fixture(autouse=True)
    def _network(self, network: NetworkCamera) -> None:
        self.network = network

    def make(self) -> Camera:
        return make_camera(config_of(self.network.address))

    def test_is_a_driver(self, device: Camera) -> None:
        assert isinstance(device, CameraDriver)
        assert device.intrinsics is None


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "video.nut"
    container, stream = open_video(str(path))
    for n in range(40):
        write_picture(container, stream, n, n / 30)
    container.close()
    return path


def test_a_file_is_played_with_the_times_at_which_its_pictures_come(video: Path) -> None:
    before_s = time.time()
    camera = UvcCamera(config_of(video, crop=(20, 10, 100, 80), image_size=(80, 100)))
    try:
        frame = camera.read()
        assert before_s <= frame.t_s <= time.time()
        np.testing.assert_array_equal(frame.image[..., :2], picture(0)[10:90, 20:120, :2])
        assert camera.shape == (80, 100, 3)
    finally:
        camera.close()


def test_the_time_that_a_stream_says_is_believed_if_it_can_be(network: NetworkCamera) -> None:
    camera = UvcCamera(config_of(network.address))
    try:
        frame = camera.read()
        assert time.time() - frame.t_s >= AGE_S - 1e-6
    finally:
        camera.close()


def test_it_comes_back_after_it_was_unplugged(network: NetworkCamera) -> None:
    camera = UvcCamera(config_of(network.address))
    try:
        network.plugged = False
        end_s = time.monotonic() + 20.0
        while "problem" not in camera.health():
            assert time.monotonic() < end_s
            time.sleep(0.01)
        last = camera.read()
        network.plugged = True
        while camera.read().sequence < last.sequence + 3:
            assert time.monotonic() < end_s
            time.sleep(0.01)
        assert camera.read().t_s > last.t_s
        assert "problem" not in camera.health()
    finally:
        camera.close()


def test_a_size_other_than_described_is_an_error(video: Path) -> None:
    with pytest.raises(DeviceError, match="pictures of 160x120, the description says 320x240"):
        UvcCamera(config_of(video, width=320, height=240))


def test_no_device_and_no_video_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="cannot open the camera '/dev/video99'"):
        UvcCamera(config_of("/dev/video99"))
    text = tmp_path / "text.nut"
    text.write_text("no video")
    with pytest.raises(DeviceError, match=r"cannot open the camera .*text\.nut"):
        UvcCamera(config_of(text))


def test_a_closed_camera_says_so(network: NetworkCamera) -> None:
    camera = UvcCamera(config_of(network.address))
    camera.close()
    with pytest.raises(DeviceError, match="is closed"):
        camera.read()


def test_what_a_device_is_asked_for() -> None:
    small = v4l2_options(CameraConfig(provider="uvc", device="/dev/video0"))
    assert small == {"video_size": "640x480", "framerate": "30", "timestamps": "abs"}
    large = v4l2_options(CameraConfig(provider="uvc", device="/dev/video0", width=1280, height=720))
    assert large["input_format"] == "mjpeg"


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of the tool's name that knows only the controls of older kernels and writes down what it is told."""
    path, log = tmp_path / EXPOSURE_TOOL, tmp_path / "log"
    path.write_text(
        f'#!/bin/sh\necho "$@" >> {log}\n'
        'case "$4" in auto_exposure=*) echo "unknown control" >&2; exit 1;; *=200) echo "busy" >&2; exit 1;; esac\n'
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return log


def test_exposure_is_set_with_the_names_that_the_kernel_knows(tool: Path) -> None:
    set_exposure("/dev/video3", 8_000.0)
    assert tool.read_text().splitlines() == [
        "-d /dev/video3 -c auto_exposure=1,exposure_time_absolute=80",
        "-d /dev/video3 -c exposure_auto=1,exposure_absolute=80",
    ]


@pytest.mark.usefixtures("tool")
def test_an_exposure_that_the_device_refuses_is_an_error() -> None:
    with pytest.raises(ConfigError, match="takes no exposure of 20000 us: unknown control; remove exposure_us"):
        set_exposure("/dev/video3", 20_000.0)


def test_exposure_needs_the_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="apt install v4l-utils"):
        set_exposure("/dev/video3", 8_000.0)


def test_a_network_camera_has_no_exposure(network: NetworkCamera) -> None:
    with pytest.raises(ConfigError, match="cannot be set, only that of /dev/video"):
        UvcCamera(config_of(network.address, exposure_us=8_000.0))


def test_a_simulated_camera_is_no_device() -> None:
    with pytest.raises(ConfigError, match="provider 'sim' is no device, expected realsense or uvc"):
        make_camera(CameraConfig())
