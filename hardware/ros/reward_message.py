"""A judgement as a message: ``Float64MultiArray`` of one dimension, whose label names the values.

The first value is the time of the reading that was judged, in seconds of the system clock (a double holds it to better
than a microsecond); the label reads ``t_s success progress``, say. The standard messages have nothing closer that plots
without a package of ours.
"""

from __future__ import annotations

from collections.abc import Mapping

from std_msgs.msg import Float64MultiArray, MultiArrayDimension

from robot_rl.core.errors import DataError

_TIME = "t_s"


def reward_message(t_s: float, components: Mapping[str, float]) -> Float64MultiArray:
    """Components by name, in their order.

    Raises:
        DataError: a name is empty or has a space in it.
    """
    names = [_TIME, *components]
    if any(not name or name.split() != [name] for name in components):
        raise DataError(f"reward components {list(components)} need names without spaces")
    message = Float64MultiArray()
    message.layout.dim = [MultiArrayDimension(label=" ".join(names), size=len(names), stride=len(names))]
    message.data = [float(t_s), *(float(value) for value in components.values())]
    return message


def reward_of(message: Float64MultiArray) -> tuple[float, dict[str, float]]:
    """The inverse: time and components.

    Raises:
        DataError: the message is none of these.
    """
    label = message.layout.dim[0].label if len(message.layout.dim) == 1 else ""
    names = label.split()
    if not names or names[0] != _TIME or len(names) != len(message.data) or len(set(names)) < len(names):
        raise DataError(f"a reward has {len(message.data)} values labelled {label!r}, expected {_TIME} and components")
    return float(message.data[0]), {name: float(v) for name, v in zip(names[1:], message.data[1:], strict=True)}
