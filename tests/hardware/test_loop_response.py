"""Step responses, contact forces and stability of the Panda under the impedance law, against reference figures.

The figures were obtained with an independent implementation of law and arm; tolerances allow for differences of the
model (joint damping, contact stiffness) but not for a different law.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import mujoco
import numpy as np
import pytest

from robot_rl.controllers import se3
from robot_rl.controllers.impedance import ImpedanceParams, serl_compat
from robot_rl.core.scene import Box, SceneObject
from robot_rl.hardware.mujoco import ik, panda
from robot_rl.hardware.mujoco.loop import ControlLoop
from robot_rl.hardware.mujoco.scene import build_model

SERL = serl_compat()
UNFILTERED = replace(SERL, target_filter_s=0.0)
PEG = SceneObject("peg", (Box((0.01, 0.01, 0.02), (0, 0, 0.02)),), mount="hand", mass_kg=0.05)
PEG_TIP_M = 0.04


def make_loop(
    model: mujoco.MjModel, params: ImpedanceParams, q_rad: np.typing.NDArray[np.float64] = panda.Q_HOME_RAD
) -> ControlLoop:
    data = mujoco.MjData(model)
    data.qpos[:7] = q_rad
    return ControlLoop(
        model,
        data,
        joint_names=panda.JOINT_NAMES,
        actuator_names=panda.MOTOR_NAMES,
        tcp_site=panda.TCP_SITE,
        force_sensor=panda.FORCE_SENSOR,
        torque_sensor=panda.TORQUE_SENSOR,
        params=params,
        tool_mass_kg=0.81,
        tool_com_sensor_m=(-0.0085, 0.0, 0.038),
    )


class Response(NamedTuple):
    rise_s: float
    settle_s: float
    overshoot_mm: float
    error_mm: float
    cross_mm: float


def step_response(params: ImpedanceParams, axis: int, size_m: float = 0.05, duration_s: float = 3.0) -> Response:
    """Rise to 90 %, last time further than 1 mm from the target, overshoot, final error, largest cross-axis motion."""
    loop = make_loop(build_model(), params)
    start = loop.pose_base_tcp[:3]
    goal = start + size_m * np.eye(3)[axis]
    loop.set_target(np.concatenate([goal, loop.pose_base_tcp[3:]]))
    path = np.empty((round(duration_s * 1000), 3))
    for row in path:
        loop.run(1)
        row[:] = loop.pose_base_tcp[:3] - start
    along = path[:, axis]
    far = np.linalg.norm(path + start - goal, axis=1) > 1e-3
    return Response(
        rise_s=float(np.argmax(along > 0.9 * size_m)) * 1e-3,
        settle_s=float(np.nonzero(far)[0][-1] + 1) * 1e-3,
        overshoot_mm=max(0.0, float(along.max() - size_m) * 1e3),
        error_mm=abs(float(along[-1] - size_m)) * 1e3,
        cross_mm=float(np.abs(np.delete(path, axis, axis=1)).max()) * 1e3,
    )


@pytest.mark.parametrize(
    ("params", "axis", "expected"),
    [
        pytest.param(SERL, 0, Response(0.42, 0.99, 0.06, 0.03, 1.4), id="x"),
        pytest.param(SERL, 1, Response(0.49, 0.82, 0.0, 0.01, 0.3), id="y"),
        pytest.param(SERL, 2, Response(0.51, 0.81, 0.0, 0.03, 1.2), id="z"),
        pytest.param(UNFILTERED, 0, Response(0.35, 0.99, 5.3, 0.03, 1.4), id="x-no-filter"),
        pytest.param(UNFILTERED.with_clip(0.1), 0, Response(0.16, 0.86, 8.4, 0.03, 5.3), id="x-no-filter-wide-clip"),
        pytest.param(
            replace(UNFILTERED.with_clip(0.1), torque_rate_nm_s=np.inf),
            0,
            Response(0.15, 0.85, 8.6, 0.03, 5.2),
            id="x-no-filter-no-rate-limit",
        ),
        pytest.param(
            replace(SERL, stiffness=(200.0,) * 3 + (150.0,) * 3, damping=(28.0,) * 3 + (7.0,) * 3),
            0,
            Response(1.25, 2.84, 4.2, 0.61, 1.6),
            id="x-soft",
        ),
    ],
)
def test_five_centimetre_step_in_free_space(params: ImpedanceParams, axis: int, expected: Response) -> None:
    got = step_response(params, axis)
    assert got.rise_s == pytest.approx(expected.rise_s, abs=0.02)
    assert got.settle_s == pytest.approx(expected.settle_s, abs=0.05)
    assert got.overshoot_mm == pytest.approx(expected.overshoot_mm, abs=0.3)
    assert got.error_mm == pytest.approx(expected.error_mm, abs=0.1)
    assert got.cross_mm == pytest.approx(expected.cross_mm, abs=1.0)


def press(params: ImpedanceParams) -> tuple[float, float]:
    """Press a held peg on the table, target 5 cm below its surface: static contact force and wrist reading in N."""
    model = build_model((PEG,))
    above = np.array([0.45, 0.0, PEG_TIP_M + 0.05, 1.0, 0.0, 0.0, 0.0])
    loop = make_loop(model, params, ik.solve(model, panda.TCP_SITE, above, panda.Q_HOME_RAD))
    loop.set_target(loop.pose_base_tcp - [0, 0, 0.1, 0, 0, 0, 0])
    loop.run(2500)
    forces, one = [], np.zeros(6)
    for _ in range(200):
        loop.run(1)
        total = 0.0
        for contact in range(loop.data.ncon):
            mujoco.mj_contactForce(model, loop.data, contact, one)
            total += one[0]
        forces.append(total)
    return float(np.mean(forces)), float(loop.wrench_tcp[2])


@pytest.mark.parametrize("clip_m", [0.01, 0.005, 0.0035])
def test_static_press_force_is_stiffness_times_clip(clip_m: float) -> None:
    contact_n, wrist_n = press(SERL.with_clip(clip_m))
    assert contact_n == pytest.approx(2000.0 * clip_m, abs=0.15)
    # The tool's z axis points down: the table pushes against it.
    assert wrist_n == pytest.approx(-contact_n, abs=0.05)


def test_without_reference_limiting_the_press_is_ten_times_harder() -> None:
    assert press(SERL.with_clip(1.0))[0] == pytest.approx(100.0, abs=1.0)


def residual_rad_s(stiffness: float, period_s: float, *, rate_limited: bool, size_m: float, angle_rad: float) -> float:
    """Largest joint speed in 0.1 s, 1.2 s after an unfiltered step along x and about x."""
    params = ImpedanceParams(
        stiffness=(stiffness,) * 3 + (75.0,) * 3,
        damping=(2.0 * stiffness**0.5,) * 3 + (7.0,) * 3,
        target_filter_s=0.0,
        torque_rate_nm_s=1000.0 if rate_limited else np.inf,
    ).with_clip(0.1, 1.0)
    loop = make_loop(build_model(timestep_s=period_s), params)
    loop.set_target(se3.apply_tool_delta(loop.pose_base_tcp, [size_m, 0, 0, angle_rad, 0, 0]))
    loop.run(round(1.2 / period_s))
    worst = 0.0
    for _ in range(round(0.1 / period_s)):
        loop.run(1)
        worst = max(worst, float(np.abs(loop.dq_rad_s).max()))
    return worst


@pytest.mark.parametrize("stiffness", [500.0, 2000.0, 6000.0])
@pytest.mark.parametrize("period_s", [0.0005, 0.001, 0.002])
def test_usual_gains_are_stable(stiffness: float, period_s: float) -> None:
    assert residual_rad_s(stiffness, period_s, rate_limited=True, size_m=0.02, angle_rad=0.1) < 0.03


@pytest.mark.parametrize("period_s", [0.0005, 0.001, 0.002])
def test_high_gain_with_a_torque_rate_limit_is_a_limit_cycle(period_s: float) -> None:
    assert residual_rad_s(20_000.0, period_s, rate_limited=True, size_m=0.02, angle_rad=0.1) > 1.0


@pytest.mark.parametrize("stiffness", [20_000.0, 60_000.0])
@pytest.mark.parametrize("period_s", [0.0005, 0.001])
def test_high_gain_without_a_torque_rate_limit_is_stable(stiffness: float, period_s: float) -> None:
    assert residual_rad_s(stiffness, period_s, rate_limited=False, size_m=0.002, angle_rad=0.0) < 1e-3
