"""The arbiter's limits as parameters ``limits.<name>``, named as in the cell's YAML, that may change while it runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_type_hints

from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

from robot_rl.controllers.arbiter import ArbiterConfig
from robot_rl.core.config import Range
from robot_rl.core.errors import ConfigError

PREFIX = "limits."
NUMBERS = {
    "max_tilt_rad": "half angle of the cone around the nominal tool axis, rad",
    "max_spin_rad": "largest turn about the tool axis, rad",
    "slew_m_s": "largest speed of each coordinate of the target, m/s",
    "slew_rad_s": "largest angular speed of the target, rad/s",
    "reach_m": "largest distance of each coordinate of the target from the measured one, m",
    "reach_rad": "largest rotation of the target from the measured orientation, rad",
    "hold_after_s": "age of the last command from which the target stays, s",
    "fault_after_s": "age of the last command that is a fault, s",
    "max_command_age_s": "age on arrival from which a command is rejected, s",
    "max_measurement_age_s": "age of the last measurement that is a fault, s",
    "max_force_n": "norm of the low-passed external force that is a fault, N",
    "max_torque_nm": "norm of the low-passed external torque that is a fault, Nm",
    "force_cutoff_hz": "cut-off of that low-pass, Hz",
    "joint_margin_rad": "distance from a joint limit at which the arm holds, rad",
}
BOXES = {
    "box_min_m": "lower corner of the workspace in the base frame, three values, m",
    "box_max_m": "upper corner of the workspace in the base frame, three values, m",
}


def declare_limits(node: Node, limits: ArbiterConfig) -> ArbiterConfig:
    """Declare the parameters.

    Args:
        node: of the arbiter.
        limits: of the cell; values of the command line win.

    Returns:
        What holds at the start.

    Raises:
        ConfigError: the values of the command line do not fit together.
    """
    ranges = _ranges()
    for name, text in NUMBERS.items():
        bounds = [FloatingPointRange(from_value=ranges[name].low, to_value=ranges[name].high, step=0.0)]
        descriptor = ParameterDescriptor(description=text, floating_point_range=bounds)
        node.declare_parameter(PREFIX + name, float(getattr(limits, name)), descriptor)
    for name, text in BOXES.items():
        corner = [float(v) for v in getattr(limits, name)]
        node.declare_parameter(PREFIX + name, corner, ParameterDescriptor(description=text))
    return changed_limits(limits, [node.get_parameter(PREFIX + name) for name in (*NUMBERS, *BOXES)])


def changed_limits(limits: ArbiterConfig, parameters: Sequence[Parameter[Any]]) -> ArbiterConfig:
    """The limits with those that are among the parameters changed, all at once.

    Raises:
        ConfigError: they do not fit, in themselves or together.
    """
    changes: dict[str, Any] = {}
    for parameter in parameters:
        name = parameter.name.removeprefix(PREFIX)
        if name in NUMBERS:
            changes[name] = float(parameter.value)
        elif name in BOXES:
            changes[name] = _corner(name, parameter.value)
    return replace(limits, **changes) if changes else limits


def _corner(name: str, values: Sequence[float]) -> tuple[float, ...]:
    if len(values) != 3 or not all(math.isfinite(v) for v in values):
        raise ConfigError(f"{PREFIX}{name} is {list(values)}, expected three finite numbers in m")
    return tuple(float(v) for v in values)


def _ranges() -> dict[str, Range]:
    hints = get_type_hints(ArbiterConfig, include_extras=True)
    return {name: next(m for m in hints[name].__metadata__ if isinstance(m, Range)) for name in NUMBERS}
