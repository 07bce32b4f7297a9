"""What a camera node needs of a camera, beyond what an environment needs of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

from robot_rl.core.protocols import Camera
from robot_rl.hardware.cameras.intrinsics import Intrinsics


@runtime_checkable
class CameraDriver(Camera, Protocol):
    """A camera that a camera node drives. `Frame.t_s` is system time and never in the future."""

    @property
    def intrinsics(self) -> Intrinsics | None:
        """Of the frames that `read` gives, cropped and resized; None if the camera is not calibrated."""
        ...

    def set_exposure_us(self, exposure_us: float) -> None:
        """Fix the exposure time.

        Raises:
            ConfigError: the camera cannot, or not this one; it stays as it was.
        """
        ...

    def listen(self, on_frame: Callable[[], None]) -> None:
        """Have `on_frame` called after each new frame, from a thread of the driver's; it must not block."""
        ...

    def health(self) -> Mapping[str, str]:
        """Facts for `/diagnostics`; ``problem`` is there while something is wrong and says what."""
        ...
