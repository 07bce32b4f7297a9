"""A camera as a node: a real one, or one that renders what the topics of a simulated cell say."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from rclpy.context import Context
from sensor_msgs.msg import CameraInfo, CompressedImage
from sensor_msgs.msg import Image as ImageMessage

from robot_rl.core.errors import ConfigError, DeviceError, unknown_name
from robot_rl.core.imperfections import Imperfections
from robot_rl.core.protocols import Camera
from robot_rl.core.scene import SceneObject
from robot_rl.core.types import Frame
from robot_rl.hardware.cameras.driver import CameraDriver
from robot_rl.hardware.cameras.exposures import RateLimit
from robot_rl.hardware.cameras.intrinsics import PLUMB_BOB, Intrinsics
from robot_rl.hardware.cameras.make import make_camera
from robot_rl.hardware.cameras.mirror import MirrorCamera
from robot_rl.hardware.cameras.picture import encode_jpeg
from robot_rl.hardware.cell.description import CellConfig
from robot_rl.hardware.cell.scene import Scene
from robot_rl.hardware.imperfect.devices import ImperfectCamera
from robot_rl.hardware.imperfect.timeline import Timeline
from robot_rl.hardware.ros import names
from robot_rl.hardware.ros.messages import image_message, stamp_of
from robot_rl.hardware.ros.node import CellNode, Health, Level
from robot_rl.hardware.ros.nodes.mirror_feed import MirrorFeed
from robot_rl.hardware.ros.nodes.rate import RateMeter
from robot_rl.hardware.ros.qos import STREAM_OUT

MAX_HZ = 240.0
MAX_EXPOSURE_US = 1e6
# How often a simulated camera with a slow connection looks whether a frame has arrived.
ARRIVALS_HZ = 200.0
# A rate below this share of what is asked for is worth a warning.
POOR_RATE = 0.8


class CameraNode(CellNode):
    """Publishes the pictures of one camera with the times at which they were taken, each once.

    Args:
        name: of the camera in the cell's description; the node is called ``camera_<name>``.
        config: the cell.
        context: of the process.
        objects: of the task, which a simulated camera shows.

    Raises:
        ConfigError: the cell has no such camera.
    """

    def __init__(self, name: str, config: CellConfig, context: Context, objects: Sequence[SceneObject] = ()) -> None:
        if name not in config.cameras:
            raise ConfigError(unknown_name("camera", name, config.cameras))
        super().__init__(f"camera_{name}", config, context)
        self._camera_name, self._camera, self._objects = name, config.cameras[name], tuple(objects)
        self._simulated = self._camera.provider == "sim"
        self._hz = self._camera.hz
        self._driver: CameraDriver | None = None
        self._source: Camera | None = None
        self._feed: MirrorFeed | None = None
        self._limit: RateLimit | None = None
        self._outputs: list[Any] = []
        self._guard: Any = None
        self._timer: Any = None
        self._running = False
        self._sequence, self._t_s = -1, 0.0
        self._lost = self._published = 0
        self._meter = RateMeter(1.0 / self._camera.hz, self.now_s)
        most_hz = MAX_HZ if self._simulated else self._camera.hz
        exposure_us = self._camera.exposure_us or 0.0
        self.live("hz", self._hz, 1.0, most_hz, "pictures published per second", self._set_hz)
        text = "fixed exposure time in microseconds; 0 leaves it to the camera, at the start"
        self.live("exposure_us", exposure_us, 0.0, MAX_EXPOSURE_US, text, self._set_exposure_us)

    def open(self) -> None:
        """Open the device, or listen to what a simulated camera shows."""
        if self._simulated:
            self._driver = self._source = self._open_mirror()
            if not (self.config.imperfections.camera_off and self.config.imperfections.picture_off):
                self._source = self._imperfect(self._driver, self.config.imperfections)
        else:
            self._driver = self._source = make_camera(self._camera)
            self._guard = self.create_guard_condition(self._publish_new)
            self._driver.listen(self._guard.trigger)
        self._sequence = -1
        kinds = {ImageMessage: names.image, CameraInfo: names.camera_info}
        if self._camera.compressed:
            kinds[CompressedImage] = names.compressed
        self._outputs = [self.create_publisher(k, topic(self._camera_name), STREAM_OUT) for k, topic in kinds.items()]

    def start(self) -> None:
        """Publish from now on."""
        self._running = True
        self._meter.start()
        self._set_hz(self._hz)

    def halt(self) -> None:
        """Publish no more."""
        self._running = False
        self._drop_timer()

    def shut(self) -> None:
        """Release the device."""
        if self._feed is not None:
            self._feed.close()
        if self._driver is not None:
            self._driver.close()
        # Only now does nobody trigger it any more.
        if self._guard is not None:
            self.destroy_guard_condition(self._guard)
        for output in self._outputs:
            self.destroy_publisher(output)
        self._feed = self._driver = self._source = self._guard = None
        self._outputs = []

    def health(self) -> list[Health]:
        """Rate, age of the newest picture, losses; an error once the camera counts as stopped."""
        assert self._driver is not None
        report, facts = self._meter.report(), dict(self._driver.health())
        problem = facts.get("problem", "")
        values: dict[str, object] = {
            "rate_hz": f"{report.hz:.1f}",
            "age_s": f"{report.age_s:.3f}",
            "published": self._published,
        }
        if report.age_s > self._camera.max_age_s:
            since = f"for {report.age_s:.1f} s" if math.isfinite(report.age_s) else "yet"
            level, text = Level.ERROR, f"no picture {since}" + (f": {problem}" if problem else "")
        elif report.hz < POOR_RATE * self._expected_hz:
            level, text = Level.WARN, f"{report.hz:.1f} pictures per second, expected {self._expected_hz:g}"
        else:
            level, text = Level.OK, f"{report.hz:.1f} pictures per second"
        values |= {"lost": self._lost, **facts}
        return [Health(level, text, values, hardware_id=self._camera.device or self._camera.provider)]

    @property
    def _expected_hz(self) -> float:
        """Pictures per second that the source should give."""
        if not self._simulated:
            return self._camera.hz
        settings = self.config.imperfections
        return self._hz if settings.camera_off else settings.camera_hz * (1.0 - settings.camera_drop)

    def _open_mirror(self) -> MirrorCamera:
        gripper = self.config.gripper.provider != "none"
        camera = MirrorCamera(self._camera, self._objects, gripper=gripper)
        self._feed = MirrorFeed(self, camera, self._objects, gripper=gripper)
        return camera

    def _imperfect(self, camera: Camera, settings: Imperfections) -> ImperfectCamera:
        slow = ImperfectCamera(camera, Timeline(_SystemClock()), settings)
        # The index that the same camera has in a cell in one process: behind arm and gripper.
        index = 2 + list(self.config.cameras).index(self._camera_name)
        slow.restart(np.random.default_rng((self.config.seed, index)))
        return slow

    def _publish_new(self) -> None:
        """Publish the newest frame if it is a new one."""
        if not self._running or self._source is None:
            return
        try:
            if self._feed is not None:
                self._feed.poll()
            frame = self._source.read()
        except DeviceError as e:
            self.get_logger().warning(str(e), throttle_duration_sec=5.0)
            return
        if frame.sequence <= self._sequence or frame.t_s <= self._t_s:
            return
        self._lost += frame.sequence - self._sequence - 1 if self._sequence >= 0 else 0
        self._meter.tick(frame.t_s)
        self._sequence, self._t_s = frame.sequence, frame.t_s
        if self._limit is None or self._limit.passes(frame.t_s):
            self._publish(frame)

    def _publish(self, frame: Frame) -> None:
        assert self._driver is not None
        frame_id = names.optical_frame(self._camera_name)
        pictures, infos, *compressed = self._outputs
        pictures.publish(image_message(frame.image, frame_id, frame.t_s))
        infos.publish(info_message(self._driver.intrinsics, self._driver.shape, frame_id, frame.t_s))
        for output in compressed:
            message = CompressedImage(format="jpeg", data=encode_jpeg(frame.image))
            message.header.stamp, message.header.frame_id = stamp_of(frame.t_s), frame_id
            output.publish(message)
        self._published += 1

    def _set_hz(self, hz: float) -> None:
        self._hz = hz
        # A perfect simulated camera makes a frame when asked; the others have a rate of their own.
        own_hz = self._camera.hz
        if self._simulated:
            own_hz = hz if self.config.imperfections.camera_off else self.config.imperfections.camera_hz
        self._limit = RateLimit(hz) if hz < own_hz else None
        self._drop_timer()
        if self._running and self._simulated:
            period_s = 1.0 / (hz if self.config.imperfections.camera_off else ARRIVALS_HZ)
            self._timer = self.create_timer(period_s, self._publish_new)

    def _set_exposure_us(self, exposure_us: float) -> None:
        if exposure_us <= 0.0:
            raise ConfigError("exposure_us 0 leaves the exposure to the camera, which is decided when the node starts")
        if self._simulated:
            raise ConfigError("a simulated camera has no exposure")
        if self._driver is not None:
            self._driver.set_exposure_us(exposure_us)
        self._camera = replace(self._camera, exposure_us=exposure_us)

    def _drop_timer(self) -> None:
        if self._timer is not None:
            self.destroy_timer(self._timer)
            self._timer = None


def make_nodes(config: CellConfig, scene: Scene, context: Context, camera: str = "") -> list[CameraNode]:
    """The node of one camera, by its name in the description."""
    return [CameraNode(camera, config, context, scene.objects)]


class _SystemClock:
    def now_s(self) -> float:
        return time.time()

    def sleep_until(self, t_s: float) -> None:
        time.sleep(max(t_s - time.time(), 0.0))


def info_message(intrinsics: Intrinsics | None, shape: tuple[int, int, int], frame_id: str, t_s: float) -> CameraInfo:
    """Calibration of a picture; a focal length of zero says that there is none, as ROS has it.

    Args:
        intrinsics: of the picture.
        shape: (height, width, 3) of it.
        frame_id: its optical frame.
        t_s: its time.
    """
    message = CameraInfo()
    message.header.stamp, message.header.frame_id = stamp_of(t_s), frame_id
    message.height, message.width = int(shape[0]), int(shape[1])
    if intrinsics is None:
        return message
    fx, fy, cx, cy = (float(v) for v in (intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy))
    message.distortion_model = intrinsics.model or PLUMB_BOB
    message.d = [float(v) for v in intrinsics.distortion]
    message.k = [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message
