"""Between numpy and messages.

Every scalar is cast with `float`: message setters take an int or a float32 without complaint and send other bits.
Pictures are handed over as `bytes`: from an array, rclpy would copy them value by value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped, TwistStamped, WrenchStamped
from sensor_msgs.msg import Image as ImageMessage
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float64MultiArray, String

from robot_rl.core.errors import DataError
from robot_rl.core.types import Array, Image

_NS = 1_000_000_000


def stamp_of(t_s: float) -> Time:
    """Seconds of the system clock as a message's time; negative and not finite ones become zero."""
    ns = max(round(t_s * 1e9), 0) if math.isfinite(t_s) else 0
    return Time(sec=ns // _NS, nanosec=ns % _NS)


def seconds_of(stamp: Time) -> float:
    """The inverse."""
    return float(stamp.sec) + 1e-9 * float(stamp.nanosec)


def pose_message(pose: npt.ArrayLike, frame_id: str, t_s: float) -> PoseStamped:
    """A pose ``[7]`` x y z qx qy qz qw."""
    message = PoseStamped()
    message.header.stamp, message.header.frame_id = stamp_of(t_s), frame_id
    p, q = message.pose.position, message.pose.orientation
    p.x, p.y, p.z, q.x, q.y, q.z, q.w = _floats(pose, 7)
    return message


def pose_of(message: PoseStamped) -> Array:
    """The inverse, whatever the numbers are."""
    p, q = message.pose.position, message.pose.orientation
    return np.array([p.x, p.y, p.z, q.x, q.y, q.z, q.w])


def twist_message(twist: npt.ArrayLike, frame_id: str, t_s: float) -> TwistStamped:
    """A twist ``[6]`` vx vy vz wx wy wz."""
    message = TwistStamped()
    message.header.stamp, message.header.frame_id = stamp_of(t_s), frame_id
    v, w = message.twist.linear, message.twist.angular
    v.x, v.y, v.z, w.x, w.y, w.z = _floats(twist, 6)
    return message


def twist_of(message: TwistStamped) -> Array:
    """The inverse."""
    v, w = message.twist.linear, message.twist.angular
    return np.array([v.x, v.y, v.z, w.x, w.y, w.z])


def wrench_message(wrench: npt.ArrayLike, frame_id: str, t_s: float) -> WrenchStamped:
    """A wrench ``[6]`` fx fy fz tx ty tz."""
    message = WrenchStamped()
    message.header.stamp, message.header.frame_id = stamp_of(t_s), frame_id
    f, m = message.wrench.force, message.wrench.torque
    f.x, f.y, f.z, m.x, m.y, m.z = _floats(wrench, 6)
    return message


def wrench_of(message: WrenchStamped) -> Array:
    """The inverse."""
    f, m = message.wrench.force, message.wrench.torque
    return np.array([f.x, f.y, f.z, m.x, m.y, m.z])


def joints_message(
    names: Sequence[str], position: npt.ArrayLike, t_s: float, velocity: npt.ArrayLike = ()
) -> JointState:
    """Joint positions and, if given, velocities, in the order of their names."""
    message = JointState()
    message.header.stamp = stamp_of(t_s)
    message.name = list(names)
    message.position = [float(v) for v in np.asarray(position)]
    message.velocity = [float(v) for v in np.asarray(velocity)]
    return message


def joints_of(message: JointState, n: int) -> tuple[Array, Array]:
    """Positions and velocities ``[n]`` of a message's first `n` joints; missing velocities are zero.

    Raises:
        DataError: it has fewer positions.
    """
    if len(message.position) < n:
        raise DataError(f"a joint state has {len(message.position)} positions, expected {n}")
    velocity = np.array(message.velocity[:n]) if len(message.velocity) >= n else np.zeros(n)
    return np.array(message.position[:n]), velocity


def numbers_message(values: Iterable[float]) -> Float64MultiArray:
    """A list of numbers."""
    message = Float64MultiArray()
    message.data = [float(v) for v in values]
    return message


def text_message(text: str) -> String:
    """A text."""
    return String(data=text)


def flag_message(flag: bool) -> Bool:
    """Yes or no."""
    return Bool(data=bool(flag))


def image_message(image: Image, frame_id: str, t_s: float) -> ImageMessage:
    """A picture ``uint8[H, W, 3]`` RGB."""
    message = ImageMessage()
    message.header.stamp, message.header.frame_id = stamp_of(t_s), frame_id
    height, width, _ = image.shape
    message.height, message.width, message.step = int(height), int(width), 3 * int(width)
    message.encoding, message.is_bigendian = "rgb8", 0
    message.data = image.tobytes()
    return message


def image_of(message: ImageMessage) -> Image:
    """The picture, read-only: the array is the message's own memory. Takes ``rgb8`` and ``bgr8``.

    Raises:
        DataError: another encoding, or fewer bytes than the sizes say.
    """
    height, width, step = message.height, message.width, message.step
    if message.encoding not in ("rgb8", "bgr8"):
        raise DataError(f"a picture is encoded as {message.encoding!r}, expected rgb8 or bgr8")
    flat = np.frombuffer(message.data, np.uint8)
    if step < 3 * width or flat.size < step * height:
        raise DataError(f"a picture of {width}x{height} has {flat.size} bytes in rows of {step}")
    picture = flat[: step * height].reshape(height, step)[:, : 3 * width].reshape(height, width, 3)
    picture = picture[:, :, ::-1] if message.encoding == "bgr8" else picture
    picture.setflags(write=False)
    return picture


def _floats(values: npt.ArrayLike, n: int) -> list[float]:
    flat = np.asarray(values, np.float64).reshape(-1)
    if flat.size != n:
        raise DataError(f"got {flat.size} numbers, expected {n}")
    return [float(v) for v in flat]
