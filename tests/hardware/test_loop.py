"""The control loop: what it reads, how it starts, moves, stops and fails. For responses see test_loop_response."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_rl.controllers import se3
from robot_rl.controllers.impedance import ImpedanceParams
from robot_rl.core.errors import DeviceError
from robot_rl.core.types import Array
from robot_rl.hardware.mujoco import panda
from robot_rl.hardware.mujoco.loop import ControlLoop
from robot_rl.hardware.mujoco.scene import build_model

MODEL = build_model()
CENTRE = np.array([0.3, -0.6, 0.2, -2.0, 0.3, 1.7, 0.4])


def tool_inertia(model: mujoco.MjModel, data: mujoco.MjData) -> tuple[float, Array]:
    """Mass below the wrist sensor, and its centre of mass in the sensor frame at the present finger opening."""
    hand = model.body("hand").id
    parts = [b for b in range(model.nbody) if hand in (b, model.body_parentid[b])]
    mass = model.body_mass[parts]
    site = data.site("flange")
    com = (mass[:, None] * data.xipos[parts]).sum(0) / mass.sum()
    return float(mass.sum()), site.xmat.reshape(3, 3).T @ (com - site.xpos)


def make_loop(q_rad: Array = CENTRE, model: mujoco.MjModel = MODEL, **settings: object) -> ControlLoop:
    data = mujoco.MjData(model)
    data.qpos[:7] = q_rad
    mujoco.mj_forward(model, data)
    mass, com = tool_inertia(model, data)
    arguments: dict[str, object] = {
        "joint_names": panda.JOINT_NAMES,
        "actuator_names": panda.MOTOR_NAMES,
        "tcp_site": panda.TCP_SITE,
        "force_sensor": panda.FORCE_SENSOR,
        "torque_sensor": panda.TORQUE_SENSOR,
        "params": ImpedanceParams(),
        "tool_mass_kg": mass,
        "tool_com_sensor_m": com,
    }
    return ControlLoop(model, data, **(arguments | settings))  # type: ignore[arg-type]


def push(loop: ControlLoop, force_base_n: Array, torque_base_nm: Array) -> None:
    """Apply a wrench at the tool centre point from now on."""
    data = loop.data
    hand = loop.model.body("hand").id
    arm = loop.pose_base_tcp[:3] - data.xipos[hand]
    data.xfrc_applied[hand] = np.concatenate([force_base_n, torque_base_nm + np.cross(arm, force_base_n)])


@settings(max_examples=5)
@given(st.integers(0, 2**32 - 1))
def test_an_arm_at_rest_stays_and_feels_nothing(seed: int) -> None:
    q_rad = CENTRE + np.random.default_rng(seed).uniform(-0.4, 0.4, 7)
    loop = make_loop(q_rad)
    start = loop.pose_base_tcp
    loop.run(200)
    np.testing.assert_allclose(loop.pose_base_tcp, start, atol=1e-5)
    np.testing.assert_allclose(loop.wrench_tcp, 0.0, atol=2e-3)
    assert loop.peak_force_n() < 0.05


def test_readings_belong_to_the_state_after_the_step() -> None:
    loop = make_loop()
    loop.set_target(np.add(loop.pose_base_tcp, [0.05, 0, 0, 0, 0, 0, 0]))
    loop.run(150)
    fresh = mujoco.MjData(MODEL)
    fresh.qpos[:], fresh.qvel[:] = loop.data.qpos, loop.data.qvel
    mujoco.mj_forward(MODEL, fresh)
    site = fresh.site(panda.TCP_SITE)
    np.testing.assert_allclose(loop.pose_base_tcp[:3], site.xpos, atol=1e-15)
    np.testing.assert_allclose(se3.quat_to_matrix(loop.pose_base_tcp[3:]), site.xmat.reshape(3, 3), atol=1e-12)
    jacobian = np.zeros((6, MODEL.nv))
    mujoco.mj_jacSite(MODEL, fresh, jacobian[:3], jacobian[3:], site.id)
    np.testing.assert_allclose(loop.twist_base_tcp, jacobian @ fresh.qvel, atol=1e-12)
    assert np.linalg.norm(loop.twist_base_tcp[:3]) > 0.02
    np.testing.assert_array_equal(loop.q_rad, loop.data.qpos[:7])
    np.testing.assert_array_equal(loop.dq_rad_s, loop.data.qvel[:7])


@settings(max_examples=5)
@given(st.integers(0, 2**32 - 1))
def test_wrench_is_what_the_environment_does_to_the_tool_in_its_frame(seed: int) -> None:
    rng = np.random.default_rng(seed)
    force, torque = rng.uniform(-8, 8, 3), rng.uniform(-0.5, 0.5, 3)
    loop = make_loop(CENTRE + rng.uniform(-0.3, 0.3, 7))
    push(loop, force, torque)
    loop.run(1500)
    to_tool = se3.quat_inverse(loop.pose_base_tcp[3:])
    np.testing.assert_allclose(loop.wrench_tcp[:3], se3.quat_rotate(to_tool, force), atol=0.1)
    # The arm yields a little after the push was placed, which moves its point of action by some millimetres.
    np.testing.assert_allclose(loop.wrench_tcp[3:], se3.quat_rotate(to_tool, torque), atol=0.1)


def test_forces_are_read_after_the_dynamics_of_the_same_tick() -> None:
    loop = make_loop(wrench_cutoff_hz=1e9, tool_mass_kg=0.0, tool_com_sensor_m=(0, 0, 0))
    twin = mujoco.MjData(MODEL)
    push(loop, np.array([0, 0, 30.0]), np.zeros(3))
    for _ in range(5):
        mujoco.mj_copyData(twin, MODEL, loop.data)
        loop.run(1)
        twin.ctrl[:] = loop.data.ctrl
        mujoco.mj_step(MODEL, twin)
        np.testing.assert_array_equal(loop.data.qpos, twin.qpos)
        # Sensor and tool frame are parallel on this hand.
        np.testing.assert_allclose(loop.wrench_tcp[:3], -twin.sensor(panda.FORCE_SENSOR).data, atol=1e-12)


def test_peak_outlives_the_push_and_starts_anew_when_read() -> None:
    loop = make_loop()
    push(loop, np.array([0, 0, 10.0]), np.zeros(3))
    loop.run(200)
    loop.data.xfrc_applied[:] = 0.0
    loop.run(500)
    assert loop.peak_force_n() > 9.0
    loop.run(10)
    assert loop.peak_force_n() < 1.0


def test_tare_makes_the_present_wrench_zero_until_reset() -> None:
    loop = make_loop(tool_mass_kg=0.0)
    loop.run(300)
    assert math.isclose(np.linalg.norm(loop.wrench_tcp[:3]), 0.76 * 9.81, rel_tol=0.02)
    loop.tare()
    np.testing.assert_array_equal(loop.wrench_tcp, 0.0)
    assert loop.peak_force_n() == 0.0
    loop.reset()
    loop.run(300)
    assert np.linalg.norm(loop.wrench_tcp[:3]) > 7.0


def test_reset_after_a_teleport_does_not_sag_or_jump() -> None:
    loop = make_loop()
    loop.set_target(np.add(loop.pose_base_tcp, [0.05, 0, 0, 0, 0, 0, 0]))
    loop.run(100)
    loop.data.qpos[:7], loop.data.qvel[:] = panda.Q_HOME_RAD, 0.0
    loop.reset()
    start = loop.pose_base_tcp
    np.testing.assert_allclose(start[:3], [0.3069, 0, 0.4869], atol=1e-4)
    furthest = 0.0
    for _ in range(100):
        loop.run(1)
        furthest = max(furthest, float(np.abs(loop.pose_base_tcp[:3] - start[:3]).max()))
    assert furthest < 1e-5
    assert loop.mode == "impedance"


def test_equal_runs_are_bit_identical_in_contact() -> None:
    def trace() -> bytes:
        loop = make_loop(np.add(panda.Q_HOME_RAD, [0, 0.45, 0, -0.35, 0, 0.1, 0]))
        loop.set_target(se3.apply_tool_delta(loop.pose_base_tcp, [0.02, 0.01, 0.3, 0, 0.1, 0]))
        rows = []
        for _ in range(15):
            loop.run(100)
            rows.append(np.concatenate([loop.q_rad, loop.dq_rad_s, loop.wrench_tcp, [loop.peak_force_n()]]))
        assert max(row[-1] for row in rows) > 5.0, "the hand must have met the table"
        return np.array(rows).tobytes()

    assert trace() == trace()


def test_ticks_can_be_split_without_a_difference() -> None:
    whole, split = make_loop(), make_loop()
    for loop in (whole, split):
        loop.set_target(np.add(loop.pose_base_tcp, [0.03, 0, 0, 0, 0, 0, 0]))
    whole.run(200)
    for _ in range(40):
        split.run(5)
    np.testing.assert_array_equal(whole.data.qpos, split.data.qpos)
    np.testing.assert_array_equal(whole.wrench_tcp, split.wrench_tcp)


def test_hold_stops_at_the_measured_pose() -> None:
    loop = make_loop()
    loop.set_target(np.add(loop.pose_base_tcp, [0.2, 0, 0, 0, 0, 0, 0]))
    loop.run(300)
    loop.hold()
    held = loop.pose_base_tcp
    np.testing.assert_array_equal(loop.pose_base_reference, held)
    loop.run(2000)
    np.testing.assert_allclose(loop.pose_base_tcp[:3], held[:3], atol=1e-3)


def test_joint_motion_follows_a_minimum_jerk_path_and_arrives() -> None:
    loop = make_loop()
    start, goal = loop.q_rad, panda.Q_HOME_RAD
    loop.start_joint_motion(goal, 1.0)
    assert (loop.mode, loop.joint_motion_done) == ("joint", False)
    loop.run(500)
    np.testing.assert_allclose(loop.q_rad, 0.5 * (start + goal), atol=0.03)
    loop.run(500)
    assert loop.joint_motion_done
    loop.run(500)
    np.testing.assert_allclose(loop.q_rad, goal, atol=2e-3)
    loop.hold()
    assert loop.mode == "impedance"
    loop.run(500)
    np.testing.assert_allclose(loop.q_rad, goal, atol=5e-3)


def test_a_target_ends_a_joint_motion_where_the_arm_is() -> None:
    loop = make_loop()
    loop.start_joint_motion(panda.Q_HOME_RAD, 1.0)
    loop.run(400)
    here = loop.pose_base_tcp
    loop.set_target(here)
    assert loop.mode == "impedance"
    np.testing.assert_array_equal(loop.pose_base_reference, here)
    loop.run(1500)
    np.testing.assert_allclose(loop.pose_base_tcp[:3], here[:3], atol=2e-3)


@pytest.mark.parametrize(
    ("goal", "duration_s", "message"),
    [
        ([0.0] * 7, 1.0, "a joint goal has 7 values within"),
        (panda.Q_HOME_RAD * np.nan, 1.0, "a joint goal"),
        (panda.Q_HOME_RAD[:6], 1.0, "a joint goal"),
        (panda.Q_HOME_RAD, 0.0, "positive duration"),
        (panda.Q_HOME_RAD, math.nan, "positive duration"),
    ],
)
def test_impossible_joint_motions_are_refused(goal: Array, duration_s: float, message: str) -> None:
    loop = make_loop()
    with pytest.raises(DeviceError, match=message):
        loop.start_joint_motion(goal, duration_s)
    assert loop.mode == "impedance"


def test_a_bad_target_changes_nothing() -> None:
    loop = make_loop()
    start = loop.pose_base_tcp
    for bad in (start * np.nan, start * [1, 1, 1, 2, 2, 2, 2]):
        with pytest.raises(DeviceError):
            loop.set_target(bad)
    loop.run(100)
    np.testing.assert_allclose(loop.pose_base_tcp, start, atol=1e-6)


def test_new_gains_move_the_equilibrium_gradually_to_force_over_stiffness() -> None:
    wide = replace(ImpedanceParams().with_clip(0.1), null_stiffness_nm_rad=(0.0,) * 7)
    loop = make_loop(params=wide)
    start = loop.pose_base_tcp
    push(loop, np.array([10.0, 0, 0]), np.zeros(3))
    loop.run(3000)
    assert math.isclose(loop.pose_base_tcp[0] - start[0], 10 / 2000, rel_tol=0.05)
    loop.set_params(replace(wide, stiffness=(500.0,) * 3 + (75.0,) * 3))
    before = loop.torque_nm
    loop.run(1)
    assert np.abs(loop.torque_nm - before).max() < 0.1
    loop.run(5000)
    assert math.isclose(loop.pose_base_tcp[0] - start[0], 10 / 500, rel_tol=0.05)


@pytest.mark.parametrize(("resets", "error_m"), [(False, 0.0), (True, 10 / 2000)])
def test_integral_removes_the_error_unless_each_target_clears_it(resets: bool, error_m: float) -> None:
    params = ImpedanceParams(
        integral_gain=(20_000.0,) * 3 + (0.0,) * 3,
        integral_limit=(1e-3,) * 6,
        integral_resets=resets,
        null_stiffness_nm_rad=(0.0,) * 7,
    )
    loop = make_loop(params=params)
    start = loop.pose_base_tcp
    push(loop, np.array([10.0, 0, 0]), np.zeros(3))
    for _ in range(600):
        loop.set_target(start)
        loop.run(5)
    assert math.isclose(loop.pose_base_tcp[0] - start[0], error_m, abs_tol=4e-4)


def test_gravity_can_be_left_to_the_robot() -> None:
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    for name in ("shell", "metal", "part"):
        spec.add_material(name=name)
    panda.add_panda(spec)
    for body in spec.bodies:
        body.gravcomp = 1.0
    loop = make_loop(model=spec.compile(), params=ImpedanceParams(gravity="robot"))
    start = loop.pose_base_tcp
    np.testing.assert_allclose(loop.torque_nm, 0.0, atol=1e-9)
    loop.run(300)
    np.testing.assert_allclose(loop.pose_base_tcp, start, atol=1e-6)


def test_a_state_that_is_not_finite_stops_the_loop_until_reset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # MuJoCo writes its own log of such a state into the working directory
    sentence = r"became unstable before t = .* call reset\(\)"
    for spoil in ("qpos", "qvel"):
        loop = make_loop()
        loop.run(10)
        getattr(loop.data, spoil)[2] = np.nan
        with pytest.raises(DeviceError, match=sentence):
            loop.run(10)
        with pytest.raises(DeviceError, match=sentence):
            loop.run(10)
        loop.data.qpos[:7], loop.data.qvel[:] = CENTRE, 0.0
        loop.reset()
        loop.run(10)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tcp_site": "tpc"}, "unknown site 'tpc': did you mean 'tcp'"),
        ({"force_sensor": "wrist_froce"}, "unknown sensor 'wrist_froce': did you mean 'wrist_force'"),
        ({"joint_names": panda.JOINT_NAMES[:6]}, "expected 7 joints"),
        ({"actuator_names": (*panda.MOTOR_NAMES[:6], panda.GRIPPER_ACTUATOR)}, "'gripper' must be a motor of gear 1"),
        ({"actuator_names": panda.MOTOR_NAMES[::-1]}, "must be a motor of gear 1 on its joint"),
        ({"base_body": "link1"}, "base body 'link1' must be at the origin"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        make_loop(**change)  # type: ignore[arg-type]
    make_loop(base_body="link0")


def test_other_actuators_are_left_to_the_caller() -> None:
    loop = make_loop()
    index = MODEL.actuator(panda.GRIPPER_ACTUATOR).id
    loop.data.ctrl[index] = 0.03
    loop.run(50)
    assert loop.data.ctrl[index] == 0.03


def test_threads_run_while_the_physics_does() -> None:
    loop = make_loop()
    physics = threading.Thread(target=loop.run, args=(20_000,))
    physics.start()
    # If the lock were held, this thread would get no turn before the end of the run.
    turns = 0
    while physics.is_alive():
        turns += 1
        physics.join(0.001)
    assert turns > 2
