"""The contract of `robot_rl.core.protocols.Camera`."""

from __future__ import annotations

import numpy as np

from robot_rl.core.protocols import Camera
from robot_rl.testing.subject import DeviceContract


class CameraContract(DeviceContract[Camera]):
    """Frames are whole, stamped, numbered and belong to the caller.

    Attributes:
        period_s: time after which a new exposure must be there.
    """

    period_s: float = 0.2

    def test_is_a_camera(self, device: Camera) -> None:
        """All methods are there."""
        assert isinstance(device, Camera)

    def test_frame_has_the_promised_shape(self, device: Camera) -> None:
        """Colour images of bytes, and not a blank one."""
        frame = device.read()
        assert frame.image.shape == device.shape
        assert device.shape[2] == 3
        assert frame.image.dtype == np.uint8
        assert frame.image.std() > 0, "the image is one flat colour"

    def test_numbers_and_times_advance(self, device: Camera) -> None:
        """A new exposure has a higher number and a later time."""
        first = device.read()
        self.wait(self.period_s)
        second = device.read()
        assert second.sequence > first.sequence
        assert second.t_s > first.t_s

    def test_same_number_is_the_same_exposure(self, device: Camera) -> None:
        """The number alone says whether a frame is new."""
        first, second = device.read(), device.read()
        if second.sequence == first.sequence:
            assert second.t_s == first.t_s
            np.testing.assert_array_equal(second.image, first.image)

    def test_frames_are_snapshots(self, device: Camera) -> None:
        """A stored frame never changes when the next one arrives."""
        first = device.read()
        kept = first.image.copy()
        if first.image.flags.writeable:
            first.image[:] = 255 - first.image
            kept = first.image.copy()
        self.wait(self.period_s)
        second = device.read()
        np.testing.assert_array_equal(first.image, kept)
        assert not np.shares_memory(first.image, second.image)
