"""The impedance law: compiled kernel against numpy, hand-computed cases, refused settings."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.controllers import kernel, se3
from robot_rl.controllers.impedance import (
    ImpedanceParams,
    gain_table,
    impedance_torque,
    pack_law,
    serl_compat,
)
from robot_rl.controllers.kernel import ImpedanceMemory, Reading, make_scratch
from robot_rl.core.errors import ConfigError
from robot_rl.core.types import Array

PERIOD_S = 0.001
IDENTITY = np.array([0, 0, 0, 0, 0, 0, 1.0])


def random_params(rng: np.random.Generator) -> ImpedanceParams:
    def some(low: float, high: float, n: int = 6) -> tuple[float, ...]:
        return tuple(rng.uniform(low, high, n))

    return ImpedanceParams(
        stiffness=some(0, 3000),
        damping=some(0, 100),
        clip_upper=some(0, 0.2),
        clip_lower=some(0, 0.2),
        integral_gain=some(0, 2000),
        integral_limit=some(0, 1e-3),
        target_filter_s=float(rng.choice([0.0, 0.05, 0.2])),
        gain_filter_s=float(rng.choice([0.0, 0.2])),
        null_stiffness_nm_rad=some(0, 20, 7),
        null_damping_nms_rad=some(0, 20, 7),
        null_regularisation=float(rng.uniform(0.05, 0.5)),
        torque_rate_nm_s=float(rng.choice([1000.0, 50000.0, np.inf])),
        rotation_error=str(rng.choice(["rotvec", "half_sine"])),  # type: ignore[arg-type]
        gravity=str(rng.choice(["controller", "robot"])),  # type: ignore[arg-type]
    )


def random_pose(rng: np.random.Generator) -> Array:
    return np.concatenate([rng.uniform(-1, 1, 3), se3.random_quat(rng)])


def random_memory(rng: np.random.Generator) -> ImpedanceMemory:
    gains = gain_table(random_params(rng))
    return ImpedanceMemory(
        gains,
        random_pose(rng),
        random_pose(rng),
        rng.normal(size=6) * 1e-4,
        rng.normal(size=7) * 10,
        rng.normal(size=7),
    )


def random_reading(rng: np.random.Generator) -> Reading:
    return Reading(
        rng.normal(size=7),
        rng.normal(size=7),
        random_pose(rng),
        rng.uniform(-1, 1, (6, 7)),
        rng.normal(size=7) * 10,
        rng.normal(size=7) * 10,
    )


def rest(torque_nm: float = 0.0) -> tuple[ImpedanceMemory, Reading]:
    """Arm at rest on its reference, whose first six joints move the six tool axes one to one."""
    jacobian = np.eye(6, 7)
    memory = ImpedanceMemory(
        gain_table(ImpedanceParams()),
        IDENTITY.copy(),
        IDENTITY.copy(),
        np.zeros(6),
        np.full(7, torque_nm),
        np.zeros(7),
    )
    return memory, Reading(np.zeros(7), np.zeros(7), IDENTITY.copy(), jacobian, np.zeros(7), np.zeros(7))


@given(st.integers(0, 2**32 - 1))
def test_kernel_and_numpy_agree_over_several_ticks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    params, memory = random_params(rng), random_memory(rng)
    compiled = ImpedanceMemory(*(part.copy() for part in memory))
    law, scratch = pack_law(params, PERIOD_S), make_scratch()
    for _ in range(5):
        reading = random_reading(rng)
        memory = impedance_torque(params, memory, reading, PERIOD_S).memory
        kernel.impedance_tick(law, compiled, reading, scratch)
        for name, expected, got in zip(memory._fields, memory, compiled, strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12, err_msg=name)


@given(st.integers(0, 2**32 - 1))
def test_cholesky_solves(seed: int) -> None:
    rng = np.random.default_rng(seed)
    root, right = rng.normal(size=(6, 6)), rng.normal(size=6)
    matrix = root @ root.T + 0.04 * np.eye(6)
    solution = right.copy()
    kernel.solve_spd(matrix.copy(), solution)
    np.testing.assert_allclose(matrix @ solution, right, atol=1e-9)


@given(st.integers(0, 2**32 - 1))
def test_force_never_exceeds_stiffness_times_clip(seed: int) -> None:
    rng = np.random.default_rng(seed)
    params = replace(random_params(rng), integral_gain=(0.0,) * 6, gain_filter_s=0.0, torque_rate_nm_s=np.inf)
    params = replace(params, torque_limit_nm=(1e9,) * 7, null_stiffness_nm_rad=(0.0,) * 7, gravity="controller")
    memory, reading = rest()
    memory.reference[:], memory.target[:] = random_pose(rng), random_pose(rng)
    wrench = impedance_torque(params, memory, reading, PERIOD_S).torque_nm[:6]
    room = 1e-9
    assert (wrench <= np.multiply(params.stiffness, params.clip_upper) + room).all()
    assert (wrench >= -np.multiply(params.stiffness, params.clip_lower) - room).all()


def test_clips_differ_by_axis_and_sign() -> None:
    params = ImpedanceParams(
        clip_upper=(0.0075, 0.001, 1, 1, 1, 1),
        clip_lower=(0.002, 0.001, 1, 1, 1, 1),
        target_filter_s=0,
        gain_filter_s=0,
        torque_rate_nm_s=np.inf,
    )
    for target_x, force_n in ((0.1, 15.0), (-0.1, -4.0), (0.001, 2.0)):
        memory, reading = rest()
        memory.target[0] = target_x
        assert math.isclose(impedance_torque(params, memory, reading, PERIOD_S).torque_nm[0], force_n)


def test_rotation_errors_are_the_angle_or_the_sine_of_half_of_it() -> None:
    wide = ImpedanceParams(target_filter_s=0, gain_filter_s=0, torque_rate_nm_s=np.inf).with_clip(1.0, 4.0)
    half = replace(wide, rotation_error="half_sine", stiffness=(2000.0,) * 3 + (150.0,) * 3)
    for angle in (0.02, 1.0):
        memory, reading = rest()
        memory.target[3:] = se3.rotvec_to_quat([0, angle, 0])
        wide_nm = impedance_torque(replace(wide, torque_limit_nm=(1e9,) * 7), memory, reading, PERIOD_S).torque_nm[4]
        half_nm = impedance_torque(replace(half, torque_limit_nm=(1e9,) * 7), memory, reading, PERIOD_S).torque_nm[4]
        assert math.isclose(wide_nm, 75.0 * angle, rel_tol=1e-12)
        assert math.isclose(half_nm, 150.0 * math.sin(angle / 2), rel_tol=1e-12)


def test_damping_opposes_motion_and_posture_stays_out_of_the_tool() -> None:
    params = ImpedanceParams(torque_rate_nm_s=np.inf, null_regularisation=1e-6)
    memory, reading = rest()
    reading.dq_rad_s[0] = 0.1
    assert math.isclose(impedance_torque(params, memory, reading, PERIOD_S).torque_nm[0], -8.9, rel_tol=1e-6)
    memory, reading = rest()
    memory.q_null_rad[:] = 0.5
    torque = impedance_torque(params, memory, reading, PERIOD_S).torque_nm
    np.testing.assert_allclose(torque, [0, 0, 0, 0, 0, 0, 0.1], atol=1e-9)


def test_filter_reaches_63_percent_after_its_time_constant() -> None:
    memory, reading = rest()
    memory.target[0], memory.target[3:] = 0.1, se3.rotvec_to_quat([0, 0, 0.4])
    law, scratch = pack_law(ImpedanceParams(target_filter_s=0.05), PERIOD_S), make_scratch()
    for _ in range(50):
        kernel.impedance_tick(law, memory, reading, scratch)
    assert math.isclose(memory.reference[0], 0.1 * (1 - 0.98**50), rel_tol=1e-9)
    assert math.isclose(se3.quat_to_rotvec(memory.reference[3:])[2], 0.4 * (1 - 0.98**50), rel_tol=1e-9)


def test_serl_compat_moves_the_reference_by_half_a_percent_per_tick() -> None:
    assert math.isclose(pack_law(serl_compat(), PERIOD_S).target_blend, 0.005)
    assert serl_compat().rotation_error == "half_sine" and serl_compat().integral_resets


def test_integral_grows_with_time_and_stops_at_its_limit() -> None:
    params = ImpedanceParams(integral_gain=(1000.0,) * 6, target_filter_s=0)
    memory, reading = rest()
    memory.target[0] = 0.005
    for _ in range(10):
        memory = impedance_torque(params, memory, reading, PERIOD_S).memory
    assert math.isclose(memory.integral[0], 0.005 * 0.01)
    for _ in range(20):
        memory = impedance_torque(params, memory, reading, PERIOD_S).memory
    assert memory.integral[0] == 1e-4


@given(st.integers(0, 2**32 - 1))
def test_torque_is_limited_in_rate_and_size(seed: int) -> None:
    rng = np.random.default_rng(seed)
    memory, reading = random_memory(rng), random_reading(rng)
    params = ImpedanceParams()
    memory = memory._replace(torque_nm=rng.uniform(-12, 12, 7))
    torque = impedance_torque(params, memory, reading, PERIOD_S).torque_nm
    assert (np.abs(torque - memory.torque_nm) <= 1.0 + 1e-12).all()
    assert (np.abs(torque) <= params.torque_limit_nm).all()


def test_gravity_is_left_to_the_robot_on_request() -> None:
    for who, expected in (("controller", 5.0), ("robot", 1.5)):
        memory, reading = rest(torque_nm=3.0)
        reading.bias_nm[:], reading.gravity_nm[:] = 5.0, 3.5
        params = ImpedanceParams(torque_rate_nm_s=np.inf, gravity=who)  # type: ignore[arg-type]
        np.testing.assert_allclose(impedance_torque(params, memory, reading, PERIOD_S).torque_nm, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stiffness": (1.0,) * 5}, "stiffness must hold 6 numbers"),
        ({"damping": (1.0, 1, 1, 1, 1, -1)}, "damping must hold 6 numbers that are not negative"),
        ({"clip_upper": (math.nan,) * 6}, "clip_upper"),
        ({"target_filter_s": -0.1}, "target_filter_s must be a time"),
        ({"null_regularisation": 0.0}, "null_regularisation must be positive"),
        ({"torque_rate_nm_s": math.nan}, "torque_rate_nm_s must be positive"),
        ({"rotation_error": "euler"}, "rotation_error must be one of rotvec, half_sine, got 'euler'"),
        ({"gravity": "nobody"}, "gravity must be one of"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ImpedanceParams(**change)  # type: ignore[arg-type]


def test_settings_from_lists_are_equal_and_hashable() -> None:
    from_yaml = ImpedanceParams(stiffness=[2000, 2000, 2000, 75, 75, 75])  # type: ignore[arg-type]
    assert from_yaml == ImpedanceParams() and hash(from_yaml) == hash(ImpedanceParams())
    assert ImpedanceParams().with_clip(0.005).max_static_force_n == (10.0, 10.0, 10.0)
    assert ImpedanceParams().with_clip(0.005).clip_lower == (0.005,) * 3 + (0.1,) * 3
    assert ImpedanceParams().with_clip(0.005, 0.02).clip_upper == (0.005,) * 3 + (0.02,) * 3
