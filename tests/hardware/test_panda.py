"""The procedural Panda is the Panda: kinematics, dynamics and limits against published numbers."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import mujoco
import numpy as np
import pytest

from robot_rl.hardware.mujoco import ik, panda
from robot_rl.hardware.mujoco.scene import build_model


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return build_model(armature_kg_m2=0.0)


def at_home(model: mujoco.MjModel) -> mujoco.MjData:
    data = mujoco.MjData(model)
    data.qpos[:7] = panda.Q_HOME_RAD
    mujoco.mj_forward(model, data)
    return data


def mass_matrix(model: mujoco.MjModel, data: mujoco.MjData) -> np.ndarray:
    full = np.zeros((model.nv, model.nv))
    mujoco.mj_fullM(model, data, full)
    return full[:7, :7]


def test_tool_centre_point_at_home(model: mujoco.MjModel) -> None:
    """The known value for the ready pose with the Franka hand."""
    np.testing.assert_allclose(at_home(model).site(panda.TCP_SITE).xpos, [0.3069, 0.0, 0.4869], atol=1e-4)


def test_tool_points_down_with_x_along_base_x(model: mujoco.MjModel) -> None:
    rotation = at_home(model).site(panda.TCP_SITE).xmat.reshape(3, 3)
    np.testing.assert_allclose(rotation, np.diag([1.0, -1.0, -1.0]), atol=1e-9)


def test_inertia_and_gravity_torque_match_the_identified_robot(model: mujoco.MjModel) -> None:
    """Diagonal of M and gravity torque at the ready pose, from the published URDF with these parameters."""
    data = at_home(model)
    diagonal = np.diag(mass_matrix(model, data))
    np.testing.assert_allclose(diagonal, [0.530, 1.554, 0.984, 0.956, 0.043, 0.054, 0.007], atol=1.5e-3)
    np.testing.assert_allclose(data.qfrc_bias[[1, 3, 5]], [-3.99, 22.02, 2.28], atol=0.02)


def test_mass_of_arm_and_hand(model: mujoco.MjModel) -> None:
    assert model.body_mass.sum() == pytest.approx(17.45, abs=0.01)


def test_joint_limits_are_radians(model: mujoco.MjModel) -> None:
    np.testing.assert_allclose(model.jnt_range[:7], np.stack([panda.Q_MIN_RAD, panda.Q_MAX_RAD], 1))


def test_motors_saturate_at_the_published_torques(model: mujoco.MjModel) -> None:
    np.testing.assert_allclose(model.actuator_ctrlrange[:7, 1], [87, 87, 87, 87, 12, 12, 12])


def test_inverse_kinematics_round_trip(model: mujoco.MjModel) -> None:
    rng = np.random.default_rng(0)
    data = mujoco.MjData(model)
    for _ in range(20):
        pose = np.array([*rng.uniform((0.35, -0.25, 0.05), (0.65, 0.25, 0.4)), 1.0, 0.0, 0.0, 0.0])
        yaw = rng.uniform(-0.6, 0.6)
        pose[3:5] = np.cos(yaw / 2), np.sin(yaw / 2)
        data.qpos[:7] = ik.solve(model, panda.TCP_SITE, pose, panda.Q_HOME_RAD)
        mujoco.mj_forward(model, data)
        site = data.site(panda.TCP_SITE)
        np.testing.assert_allclose(site.xpos, pose[:3], atol=2e-5)
        quat = np.zeros(4)
        mujoco.mju_mat2Quat(quat, site.xmat)
        assert abs(quat[[1, 2, 3, 0]] @ pose[3:]) == pytest.approx(1.0, abs=1e-7)


def test_out_of_reach_is_a_sentence(model: mujoco.MjModel) -> None:
    with pytest.raises(Exception, match="no joint configuration reaches"):
        ik.solve(model, panda.TCP_SITE, np.array([2.0, 0, 0, 1, 0, 0, 0]), panda.Q_HOME_RAD)


def find_reference_urdf() -> Path | None:
    """The Panda of the `example-robot-data` distribution, if it is installed."""
    for entry in sys.path:
        found = Path(entry, "cmeel.prefix/share/example-robot-data/robots/panda_description/urdf/panda.urdf")
        if found.is_file():
            return found
    return None


@pytest.mark.skipif(find_reference_urdf() is None, reason="example-robot-data is not installed")
def test_equals_the_urdf_of_example_robot_data(model: mujoco.MjModel) -> None:
    """Mass matrix, gravity torque and tool pose over random configurations, against an independent model file."""
    path = find_reference_urdf()
    assert path is not None
    root = ET.parse(path).getroot()
    for link in root.iter("link"):
        for shape in [*link.findall("visual"), *link.findall("collision")]:
            link.remove(shape)
    root.insert(0, ET.fromstring('<mujoco><compiler fusestatic="false" balanceinertia="false"/></mujoco>'))
    reference = mujoco.MjModel.from_xml_string(ET.tostring(root, encoding="unicode"))
    rng = np.random.default_rng(1)
    ours, theirs = mujoco.MjData(model), mujoco.MjData(reference)
    for _ in range(20):
        q = rng.uniform(panda.Q_MIN_RAD, panda.Q_MAX_RAD)
        ours.qpos[:7], theirs.qpos[:7] = q, q
        mujoco.mj_forward(model, ours)
        mujoco.mj_forward(reference, theirs)
        np.testing.assert_allclose(mass_matrix(model, ours), mass_matrix(reference, theirs), atol=2e-3)
        np.testing.assert_allclose(ours.qfrc_bias[:7], theirs.qfrc_bias[:7], atol=0.03)
        np.testing.assert_allclose(ours.body("hand").xpos, theirs.body("panda_hand").xpos, atol=1e-6)
