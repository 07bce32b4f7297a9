"""A real camera: a thread that keeps the newest picture, and opens the device again when it went away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from robot_rl.core.errors import DeviceError
from robot_rl.core.types import Frame, Image
from robot_rl.hardware.cameras.exposures import Numbering
from robot_rl.hardware.cameras.intrinsics import Intrinsics
from robot_rl.hardware.cameras.picture import fit
from robot_rl.hardware.cell.description import CameraConfig

FIRST_FRAME_S = 5.0
RETRY_S = 1.0
GRAB_S = 0.1
STALL_AGES = 5.0


@dataclass(frozen=True)
class Shot:
    """A picture as the device gives it.

    Attributes:
        image: ``uint8[H, W, 3]`` RGB, of the device's size; may be memory of the device's.
        t_s: system time at which it was taken.
        number: counts up while the device stays open; a gap is a picture that was lost.
    """

    image: Image
    t_s: float
    number: int


class Stream(Protocol):
    """An open device. Any exception of `grab` means that it is gone."""

    @property
    def intrinsics(self) -> Intrinsics | None:
        """Of the device's whole picture, if known."""
        ...

    def grab(self, timeout_s: float) -> Shot | None:
        """The next picture, or None if none came in about this time."""
        ...

    def set_exposure_us(self, exposure_us: float) -> None:
        """Fix the exposure time.

        Raises:
            ConfigError: the device cannot.
        """
        ...

    def reset(self) -> None:
        """Restart a device that gives no pictures any more, if it can be; it is closed next."""
        ...

    def close(self) -> None:
        """Release the device."""
        ...


class StreamCamera:
    """A camera on a device that streams. The device may be plugged out and in again.

    Args:
        config: of the camera.
        open_stream: opens the device with an exposure of its configuration; raises what it likes if it is not there.
        now_s: the system's clock.

    Raises:
        ConfigError: the device cannot do what `config` asks for.
        DeviceError: it is not there, or gives no picture within five seconds.
    """

    def __init__(
        self,
        config: CameraConfig,
        open_stream: Callable[[CameraConfig], Stream],
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._config, self._open_stream, self._now_s = config, open_stream, now_s
        self._numbering = Numbering()
        self._lock = threading.Condition()
        self._newest: Frame | None = None
        self._on_frame: Callable[[], None] | None = None
        self._problem = ""
        self._times_opened = 1
        self._stop = threading.Event()
        self._stream: Stream | None = open_stream(config)
        self._intrinsics = self._stream.intrinsics
        # A driver that hangs in the kernel must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()
        with self._lock:
            self._lock.wait_for(lambda: self._newest is not None or self._problem, FIRST_FRAME_S)
        if self._newest is None:
            self.close()
            why = self._problem or f"no picture within {FIRST_FRAME_S:g} s"
            raise DeviceError(f"camera {config.device!r} gives nothing: {why}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, 3)."""
        return self._config.shape

    @property
    def intrinsics(self) -> Intrinsics | None:
        """Of the frames; see `robot_rl.hardware.cameras.driver.CameraDriver`."""
        if self._intrinsics is None:
            return None
        return self._intrinsics.fitted(self._config.crop, self._config.image_size)

    def read(self) -> Frame:
        """The newest frame, however old it is; its picture is read-only.

        Raises:
            DeviceError: the camera is closed.
        """
        if self._newest is None or self._stop.is_set():
            raise DeviceError(f"camera {self._config.device!r} is closed")
        return self._newest

    def listen(self, on_frame: Callable[[], None]) -> None:
        """Have `on_frame` called after each new frame, from the camera's thread."""
        self._on_frame = on_frame

    def set_exposure_us(self, exposure_us: float) -> None:
        """Fix the exposure time, also for when the device comes back.

        Raises:
            ConfigError: the device cannot.
            DeviceError: it is away.
        """
        stream = self._stream
        if stream is None:
            raise DeviceError(f"camera {self._config.device!r} is away: {self._problem}")
        stream.set_exposure_us(exposure_us)
        self._config = replace(self._config, exposure_us=exposure_us)

    def health(self) -> Mapping[str, str]:
        """Facts for `/diagnostics`."""
        facts = {"device": self._config.device or "the only one", "times opened": str(self._times_opened)}
        return {**facts, "problem": self._problem} if self._problem else facts

    def close(self) -> None:
        """Release the device. May be called twice."""
        self._stop.set()
        self._thread.join(2.0)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    self._stream_on()
                except Exception as e:  # each library has its own for a device that was unplugged
                    self._say(str(e) or type(e).__name__)
                    self._drop_stream()
                    self._stop.wait(RETRY_S)
        finally:
            self._drop_stream()

    def _stream_on(self) -> None:
        """Hand on pictures until told to stop or the device is gone."""
        if self._stream is None:
            self._stream = self._open_stream(self._config)
            self._times_opened += 1
        self._numbering.restart()
        patience_s, last_s = FIRST_FRAME_S, time.monotonic()
        while not self._stop.is_set():
            shot = self._stream.grab(GRAB_S)
            if shot is not None:
                patience_s, last_s = max(STALL_AGES * self._config.max_age_s, 2 * GRAB_S), time.monotonic()
                self._take(shot)
            elif time.monotonic() - last_s > patience_s and self._newest is not None:
                self._stream.reset()
                raise DeviceError(f"no picture for {patience_s:g} s")

    def _take(self, shot: Shot) -> None:
        height, width = shot.image.shape[:2]
        if (width, height) != (self._config.width, self._config.height):
            asked = f"{self._config.width}x{self._config.height}"
            raise DeviceError(f"the device gives pictures of {width}x{height}, the description says {asked}")
        place = self._numbering.place(shot.number, shot.t_s, self._now_s())
        if place is None:
            return
        image = fit(shot.image, self._config.crop, self._config.image_size)
        image.setflags(write=False)
        with self._lock:
            self._newest = Frame(image, place[1], place[0])
            self._problem = ""
            self._lock.notify_all()
        if self._on_frame is not None:
            self._on_frame()

    def _say(self, problem: str) -> None:
        with self._lock:
            self._problem = problem
            self._lock.notify_all()

    def _drop_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            try:
                stream.close()
            except Exception as e:  # closing what is gone fails in as many ways
                self._say(f"{self._problem or 'closing'}: {e}")
