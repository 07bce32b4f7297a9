"""The arm behind the protocol: gravity, external wrench, description, all against the model itself."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import mujoco
import numpy as np
import pytest

from robot_rl.core.scene import Box, SceneObject
from robot_rl.hardware.fci.plant import ArmPlant
from robot_rl.hardware.fci.urdf import write_urdf
from robot_rl.hardware.mujoco import panda


def hold(plant: ArmPlant, ticks: int) -> None:
    for _ in range(ticks):
        plant.step(-20.0 * plant.dq)


def test_it_floats_without_torques() -> None:
    plant = ArmPlant()
    for _ in range(500):
        plant.step(np.zeros(7))
    np.testing.assert_allclose(plant.q, panda.Q_HOME_RAD, atol=1e-9)
    np.testing.assert_allclose(plant.wrench_base_k, 0.0, atol=1e-6)


def test_a_push_shows_with_the_sign_of_what_the_robot_exerts() -> None:
    plant = ArmPlant()
    plant.push(np.array([3.0, -2.0, -10.0, 0.1, 0.2, 0.3]))
    hold(plant, 60)
    np.testing.assert_allclose(plant.wrench_base_k, [-3.0, 2.0, 10.0, -0.1, -0.2, -0.3], atol=0.02)
    plant.push(np.zeros(6))
    hold(plant, 60)
    np.testing.assert_allclose(plant.wrench_base_k, 0.0, atol=0.02)


def test_an_object_in_the_hand_is_an_external_load_until_the_robot_is_told() -> None:
    block = SceneObject("block", (Box((0.01, 0.01, 0.01)),), mass_kg=0.5, mount="hand")
    plant = ArmPlant((block,))
    hold(plant, 60)
    # The robot carries it, so it exerts an upward force.
    assert plant.wrench_base_k[2] == pytest.approx(0.5 * 9.81, abs=0.05)
    plant.tool.m_load, plant.tool.F_x_Cload = 0.5, np.array([0.0, 0.0, panda.FLANGE_TO_TCP_M])
    hold(plant, 200)
    np.testing.assert_allclose(plant.wrench_base_k[:3], 0.0, atol=0.05)


def test_the_description_is_the_model() -> None:
    """Kinematics, mass matrix and gravity torques of the text equal the simulated arm's without its hand."""
    plant = ArmPlant()
    root = ET.fromstring(write_urdf(plant.model).encode())
    root.insert(0, ET.fromstring('<mujoco><compiler fusestatic="false" balanceinertia="false"/></mujoco>'))
    read = mujoco.MjModel.from_xml_string(ET.tostring(root, encoding="unicode"))
    rng = np.random.default_rng(0)
    theirs = mujoco.MjData(read)
    for _ in range(10):
        q = rng.uniform(panda.Q_MIN_RAD, panda.Q_MAX_RAD)
        plant.reset(q)
        theirs.qpos[:] = q
        mujoco.mj_forward(read, theirs)
        np.testing.assert_allclose(theirs.body("link8").xpos, plant.O_T_F[:3, 3], atol=1e-9)
        np.testing.assert_allclose(theirs.body("link8").xmat.reshape(3, 3), plant.O_T_F[:3, :3], atol=1e-9)
        centre = plant.O_T_F[:3, :3] @ plant.tool.F_x_Cee + plant.O_T_F[:3, 3]
        hand_nm = np.zeros(7)
        for k in range(7):
            axis, lever = plant.data.xaxis[k], centre - plant.data.xanchor[k]
            hand_nm[k] = axis @ np.cross(lever, [0.0, 0.0, 9.81 * plant.tool.m_ee])
        held = theirs.qfrc_bias + hand_nm
        np.testing.assert_allclose(held, plant.data.qfrc_bias[:7], atol=2e-3)


def test_the_description_has_what_clients_ask_for() -> None:
    root = ET.fromstring(write_urdf(ArmPlant().model).encode())
    for i in range(1, 8):
        joint = root.find(f"joint[@name='joint{i}']")
        assert joint is not None
        limit, near = joint.find("limit"), joint.find("position_based_velocity_limits")
        assert limit is not None and near is not None
        assert float(limit.get("lower", "nan")) == panda.Q_MIN_RAD[i - 1]
        assert float(near.get("deceleration_limit", "nan")) > 0.0
    assert root.find("link[@name='link8']") is not None
