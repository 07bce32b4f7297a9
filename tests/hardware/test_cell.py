"""The simulated cell: resets, objects, gripper, wrench, determinism."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from robot_rl.controllers.impedance import ImpedanceParams
from robot_rl.core.errors import DeviceError
from robot_rl.core.scene import Box, SceneObject
from robot_rl.hardware.mujoco import panda
from robot_rl.hardware.mujoco.cell import MujocoCell
from robot_rl.hardware.mujoco.devices import make_sim_cell
from robot_rl.hardware.mujoco.scene import build_model

CUBE = SceneObject("cube", (Box((0.02, 0.02, 0.02)),), mass_kg=0.1, friction=0.8)
POST = SceneObject("post", (Box((0.01, 0.01, 0.05), (0, 0, 0.05)),), mount="fixture")
WEIGHT = SceneObject("weight", (Box((0.01, 0.01, 0.01), (0, 0, 0.02)),), mass_kg=0.5, mount="hand")
UPRIGHT = np.array([0.0, 0.0, 0.0, 1.0])
DOWN = np.array([0.5, 0.0, 0.15, 1.0, 0.0, 0.0, 0.0])


def at(x: float, y: float, z: float) -> np.ndarray:
    return np.concatenate([[x, y, z], UPRIGHT])


def test_the_jacobian_is_dense_and_the_step_is_a_millisecond() -> None:
    model = build_model([CUBE])
    assert int(model.opt.jacobian) == int(mujoco.mjtJacobian.mjJAC_DENSE)
    assert model.opt.timestep == 0.001


def test_objects_lie_where_they_are_placed_and_free_ones_fall() -> None:
    cell = MujocoCell([CUBE, POST], ImpedanceParams())
    cell.place("post", at(0.4, 0.1, 0.0))
    cell.place("cube", at(0.6, -0.1, 0.1))
    np.testing.assert_allclose(cell.object_pose("cube"), at(0.6, -0.1, 0.1), atol=1e-12)
    cell.run(500)
    np.testing.assert_allclose(cell.object_pose("post"), at(0.4, 0.1, 0.0), atol=1e-12)
    np.testing.assert_allclose(cell.object_pose("cube")[:3], [0.6, -0.1, 0.02], atol=1e-3)


def test_unknown_object_names_the_known_ones() -> None:
    cell = MujocoCell([CUBE, POST], ImpedanceParams())
    with pytest.raises(DeviceError, match="Available: cube, post"):
        cell.object_pose("ball")


def test_what_the_hand_holds_cannot_be_placed() -> None:
    with pytest.raises(DeviceError, match="held by the hand"):
        MujocoCell([WEIGHT], ImpedanceParams()).place("weight", at(0.5, 0, 0))


@pytest.mark.parametrize("objects", [(), (WEIGHT,)])
def test_the_wrench_is_zero_in_free_space_whatever_the_hand_holds(objects: tuple[SceneObject, ...]) -> None:
    cell = MujocoCell(objects, ImpedanceParams())
    cell.reset(panda.Q_HOME_RAD, 0.02, {})
    cell.run(500)
    assert np.abs(cell.loop.wrench_tcp[:3]).max() < 0.2
    assert np.abs(cell.loop.wrench_tcp[3:]).max() < 0.02


def test_the_gripper_holds_a_cube_that_weighs_a_newton() -> None:
    devices, sim = make_sim_cell((CUBE,), ImpedanceParams())
    devices.world.reset(np.array([0.5, 0, 0.02, 1, 0, 0, 0]), 0.08, {"cube": at(0.5, 0, 0.02)})
    devices.gripper.command(0.0)
    devices.clock.sleep_until(devices.clock.now_s() + 0.5)
    assert devices.gripper.state().width_m == pytest.approx(0.04, abs=1.5e-3)
    devices.arm.set_target(DOWN)
    devices.clock.sleep_until(devices.clock.now_s() + 2.0)
    assert devices.world.object_pose("cube")[2] == pytest.approx(0.15, abs=6e-3)
    assert devices.arm.state().wrench_tcp[2] == pytest.approx(0.1 * 9.81, abs=0.3), (
        "the weight pulls along the tool's axis"
    )
    assert sim.width_m > 0.035


def test_fingers_close_at_a_human_speed() -> None:
    devices, _ = make_sim_cell((), ImpedanceParams())
    devices.world.reset(DOWN, 0.08, {})
    devices.gripper.command(0.0)
    devices.clock.sleep_until(devices.clock.now_s() + 0.2)
    assert 0.02 < devices.gripper.state().width_m < 0.07
    devices.clock.sleep_until(devices.clock.now_s() + 1.5)
    assert devices.gripper.state().width_m < 2e-3


def test_time_never_turns_back() -> None:
    devices, _ = make_sim_cell((), ImpedanceParams())
    devices.clock.sleep_until(0.3)
    devices.world.reset(DOWN, 0.08, {})
    assert devices.clock.now_s() == pytest.approx(0.3)
    devices.clock.sleep_until(0.1)
    assert devices.clock.now_s() == pytest.approx(0.3)


def test_joint_motion_arrives() -> None:
    devices, _ = make_sim_cell((), ImpedanceParams())
    goal = panda.Q_HOME_RAD + np.array([0.2, 0.1, -0.1, 0.2, 0.1, -0.2, 0.3])
    devices.arm.move_joints(goal, 2.0)
    devices.clock.sleep_until(devices.clock.now_s() + 0.5)
    np.testing.assert_allclose(devices.arm.state().q_rad, goal, atol=0.02)


def test_a_reset_forgets_everything() -> None:
    cell = MujocoCell([CUBE], ImpedanceParams())
    states = []
    for disturb in (0, 137, 400):
        cell.run(disturb)
        cell.reset(panda.Q_HOME_RAD, 0.05, {"cube": at(0.5, 0.1, 0.02)})
        cell.loop.set_target(DOWN)
        cell.run(300)
        states.append(np.concatenate([cell.data.qpos, cell.data.qvel, cell.loop.wrench_tcp]).tobytes())
    assert len(set(states)) == 1


def test_unknown_camera_names_the_known_ones() -> None:
    with pytest.raises(DeviceError, match="Available: film, overview, side, wrist"):
        make_sim_cell((), ImpedanceParams(), ("front",))
