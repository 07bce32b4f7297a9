"""Camera nodes in processes of their own, seen by a node of the test."""

from __future__ import annotations

import io
import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from PIL import Image as Pillow
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, JointState
from sensor_msgs.msg import Image as ImageMessage

from robot_rl.core.errors import ConfigError, DeviceError
from robot_rl.core.imperfections import Imperfections
from robot_rl.hardware.cell.description import CameraConfig, CellConfig
from robot_rl.hardware.mujoco.panda import Q_HOME_RAD
from robot_rl.hardware.ros import names
from robot_rl.hardware.ros.calls import Calls
from robot_rl.hardware.ros.executor import Spinner, open_context
from robot_rl.hardware.ros.messages import image_of, joints_message, pose_message, seconds_of
from robot_rl.hardware.ros.nodes.camera import CameraNode
from robot_rl.hardware.ros.qos import STREAM_IN, STREAM_OUT
from tests.hardware.ros.conftest import NodeProcess, test_cell, wait_until

CUBE_POSE = (0.5, 0.0, 0.02, 0.0, 0.0, 0.0, 1.0)
Start = Callable[..., NodeProcess]


class Bench:
    """Publishes at 100 Hz what an arm, a gripper and a world node would, and keeps what cameras publish.

    Args:
        config: the cell.
        camera: to listen to.
    """

    def __init__(self, config: CellConfig, camera: str = "eye") -> None:
        self.config, self.node_name = config, f"camera_{camera}"
        self.q_rad = Q_HOME_RAD.copy()
        self.moving, self.publishing = False, True
        self.joints_s: list[float] = []
        self.pictures: list[ImageMessage] = []
        self.arrived_s: list[float] = []
        self.infos: list[CameraInfo] = []
        self.jpegs: list[CompressedImage] = []
        self.health: list[DiagnosticStatus] = []
        self.spinner = Spinner("bench", config)
        node = self.spinner.node
        self._joints = node.create_publisher(JointState, names.JOINT_STATES, STREAM_OUT)
        self._fingers = node.create_publisher(JointState, names.GRIPPER_STATES, STREAM_OUT)
        self._cube = node.create_publisher(PoseStamped, names.object_pose("cube"), STREAM_OUT)
        # As cameras are read, but deep enough that a busy machine makes this node lose nothing.
        deep = QoSProfile(depth=50, reliability=STREAM_IN.reliability)
        node.create_subscription(ImageMessage, names.image(camera), self._on_picture, deep)
        node.create_subscription(CameraInfo, names.camera_info(camera), self.infos.append, deep)
        node.create_subscription(CompressedImage, names.compressed(camera), self.jpegs.append, deep)
        node.create_subscription(DiagnosticArray, names.DIAGNOSTICS, self._on_health, 10)
        self.calls = Calls(self.spinner)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._publish)
        self._thread.start()

    def wait_for(self, n: int) -> list[ImageMessage]:
        """The next `n` pictures."""
        have = len(self.pictures)
        wait_until(lambda: len(self.pictures) >= have + n, f"{n} pictures")
        return self.pictures[have : have + n]

    def pairs(self) -> list[tuple[ImageMessage, CompressedImage]]:
        """Pictures beside their JPEG."""
        return [(p, j) for j in self.jpegs for p in self.pictures if p.header.stamp == j.header.stamp]

    def fact(self, key: str) -> float:
        """A number of the newest word on the node's health."""
        return float({v.key: v.value for v in self.health[-1].values}[key])

    def levels(self) -> bytes:
        return self.health[-1].level if self.health else b""

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self.spinner.close()

    def _publish(self) -> None:
        while not self._stop.wait(0.01):
            if not self.publishing:
                continue
            t_s = time.time()
            if self.moving:
                self.q_rad = Q_HOME_RAD + 0.2 * np.sin(2 * t_s)
            self.joints_s.append(t_s)
            self._cube.publish(pose_message(CUBE_POSE, names.BASE_FRAME, t_s))
            self._fingers.publish(joints_message([names.GRIPPER_JOINT], [0.05], t_s))
            self._joints.publish(joints_message(names.JOINT_NAMES, self.q_rad, t_s))

    def _on_picture(self, message: ImageMessage) -> None:
        self.arrived_s.append(time.time())
        self.pictures.append(message)

    def _on_health(self, message: DiagnosticArray) -> None:
        self.health += [s for s in message.status if self.node_name in s.name]


def cell_with(camera: CameraConfig, **changes: Any) -> CellConfig:
    return test_cell("sim", cameras={"eye": camera}, **changes)


@pytest.fixture
def bench() -> Iterator[Callable[[CellConfig], Bench]]:
    made: list[Bench] = []

    def make(config: CellConfig) -> Bench:
        made.append(Bench(config))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.gl
def test_a_simulated_camera_shows_the_joints_of_its_stamps(start_node: Start, bench: Callable[..., Bench]) -> None:
    config = cell_with(CameraConfig(view="side", hz=10.0, max_age_s=0.5, compressed=True))
    b, node = bench(config), start_node(config, "camera:eye")
    still = b.wait_for(5)
    np.testing.assert_array_equal(image_of(still[-2]), image_of(still[-1]))
    b.moving = True
    wait_until(lambda: not np.array_equal(image_of(b.pictures[-1]), image_of(still[-1])), "motion")
    pictures = b.wait_for(15)

    stamps_s = [seconds_of(p.header.stamp) for p in b.pictures]
    assert all(np.diff(stamps_s) > 0), "each picture once, and in order"
    assert all(a >= t for a, t in zip(b.arrived_s, stamps_s, strict=False)), "none of the future"
    published_s = np.array(b.joints_s)
    assert max(np.abs(published_s - t).min() for t in stamps_s) < 1e-6, "stamps are those of joint states"
    first = pictures[0]
    assert (first.height, first.width, first.encoding, first.step) == (128, 128, "rgb8", 384)
    assert first.header.frame_id == "eye_color_optical_frame"
    assert sum(not np.array_equal(image_of(a), image_of(b)) for a, b in itertools.pairwise(pictures)) > 10

    wait_until(lambda: b.infos, "a calibration")
    info = b.infos[-1]
    assert (info.height, info.width, info.distortion_model) == (128, 128, "plumb_bob")
    assert info.k[0] == pytest.approx(64 / np.tan(np.radians(21)))
    assert (info.k[2], info.k[5], list(info.d)) == (63.5, 63.5, [0.0] * 5)
    assert info.header.frame_id == "eye_color_optical_frame"
    wait_until(b.pairs, "a picture and its JPEG")
    picture, jpeg = b.pairs()[0]
    decoded = np.asarray(Pillow.open(io.BytesIO(bytes(jpeg.data)))).astype(int)
    assert np.abs(decoded - image_of(picture)).mean() < 5.0

    wait_until(lambda: b.levels() == DiagnosticStatus.OK and 8.0 <= b.fact("rate_hz") <= 15.0, "good health at 10 Hz")
    assert b.fact("age_s") <= 0.5
    assert node.close() == 0


@pytest.mark.gl
def test_it_stops_with_what_it_shows_and_goes_on_with_it(start_node: Start, bench: Callable[..., Bench]) -> None:
    config = cell_with(CameraConfig(view="side", hz=10.0, max_age_s=0.5))
    b = bench(config)
    b.publishing = False
    start_node(config, "camera:eye")
    wait_until(
        lambda: b.health and "nothing was heard of cube, gripper, joints" in b.health[-1].message, "what is missing"
    )
    assert b.levels() == DiagnosticStatus.ERROR
    b.publishing = True
    b.wait_for(3)
    b.publishing = False
    wait_until(lambda: "no picture for" in b.health[-1].message, "an error")
    assert b.levels() == DiagnosticStatus.ERROR
    time.sleep(0.3)
    b.publishing = True
    b.wait_for(3)
    stamps_s = np.array([seconds_of(p.header.stamp) for p in b.pictures])
    assert (np.diff(stamps_s) > 0).all(), "an old picture came again"
    wait_until(lambda: b.levels() == DiagnosticStatus.OK, "good health")


@pytest.mark.gl
def test_a_frozen_camera_repeats_nothing_when_it_goes_on(start_node: Start, bench: Callable[..., Bench]) -> None:
    config = cell_with(CameraConfig(view="side"))
    b, node = bench(config), start_node(config, "camera:eye")
    b.wait_for(3)
    node.kill(signal.SIGSTOP)
    time.sleep(0.5)
    have, resumed_s = len(b.pictures), time.time()
    time.sleep(0.3)
    assert len(b.pictures) == have
    node.kill(signal.SIGCONT)
    b.wait_for(5)
    stamps_s = np.array([seconds_of(p.header.stamp) for p in b.pictures])
    assert (np.diff(stamps_s) > 0).all()
    assert stamps_s[-1] > resumed_s
    assert node.close() == 0


@pytest.mark.gl
def test_pictures_of_640x480_arrive_without_loss(start_node: Start, bench: Callable[..., Bench]) -> None:
    config = cell_with(CameraConfig(view="side", image_size=None, hz=10.0))
    b = bench(config)
    start_node(config, "camera:eye")
    b.wait_for(2)
    assert b.pictures[-1].width == 640
    # Every picture has a calibration of the same stamp on a topic of its own, before or behind it on a busy machine.
    have = len(b.infos)
    wait_until(lambda: len(b.infos) >= have + 30, "30 calibrations")
    announced = {seconds_of(i.header.stamp) for i in b.infos[have:]}
    wait_until(lambda: announced <= {seconds_of(p.header.stamp) for p in b.pictures}, "every picture announced so far")


@pytest.mark.gl
def test_rate_is_live_and_ranges_are_kept(start_node: Start, bench: Callable[..., Bench]) -> None:
    config = cell_with(CameraConfig(view="side", hz=20.0))
    b = bench(config)
    start_node(config, "camera:eye")
    b.wait_for(3)
    b.calls.set_parameters("camera_eye", {"hz": 5.0})
    b.wait_for(2)
    stamps_s = [seconds_of(p.header.stamp) for p in b.wait_for(5)]
    assert np.median(np.diff(stamps_s)) > 0.1
    with pytest.raises(DeviceError, match="refuses hz"):
        b.calls.set_parameters("camera_eye", {"hz": 1000.0})
    with pytest.raises(DeviceError, match="a simulated camera has no exposure"):
        b.calls.set_parameters("camera_eye", {"exposure_us": 5000.0})


@pytest.mark.gl
@pytest.mark.slow
def test_imperfections_delay_and_drop_pictures(start_node: Start, bench: Callable[..., Bench]) -> None:
    settings = Imperfections(camera_delay_s=0.15, camera_jitter_s=0.02, camera_drop=0.3, camera_hz=20.0)
    config = cell_with(CameraConfig(view="side"), imperfections=settings)
    b = bench(config)
    start_node(config, "camera:eye")
    b.wait_for(5)
    have = len(b.pictures)
    b.wait_for(30)
    stamps_s = np.array([seconds_of(p.header.stamp) for p in b.pictures[have:]])
    ages_s = np.array(b.arrived_s[have : have + len(stamps_s)]) - stamps_s
    assert ages_s.min() >= 0.15
    assert (np.diff(stamps_s) > 0).all()
    # Exposures every 50 ms, of which some are missing.
    assert np.median(np.diff(stamps_s)) > 0.03
    assert np.diff(stamps_s).max() > 0.08


@pytest.mark.gl
@pytest.mark.slow
def test_what_a_lens_and_a_sensor_add_is_published(start_node: Start, bench: Callable[..., Bench]) -> None:
    config = cell_with(CameraConfig(view="side"), imperfections=Imperfections(camera_shot_noise=0.1))
    b = bench(config)
    start_node(config, "camera:eye")
    # Nothing moves, so that only noise can tell one picture from another.
    last = [image_of(p).astype(float) for p in b.wait_for(8)[-2:]]
    assert 1.0 < np.abs(last[0] - last[1]).mean() < 60.0


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Long enough for a test, of pictures that differ."""
    path = tmp_path / "video.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=30)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuvj420p"
        for n in range(60):
            frame = av.VideoFrame.from_ndarray(np.full((120, 160, 3), 4 * n, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_a_real_camera_that_comes_and_goes(start_node: Start, bench: Callable[..., Bench], video: Path) -> None:
    link = video.with_name("camera.mkv")
    camera = CameraConfig(provider="uvc", device=str(link), width=160, height=120, image_size=(60, 80), max_age_s=0.3)
    config = cell_with(camera)
    b = bench(config)
    start_node(config, "camera:eye")
    wait_until(lambda: b.health and "cannot open the camera" in b.health[-1].message, "a device that is not there")
    assert b.levels() == DiagnosticStatus.ERROR
    link.symlink_to(video)
    b.wait_for(1)
    link.unlink()
    wait_until(lambda: "no picture for" in b.health[-1].message and "cannot open" in b.health[-1].message, "unplugging")
    assert b.levels() == DiagnosticStatus.ERROR
    have = len(b.pictures)
    link.symlink_to(video)
    wait_until(lambda: len(b.pictures) > have, "pictures again")
    assert b.pictures[-1].height == 60
    wait_until(lambda: b.infos, "a calibration")
    assert b.infos[-1].k[0] == 0.0, "not calibrated"
    stamps_s = np.array([seconds_of(p.header.stamp) for p in b.pictures])
    assert (np.diff(stamps_s) > 0).all()
    with pytest.raises(DeviceError, match="cannot be set"):
        b.calls.set_parameters("camera_eye", {"exposure_us": 5000.0})


def test_an_unknown_camera_is_an_error() -> None:
    config = test_cell("sim", cameras={"eye": CameraConfig()})
    context = open_context(config)
    try:
        with pytest.raises(ConfigError, match="unknown camera 'ear'"):
            CameraNode("ear", config, context)
        with pytest.raises(ConfigError, match="unknown camera 'ear'"):
            CameraNode("ear", replace(config, cameras={}), context)
    finally:
        context.try_shutdown()
