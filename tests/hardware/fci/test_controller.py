"""Motions, limits, reflexes and recovery, one tick at a time and without a network."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from robot_rl.core.errors import ConfigError
from robot_rl.hardware.fci.controller import Controller
from robot_rl.hardware.fci.messages import (
    ERRORS,
    ROBOT_COMMAND,
    ControllerMode,
    MotionMode,
    MoveStatus,
    RecoveryStatus,
    RobotMode,
)
from robot_rl.hardware.fci.plant import ArmPlant
from robot_rl.hardware.mujoco import panda

JOINT, CARTESIAN, EXTERNAL = ControllerMode.JOINT_IMPEDANCE, ControllerMode.CARTESIAN_IMPEDANCE, ControllerMode.EXTERNAL


@pytest.fixture
def controller() -> Controller:
    return Controller(ArmPlant())


def drive(
    controller: Controller, ticks: int, fill: Callable[[np.ndarray, float], None], skip: tuple[int, ...] = ()
) -> None:
    """Run a motion whose command at each time `fill` writes; ends early with the motion."""
    for i in range(1, ticks + 1):
        if controller.motion is None:
            return
        command = np.zeros((), ROBOT_COMMAND)
        command["message_id"] = i
        fill(command, i * 1e-3)
        controller.tick(None if i in skip else command)


def named(controller: Controller) -> list[str]:
    return [name for name, on in zip(ERRORS, controller.errors, strict=True) if on]


def bump(size: float, t_s: float, duration_s: float) -> float:
    """From 0 to `size` in `duration_s`, at rest at both ends."""
    return size * 0.5 * (1.0 - np.cos(np.pi * min(t_s / duration_s, 1.0)))


@pytest.mark.parametrize("law", [JOINT, CARTESIAN])
def test_joint_positions_are_reached(controller: Controller, law: ControllerMode) -> None:
    assert controller.start(7, law, MotionMode.JOINT_POSITION) is MoveStatus.MOTION_STARTED
    goal = panda.Q_HOME_RAD + np.array([0.2, 0.1, -0.1, 0.2, 0.1, -0.2, 0.3])

    def fill(command: np.ndarray, t: float) -> None:
        command["q_c"] = panda.Q_HOME_RAD + bump(1.0, t, 1.0) * (goal - panda.Q_HOME_RAD)
        command["motion_generation_finished"] = t >= 1.4

    drive(controller, 1400, fill)
    assert controller.ended == (7, MoveStatus.SUCCESS)
    assert controller.robot_mode is RobotMode.IDLE
    np.testing.assert_allclose(controller.plant.q, goal, atol=2e-3)


@pytest.mark.parametrize("law", [JOINT, CARTESIAN])
def test_poses_are_reached_with_the_elbow_at_rest(controller: Controller, law: ControllerMode) -> None:
    start = controller.desired.O_T_EE.copy()
    controller.start(1, law, MotionMode.CARTESIAN_POSITION)
    c, s = np.cos(0.2), np.sin(0.2)
    turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])

    def fill(command: np.ndarray, t: float) -> None:
        share = bump(1.0, t, 1.0)
        pose = start.copy()
        pose[:3, 3] += share * np.array([0.05, -0.04, -0.06])
        c, s = np.cos(0.2 * share), np.sin(0.2 * share)
        pose[:3, :3] = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]) @ start[:3, :3]
        command["O_T_EE_c"] = pose.T.reshape(-1)

    drive(controller, 1400, fill)
    assert named(controller) == []
    reached = controller.plant.O_T_EE
    np.testing.assert_allclose(reached[:3, 3] - start[:3, 3], [0.05, -0.04, -0.06], atol=1e-3)
    np.testing.assert_allclose(reached[:3, :3], turn @ start[:3, :3], atol=5e-3)
    assert controller.desired.q[2] == pytest.approx(panda.Q_HOME_RAD[2], abs=1e-4)


def test_velocities_are_integrated(controller: Controller) -> None:
    controller.start(1, JOINT, MotionMode.JOINT_VELOCITY)

    def spin(command: np.ndarray, t: float) -> None:
        command["dq_c"][0] = 0.3 * np.sin(np.pi * t)

    drive(controller, 1000, spin)
    assert controller.desired.q[0] == pytest.approx(0.6 / np.pi, abs=1e-3)
    controller.end(MoveStatus.SUCCESS)
    start = controller.desired.O_T_EE.copy()
    controller.start(2, JOINT, MotionMode.CARTESIAN_VELOCITY)

    def slide(command: np.ndarray, t: float) -> None:
        command["O_dP_EE_c"][2] = -0.1 * np.sin(np.pi * t)

    drive(controller, 1000, slide)
    assert named(controller) == []
    np.testing.assert_allclose(controller.desired.O_T_EE[:3, 3] - start[:3, 3], [0, 0, -0.2 / np.pi], atol=1e-3)


def test_the_elbow_follows_when_commanded(controller: Controller) -> None:
    start = controller.desired.O_T_EE.copy()
    controller.start(1, JOINT, MotionMode.CARTESIAN_POSITION)

    def fill(command: np.ndarray, t: float) -> None:
        command["O_T_EE_c"] = start.T.reshape(-1)
        command["elbow_c"], command["valid_elbow"] = (bump(0.2, t, 1.0), -1.0), True

    drive(controller, 1200, fill)
    assert controller.plant.q[2] == pytest.approx(0.2, abs=2e-3)
    np.testing.assert_allclose(controller.plant.O_T_EE, start, atol=2e-3)


def far_start(command: np.ndarray, t: float) -> None:
    command["q_c"] = panda.Q_HOME_RAD + 0.1


def jump(command: np.ndarray, t: float) -> None:
    command["q_c"] = panda.Q_HOME_RAD + (2e-3 if t > 0.01 else 0.0)


def too_fast(command: np.ndarray, t: float) -> None:
    command["dq_c"][6] = 9.0 * t


def over_the_limit(command: np.ndarray, t: float) -> None:
    command["dq_c"][3] = min(2.0 * t, 2.0)


def broken_frame(command: np.ndarray, t: float) -> None:
    command["O_T_EE_c"] = 2.0 * np.eye(4).reshape(-1)


def tool_jump(command: np.ndarray, t: float) -> None:
    command["O_dP_EE_c"][0] = 0.1


def torque_jump(command: np.ndarray, t: float) -> None:
    command["tau_J_d"][2] = 1.5


def torque_range(command: np.ndarray, t: float) -> None:
    command["tau_J_d"] = (0, 0, 0, 0, 0, 0, min(1000.0 * t, 15.0))


BROKEN = [
    (JOINT, MotionMode.JOINT_POSITION, far_start, "joint_position_motion_generator_start_pose_invalid"),
    (JOINT, MotionMode.JOINT_POSITION, jump, "joint_motion_generator_velocity_discontinuity"),
    (JOINT, MotionMode.JOINT_VELOCITY, too_fast, "joint_motion_generator_velocity_limits_violation"),
    (JOINT, MotionMode.JOINT_VELOCITY, over_the_limit, "joint_motion_generator_position_limits_violation"),
    (JOINT, MotionMode.CARTESIAN_POSITION, broken_frame, "cartesian_position_motion_generator_invalid_frame"),
    (JOINT, MotionMode.CARTESIAN_VELOCITY, tool_jump, "cartesian_motion_generator_velocity_discontinuity"),
    (EXTERNAL, MotionMode.NONE, torque_jump, "controller_torque_discontinuity"),
    (EXTERNAL, MotionMode.NONE, torque_range, "tau_j_range_violation"),
]


@pytest.mark.parametrize(("law", "mode", "fill", "error"), BROKEN, ids=[b[3] for b in BROKEN])
def test_a_broken_limit_stops_the_motion_until_recovery(
    controller: Controller,
    law: ControllerMode,
    mode: MotionMode,
    fill: Callable[[np.ndarray, float], None],
    error: str,
) -> None:
    controller.start(3, law, mode)
    drive(controller, 3000, fill)
    assert named(controller) == [error]
    assert controller.ended == (3, MoveStatus.REFLEX_ABORTED)
    assert controller.robot_mode is RobotMode.REFLEX
    assert controller.start(4, law, mode) is MoveStatus.NOT_POSSIBLE
    for _ in range(300):
        controller.tick(None)
    assert np.abs(controller.plant.dq).max() < 0.05
    assert controller.recover() is RecoveryStatus.SUCCESS
    assert named(controller) == [] and controller.reflex_reason[ERRORS.index(error)]
    assert controller.start(5, law, mode) is MoveStatus.MOTION_STARTED


@pytest.mark.parametrize(
    ("collision_nm", "collision_n", "error"), [(100.0, 15.0, "cartesian_reflex"), (4.0, 1000.0, "joint_reflex")]
)
def test_a_push_beyond_a_threshold_is_a_reflex(
    controller: Controller, collision_nm: float, collision_n: float, error: str
) -> None:
    controller.collision.collision_nm[:], controller.collision.collision_n[:] = collision_nm, collision_n
    controller.start(1, EXTERNAL, MotionMode.NONE)
    controller.plant.push(np.array([0.0, 0.0, -30.0, 0.0, 0.0, 0.0]))
    drive(controller, 100, lambda command, t: None)
    assert named(controller) == [error]


def test_below_the_threshold_it_is_a_contact(controller: Controller) -> None:
    controller.collision.contact_n[:] = 5.0
    controller.start(1, JOINT, MotionMode.JOINT_VELOCITY)
    controller.plant.push(np.array([0.0, 0.0, -10.0, 0.0, 0.0, 0.0]))
    drive(controller, 100, lambda command, t: None)
    assert controller.motion is not None
    assert controller.cartesian_contact.tolist() == [False, False, True, False, False, False]
    assert not controller.cartesian_collision.any()


def test_numbers_that_are_none_end_the_motion(controller: Controller) -> None:
    controller.start(1, EXTERNAL, MotionMode.NONE)
    drive(controller, 10, lambda command, t: command["tau_J_d"].fill(np.nan))
    assert controller.ended == (1, MoveStatus.INPUT_ERROR_ABORTED)
    assert np.isfinite(controller.plant.q).all()


def test_a_lost_command_is_bridged_at_the_last_velocity(controller: Controller) -> None:
    controller.start(1, JOINT, MotionMode.JOINT_POSITION)

    def fill(command: np.ndarray, t: float) -> None:
        command["q_c"] = panda.Q_HOME_RAD + bump(0.2, t, 1.0)

    drive(controller, 1000, fill, skip=(300, 500, 501, 502))
    assert named(controller) == []
    assert controller.success_rate == 1.0
    np.testing.assert_allclose(controller.desired.q, panda.Q_HOME_RAD + 0.2, atol=1e-4)


def test_twenty_lost_commands_in_a_row_abort(controller: Controller) -> None:
    controller.start(1, EXTERNAL, MotionMode.NONE)
    drive(controller, 5, lambda command, t: None)
    for _ in range(19):
        controller.tick(None)
    assert controller.motion is not None
    controller.tick(None)
    assert named(controller) == ["communication_constraints_violation"]


def test_the_user_stop_outranks_recovery(controller: Controller) -> None:
    controller.start(1, EXTERNAL, MotionMode.NONE)
    controller.user_stop(True)
    assert controller.ended == (1, MoveStatus.EMERGENCY_ABORTED)
    assert controller.recover() is RecoveryStatus.REJECTED_BY_SAFETY
    controller.user_stop(False)
    assert controller.robot_mode is RobotMode.IDLE


def test_a_joint_outside_its_limits_wants_a_person(controller: Controller) -> None:
    outside = panda.Q_HOME_RAD.copy()
    outside[5] = panda.Q_MAX_RAD[5] + 0.05
    controller.plant.reset(outside)
    controller.settle()
    controller.start(1, EXTERNAL, MotionMode.NONE)
    controller.tick(None)
    assert named(controller) == ["joint_position_limits_violation"]
    assert controller.recover() is RecoveryStatus.MANUAL_RECOVERY_REQUIRED
    controller.plant.reset(panda.Q_HOME_RAD)
    controller.settle()
    assert controller.recover() is RecoveryStatus.SUCCESS


def test_an_unknown_error_is_a_sentence(controller: Controller) -> None:
    with pytest.raises(ConfigError, match="cartesian_reflex"):
        controller.reflex("cartesian_reflx")
