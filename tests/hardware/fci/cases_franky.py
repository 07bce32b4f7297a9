"""The production client, unmodified, against the emulator in its own process."""

from __future__ import annotations

import time
from collections.abc import Iterator

import franky
import numpy as np
import pytest

from robot_rl.hardware.fci.plant import ArmPlant
from robot_rl.hardware.mujoco import panda
from tests.hardware.fci.client import FaultClient
from tests.hardware.franka.support import emulated, free_address


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    where = free_address()
    with emulated(where):
        yield where


@pytest.fixture(scope="module")
def faults(address: str) -> Iterator[FaultClient]:
    client = FaultClient(address)
    yield client
    client.close()


@pytest.fixture(scope="module")
def robot(address: str) -> franky.Robot:
    robot = franky.Robot(address, realtime_config=franky.RealtimeConfig.Ignore)
    robot.relative_dynamics_factor = 0.1
    return robot


def test_state_and_model_agree(robot: franky.Robot) -> None:
    state = robot.state
    assert state.robot_mode == franky.RobotMode.Idle
    assert not robot.has_errors
    pose = robot.model.pose(franky.Frame.EndEffector, state)
    np.testing.assert_allclose(pose.matrix, state.O_T_EE.matrix, atol=1e-5)
    plant = ArmPlant()
    plant.reset(np.array(state.q))
    np.testing.assert_allclose(robot.model.gravity(state), plant.data.qfrc_bias[:7], atol=1e-3)
    jacobian = np.array(robot.model.zero_jacobian(franky.Frame.EndEffector, state))
    np.testing.assert_allclose(jacobian, plant.jacobian, atol=1e-4)
    rotors = plant.model.dof_armature[:7]
    np.testing.assert_allclose(robot.model.mass(state), plant.mass_matrix() - np.diag(rotors), atol=2e-3)


def test_joint_and_cartesian_motions(robot: franky.Robot) -> None:
    goal = panda.Q_HOME_RAD + np.array([0.1, 0.0, 0.0, 0.1, 0.0, -0.1, 0.1])
    robot.move(franky.JointMotion(franky.JointState(goal)))
    np.testing.assert_allclose(robot.current_joint_state.position, goal, atol=1e-3)
    before = robot.current_pose.end_effector_pose.matrix
    shift = np.array([0.02, 0.03, -0.02])
    robot.move(franky.CartesianMotion(franky.Affine(shift), franky.ReferenceType.Relative))
    after = robot.current_pose.end_effector_pose.matrix
    np.testing.assert_allclose(after[:3, 3], before[:3, 3] + before[:3, :3] @ shift, atol=2e-3)


def test_impedance_tracking_reflex_and_recovery(robot: franky.Robot, faults: FaultClient) -> None:
    motion = franky.CartesianImpedanceTrackingMotion(translational_stiffness=1000, rotational_stiffness=40)
    start = robot.current_pose.end_effector_pose
    robot.move(motion, asynchronous=True)
    for i in range(30):
        target = start.translation + np.array([0.0, 0.001 * i, 0.0])
        motion.set_reference(franky.CartesianReference(franky.Affine(target, start.quaternion)))
        time.sleep(0.02)
    time.sleep(1.0)
    np.testing.assert_allclose(robot.current_pose.end_effector_pose.translation, target, atol=5e-3)
    faults.say("push 0 0 -90 100")
    with pytest.raises(franky.ControlException, match="reflex"):
        for _ in range(200):
            robot.poll_motion()
            time.sleep(0.02)
    assert robot.has_errors
    with pytest.raises(franky.CommandException, match="not possible in the current mode"):
        robot.move(franky.JointMotion(franky.JointState(panda.Q_HOME_RAD)))
    time.sleep(0.5)
    assert robot.recover_from_errors()
    robot.move(franky.JointMotion(franky.JointState(panda.Q_HOME_RAD)))


def test_the_gripper(address: str) -> None:
    gripper = franky.Gripper(address)
    assert gripper.move(0.05, 0.1)
    assert not gripper.grasp(0.05, 0.1, 20.0)
    assert gripper.grasp(0.0, 0.1, 20.0)
    assert gripper.open(0.1)
