"""Cartesian impedance with reference limiting: parameters with their sources, and the law in plain numpy.

With pose ``(x, R)``, reference ``(x_d, R_d)``, Jacobian ``J`` and joint state ``q, dq``, once per period ``T``:

1. reference filter: ``x_d += T/tau (x_t - x_d)``, the orientation likewise on the shortest arc; the gains follow their
   own settings in the same way;
2. error ``e = clip([x_d - x, log(R_d R^T)], -lower, upper)``, per base axis and sign. Because the spring never sees
   more than the clip, a static contact never feels more than ``stiffness * clip``, however far away the target is;
3. ``e_i = clip(e_i + e T, +-limit)``;
4. ``f = K e - D J dq + K_i e_i``;
5. posture torque ``p = k_n (q_n - q) - d_n dq``, of which the part that reaches the tool is removed:
   ``n = p - J^T (J J^T + lambda^2 I)^-1 J p``;
6. ``tau = J^T f + n + bias``, limited in rate, then in size.

Sources: Hogan, "Impedance control", 1985 (law); Albu-Schaeffer et al., "Cartesian impedance control of redundant
robots", ICRA 2003 (redundant arms); Luo et al., "SERL", ICRA 2024, section IV-D (reference limiting, and the default
gains); Franka Control Interface manual (torque and torque-rate limits of the arm).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from robot_rl.controllers.kernel import (
    CLIP_LOWER,
    CLIP_UPPER,
    DAMPING,
    INTEGRAL_GAIN,
    NULL_DAMPING,
    NULL_STIFFNESS,
    STIFFNESS,
    ImpedanceMemory,
    Law,
    Reading,
)
from robot_rl.core.errors import ConfigError
from robot_rl.core.types import Array

_LENGTHS = {
    "stiffness": 6,
    "damping": 6,
    "clip_upper": 6,
    "clip_lower": 6,
    "integral_gain": 6,
    "integral_limit": 6,
    "null_stiffness_nm_rad": 7,
    "null_damping_nms_rad": 7,
    "torque_limit_nm": 7,
}


@dataclass(frozen=True)
class ImpedanceParams:
    """Settings of the law. Vectors of six hold three translational, then three rotational values, in the base frame.

    Example:
        >>> ImpedanceParams().with_clip(0.005).max_static_force_n
        (10.0, 10.0, 10.0)

    Attributes:
        stiffness: K in N/m and Nm/rad. SERL's 2000 N/m; its 150 acts on the sine of half the angle, which is 75 Nm/rad.
        damping: D in N s/m and Nm s/rad. SERL's 89 (critical for 1 kg) and 7.
        clip_upper: largest ``reference - pose`` along each positive base axis in m and rad. SERL's default of 10 mm,
            and its 0.05 of half-angle sine, which is 0.1 rad.
        clip_lower: the same along the negative axes, as positive numbers.
        integral_gain: K_i in N/(m s) and Nm/(rad s). Zero in SERL's task settings.
        integral_limit: bound of the integrated error in m s and rad s; with SERL's sums of 0.1 m and 0.3 per 1 ms tick.
        integral_resets: forget the integral at each new target, as SERL does. Off: it would reset at the policy rate.
        target_filter_s: time constant from target to reference; 0 switches the filter off. 0.05 s lets a 10-20 Hz
            policy reach most of a step before the next; SERL's is 0.2 s.
        gain_filter_s: the same for gains and clips, so that changing them makes no jerk. SERL's gains follow in 0.2 s.
        null_stiffness_nm_rad: k_n. SERL's 0.2, and 100 times that for joint 1.
        null_damping_nms_rad: d_n. SERL's 2 sqrt(0.2), and 20 times that for joint 1.
        null_regularisation: lambda. SERL's 0.2.
        torque_limit_nm: of the FCI manual: 87 for joints 1-4, 12 for joints 5-7.
        torque_rate_nm_s: of the FCI manual: 1 Nm per ms; ``inf`` switches the limit off. Together with a stiffness of
            20000 N/m and more it causes a limit cycle.
        rotation_error: ``rotvec`` for the angle itself, ``half_sine`` for the sine of half the angle (the vector part
            of the error quaternion), which halves the stiffness per radian and weakens beyond a right angle.
        gravity: who compensates gravity: the ``controller`` commands gravity and Coriolis torque; with ``robot`` it
            commands Coriolis torque only, as an arm behind the FCI expects.
    """

    stiffness: tuple[float, ...] = (2000.0, 2000.0, 2000.0, 75.0, 75.0, 75.0)
    damping: tuple[float, ...] = (89.0, 89.0, 89.0, 7.0, 7.0, 7.0)
    clip_upper: tuple[float, ...] = (0.01, 0.01, 0.01, 0.1, 0.1, 0.1)
    clip_lower: tuple[float, ...] = (0.01, 0.01, 0.01, 0.1, 0.1, 0.1)
    integral_gain: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    integral_limit: tuple[float, ...] = (1e-4, 1e-4, 1e-4, 3e-4, 3e-4, 3e-4)
    integral_resets: bool = False
    target_filter_s: float = 0.05
    gain_filter_s: float = 0.2
    null_stiffness_nm_rad: tuple[float, ...] = (20.0, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2)
    null_damping_nms_rad: tuple[float, ...] = (17.89, 0.894, 0.894, 0.894, 0.894, 0.894, 0.894)
    null_regularisation: float = 0.2
    torque_limit_nm: tuple[float, ...] = (87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0)
    torque_rate_nm_s: float = 1000.0
    rotation_error: Literal["rotvec", "half_sine"] = "rotvec"
    gravity: Literal["controller", "robot"] = "controller"

    def __post_init__(self) -> None:
        """Check sizes and ranges.

        Raises:
            ConfigError: naming the field, what it was and what it may be.
        """
        for name, length in _LENGTHS.items():
            value = getattr(self, name)
            if len(value) != length or not all(v >= 0.0 for v in value):
                raise ConfigError(f"impedance {name} must hold {length} numbers that are not negative, got {value}")
            # Lists come from YAML; a frozen dataclass that is to be hashed and compared needs tuples.
            object.__setattr__(self, name, tuple(float(v) for v in value))
        for name in ("target_filter_s", "gain_filter_s"):
            if not 0.0 <= getattr(self, name) < np.inf:
                raise ConfigError(f"impedance {name} must be a time of 0 s or more, got {getattr(self, name)}")
        for name in ("null_regularisation", "torque_rate_nm_s"):
            if not getattr(self, name) > 0.0:
                raise ConfigError(f"impedance {name} must be positive, got {getattr(self, name)}")
        for name, allowed in (("rotation_error", ("rotvec", "half_sine")), ("gravity", ("controller", "robot"))):
            if getattr(self, name) not in allowed:
                raise ConfigError(f"impedance {name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")

    @property
    def max_static_force_n(self) -> tuple[float, ...]:
        """Largest force along each positive base axis that a contact at rest can feel, without the integral term."""
        return tuple(k * c for k, c in zip(self.stiffness[:3], self.clip_upper[:3], strict=True))

    def with_clip(self, translation_m: float, rotation_rad: float | None = None) -> ImpedanceParams:
        """The same law with one clip for all translations, and optionally one for all rotations, in both directions."""
        rotation = (rotation_rad,) * 3
        upper, lower = (clip[3:] if rotation_rad is None else rotation for clip in (self.clip_upper, self.clip_lower))
        translation = (translation_m,) * 3
        return replace(self, clip_upper=(*translation, *upper), clip_lower=(*translation, *lower))


def serl_compat() -> ImpedanceParams:
    """The law with the published behaviour of SERL's controller: slow filter, half-angle error, integral forgotten."""
    return ImpedanceParams(
        stiffness=(2000.0, 2000.0, 2000.0, 150.0, 150.0, 150.0),
        clip_upper=(0.01, 0.01, 0.01, 0.05, 0.05, 0.05),
        clip_lower=(0.01, 0.01, 0.01, 0.05, 0.05, 0.05),
        integral_resets=True,
        target_filter_s=0.2,
        rotation_error="half_sine",
    )


def gain_table(params: ImpedanceParams) -> Array:
    """The filtered part of the settings as the table ``float64[7, 7]`` that the kernel works on."""
    table = np.zeros((7, 7))
    rows: tuple[tuple[int, Sequence[float]], ...] = (
        (STIFFNESS, params.stiffness),
        (DAMPING, params.damping),
        (CLIP_UPPER, params.clip_upper),
        (CLIP_LOWER, params.clip_lower),
        (INTEGRAL_GAIN, params.integral_gain),
        (NULL_STIFFNESS, params.null_stiffness_nm_rad),
        (NULL_DAMPING, params.null_damping_nms_rad),
    )
    for row, values in rows:
        table[row, : len(values)] = values
    return table


def _blend(period_s: float, time_constant_s: float) -> float:
    """Share per tick of a first-order filter (explicit Euler, as in SERL), 1 when it is off."""
    return min(1.0, period_s / time_constant_s) if time_constant_s > 0.0 else 1.0


def pack_law(params: ImpedanceParams, period_s: float) -> Law:
    """Settings as the kernel reads them.

    Args:
        params: the settings.
        period_s: control period, 0.001 on the robot.
    """
    return Law(
        gains=gain_table(params),
        integral_limit=np.array(params.integral_limit),
        torque_limit_nm=np.array(params.torque_limit_nm),
        torque_step_nm=float(params.torque_rate_nm_s * period_s),
        target_blend=_blend(period_s, params.target_filter_s),
        gain_blend=_blend(period_s, params.gain_filter_s),
        damping_squared=float(params.null_regularisation**2),
        half_sine=float(params.rotation_error == "half_sine"),
        gravity=float(params.gravity == "controller"),
        period_s=float(period_s),
    )


class ImpedanceStep(NamedTuple):
    """Result of one tick.

    Attributes:
        torque_nm: command ``[7]``, the same as in `memory`.
        memory: to be handed to the next tick.
    """

    torque_nm: Array
    memory: ImpedanceMemory


def _log(quat: Array) -> Array:
    """Rotation vector of a unit quaternion with non-negative scalar part."""
    sine = float(np.linalg.norm(quat[:3]))
    scale = 2.0 * math.atan2(sine, quat[3]) / sine if sine > 1e-10 else 2.0 / float(quat[3])
    return quat[:3] * scale


def _product(a: Array, b: Array) -> Array:
    """Hamilton product of xyzw quaternions."""
    vector = a[3] * b[:3] + b[3] * a[:3] + np.cross(a[:3], b[:3])
    return np.append(vector, a[3] * b[3] - a[:3] @ b[:3])


def _between(start: Array, end: Array) -> Array:
    """``end * start^-1``, the short way round."""
    quat = _product(end, start * np.array([-1.0, -1.0, -1.0, 1.0]))
    return -quat if quat[3] < 0.0 else quat


def _advance(start: Array, end: Array, share: float) -> Array:
    """Spherical interpolation."""
    rotvec = share * _log(_between(start, end))
    half = 0.5 * float(np.linalg.norm(rotvec))
    turn = np.append(0.5 * rotvec * np.sinc(half / np.pi), np.cos(half))
    quat = _product(turn, start)
    return quat / np.linalg.norm(quat)


def impedance_torque(
    params: ImpedanceParams, memory: ImpedanceMemory, reading: Reading, period_s: float
) -> ImpedanceStep:
    """One tick of the law as a pure function: the equations of the module docstring, and the check of the kernel.

    Args:
        params: settings.
        memory: of the tick before; not changed.
        reading: of the arm.
        period_s: control period.

    Returns:
        The torque command and the new memory.
    """
    jacobian, dq = reading.jacobian, reading.dq_rad_s
    gains = memory.gains + _blend(period_s, params.gain_filter_s) * (gain_table(params) - memory.gains)
    blend = _blend(period_s, params.target_filter_s)
    position = memory.reference[:3] + blend * (memory.target[:3] - memory.reference[:3])
    reference = np.concatenate([position, _advance(memory.reference[3:], memory.target[3:], blend)])

    turn = _between(reading.pose_base_tcp[3:], reference[3:])
    rotation = turn[:3] if params.rotation_error == "half_sine" else _log(turn)
    error = np.concatenate([position - reading.pose_base_tcp[:3], rotation])
    error = np.clip(error, -gains[CLIP_LOWER, :6], gains[CLIP_UPPER, :6])
    limit = np.array(params.integral_limit)
    integral = np.clip(memory.integral + error * period_s, -limit, limit)
    force = gains[STIFFNESS, :6] * error - gains[DAMPING, :6] * (jacobian @ dq) + gains[INTEGRAL_GAIN, :6] * integral

    posture = gains[NULL_STIFFNESS] * (memory.q_null_rad - reading.q_rad) - gains[NULL_DAMPING] * dq
    damped = jacobian @ jacobian.T + params.null_regularisation**2 * np.eye(6)
    null = posture - jacobian.T @ np.linalg.solve(damped, jacobian @ posture)

    bias = reading.bias_nm if params.gravity == "controller" else reading.bias_nm - reading.gravity_nm
    step = params.torque_rate_nm_s * period_s
    torque = memory.torque_nm + np.clip(jacobian.T @ force + null + bias - memory.torque_nm, -step, step)
    torque = np.clip(torque, -np.array(params.torque_limit_nm), np.array(params.torque_limit_nm))
    return ImpedanceStep(torque, ImpedanceMemory(gains, reference, memory.target, integral, torque, memory.q_null_rad))
