"""One state of the robot, turned from franky's types and signs into ours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from robot_rl.controllers.arbiter_readings import RobotMode
from robot_rl.core.types import Array

# By the names of `franky.RobotMode`; what is missing takes no commands.
_MODES = {
    "Idle": RobotMode.READY,
    "Move": RobotMode.READY,
    "Guiding": RobotMode.GUIDING,
    "Reflex": RobotMode.REFLEX,
    "UserStopped": RobotMode.USER_STOPPED,
}


@dataclass(frozen=True)
class RobotReading:
    """What the robot says.

    Attributes:
        t_robot_s: when, on the robot's clock, which counts milliseconds.
        q_rad: joint positions ``[7]``.
        dq_rad_s: joint velocities ``[7]``.
        pose_base_tcp: of the end effector that the robot is configured for ``[7]``.
        twist_base_tcp: of it, from the measured joint velocities ``[6]``. The robot's library estimates one too, but
            that follows the desired motion, of which there is none under torque control.
        wrench_tcp: of the world on the tool, tool frame, neither filtered nor tared ``[6]``. The interface says what
            the robot exerts, which has the opposite sign.
        mode: READY whenever the robot itself has nothing against commands.
        errors: names of the robot's present errors.
        success_rate: share of the last 100 commands that reached the robot in time; 0 at rest.
    """

    t_robot_s: float
    q_rad: Array
    dq_rad_s: Array
    pose_base_tcp: Array
    twist_base_tcp: Array
    wrench_tcp: Array
    mode: RobotMode
    errors: tuple[str, ...]
    success_rate: float


def convert(state: Any, jacobian: Any) -> RobotReading:
    """A reading of private, read-only arrays.

    Args:
        state: ``franky.RobotState``, whose stiffness frame is the end effector.
        jacobian: of the end effector in the base frame at that state ``[6, 7]``.
    """
    q, dq = _frozen(state.q), _frozen(state.dq)
    end_effector = state.O_T_EE
    quat = np.asarray(end_effector.quaternion, np.float64)
    return RobotReading(
        t_robot_s=1e-3 * state.time.to_msec(),
        q_rad=q,
        dq_rad_s=dq,
        pose_base_tcp=_frozen(np.concatenate([end_effector.translation, quat / np.linalg.norm(quat)])),
        twist_base_tcp=_frozen(np.asarray(jacobian, np.float64) @ dq),
        wrench_tcp=_frozen(-np.asarray(state.K_F_ext_hat_K, np.float64)),
        mode=_MODES.get(state.robot_mode.name, RobotMode.UNAVAILABLE),
        errors=error_names(str(state.current_errors)),
        success_rate=float(state.control_command_success_rate),
    )


def fault_of(reading: RobotReading) -> str | None:
    """Why the robot takes no commands, if it does not: the name of its mode, and what it says."""
    if reading.mode is RobotMode.READY and not reading.errors:
        return None
    mode = RobotMode.REFLEX if reading.mode is RobotMode.READY else reading.mode
    if mode is RobotMode.USER_STOPPED:
        return f"{mode.value}: the user stop was pressed"
    return f"{mode.value}: {', '.join(reading.errors) or 'the robot takes no commands'}"


def error_names(text: str) -> tuple[str, ...]:
    """Names of errors in a text that lists them in square brackets and quotes, as the robot's library writes them."""
    return tuple(re.findall(r'"([a-z_0-9]+)"', text))


def _frozen(values: Any) -> Array:
    out = np.array(values, np.float64).reshape(-1)
    out.flags.writeable = False
    return out
