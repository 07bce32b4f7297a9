"""A camera of a cell on ROS 2, as an environment sees it."""

from __future__ import annotations

from sensor_msgs.msg import Image as ImageMessage

from robot_rl.core.errors import DataError
from robot_rl.core.types import Frame
from robot_rl.hardware.ros import names
from robot_rl.hardware.ros.client.heard import Newest
from robot_rl.hardware.ros.executor import Spinner
from robot_rl.hardware.ros.messages import image_of, seconds_of


class RosCamera:
    """Pictures of one camera's topic.

    `Frame.sequence` is the stamp in ns, and one more than the number before if the stamps ever go back. Pictures of
    another size than promised are dropped.

    Args:
        spinner: whose node listens; not closed by this device.
        name: of the camera in the cell.
        shape: (height, width, 3) of its pictures.
    """

    def __init__(self, spinner: Spinner, name: str, shape: tuple[int, int, int]) -> None:
        self._name, self._shape = name, shape
        self._last: Frame | None = None
        self._frames = Newest(spinner.node, ImageMessage, names.image(name), self._frame)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, 3)."""
        return self._shape

    @property
    def heard(self) -> bool:
        """Whether there has been a picture."""
        return self._frames.newest is not None

    def read(self) -> Frame:
        """The newest picture; its array is read-only.

        Raises:
            DeviceError: none was ever heard.
        """
        return self._frames.read().value

    def close(self) -> None:
        """Nothing to release: the node belongs to the cell."""

    def _frame(self, message: ImageMessage) -> Frame:
        last, stamp = self._last, message.header.stamp
        t_s = seconds_of(stamp)
        if last is not None and t_s == last.t_s:
            return last
        image = image_of(message)
        if image.shape != self._shape:
            raise DataError(f"the camera {self._name} sends pictures of {image.shape}, expected {self._shape}")
        number = stamp.sec * 1_000_000_000 + stamp.nanosec
        self._last = Frame(image, t_s, number if last is None else max(number, last.sequence + 1))
        return self._last
