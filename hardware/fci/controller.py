"""The robot's controller: modes, motions, reflexes and recovery, without any network."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from robot_rl.core.errors import ConfigError, unknown_name
from robot_rl.core.types import Array
from robot_rl.hardware.fci.desired import DesiredMotion
from robot_rl.hardware.fci.laws import Stiffness, cartesian_impedance, joint_impedance
from robot_rl.hardware.fci.messages import (
    ERRORS,
    ControllerMode,
    MotionMode,
    MoveStatus,
    RecoveryStatus,
    RobotMode,
)
from robot_rl.hardware.fci.plant import ArmPlant
from robot_rl.hardware.fci.urdf import VELOCITY_LIMIT_RAD_S
from robot_rl.hardware.mujoco import panda

# What is measured may overshoot what is desired, whose limits are checked exactly.
MEASURED_VELOCITY_TOLERANCE = 1.1
POSITION_TOLERANCE_RAD = 0.005
TORQUE_RATE_NM_TICK = 1.0
TORQUE_RATE_TOLERANCE_NM = 1e-3
MAX_LOST_COMMANDS = 20
# Desired joint accelerations above this choose the thresholds that are meant for accelerating.
ACCELERATING_RAD_S2 = 0.5
# No angle, length, velocity or torque is as large; what is not a number fails the comparison as well.
BEYOND_SENSE = 1e6
_NUMBERS = ("q_c", "dq_c", "O_T_EE_c", "O_dP_EE_c", "elbow_c", "tau_J_d")


@dataclass
class CollisionBehavior:
    """Thresholds per joint ``[7]`` in Nm and per Cartesian axis ``[6]`` in N and Nm: contact below, collision above."""

    contact_nm: Array = field(default_factory=lambda: np.full((2, 7), 20.0))
    collision_nm: Array = field(default_factory=lambda: np.full((2, 7), 40.0))
    contact_n: Array = field(default_factory=lambda: np.full((2, 6), 20.0))
    collision_n: Array = field(default_factory=lambda: np.full((2, 6), 40.0))


@dataclass
class Motion:
    """A running motion.

    Attributes:
        command_id: of the Move request, which is answered again at the end.
        controller, mode: what was asked for.
        began_message_id: of the last state before the motion.
        last_message_id: of the state that the last command answered; 0 before the first.
        lost: commands missing in a row.
    """

    command_id: int
    controller: ControllerMode
    mode: MotionMode
    began_message_id: int = 0
    last_message_id: int = 0
    lost: int = 0


class Controller:
    """Runs the arm one tick at a time and decides what is allowed.

    Attributes:
        robot_mode: what the robot is doing.
        motion: the running one, if any.
        errors, reflex_reason: flags in the order of `ERRORS`.
        ended: how the motion that has just ended did: its command id and status; the server takes it.
        joint_contact, joint_collision, cartesian_contact, cartesian_collision: flags of the last tick.
        tau_d_nm: last desired torques without gravity ``[7]``.

    Args:
        plant: the arm.
    """

    def __init__(self, plant: ArmPlant) -> None:
        self.plant = plant
        self.desired = DesiredMotion(plant)
        self.stiffness, self.collision = Stiffness(), CollisionBehavior()
        self.robot_mode = RobotMode.IDLE
        self.motion: Motion | None = None
        self.errors, self.reflex_reason = np.zeros(len(ERRORS), bool), np.zeros(len(ERRORS), bool)
        self.ended: tuple[int, MoveStatus] | None = None
        self.tau_d_nm = np.zeros(7)
        self.joint_contact, self.joint_collision = np.zeros(7, bool), np.zeros(7, bool)
        self.cartesian_contact, self.cartesian_collision = np.zeros(6, bool), np.zeros(6, bool)
        self._success = np.ones(100)
        self._ticks = 0

    @property
    def success_rate(self) -> float:
        """Share of the last 100 ticks in motion whose command came; 0 at rest."""
        return float(self._success.mean()) if self.motion else 0.0

    def start(self, command_id: int, controller: ControllerMode, mode: MotionMode, message_id: int = 0) -> MoveStatus:
        """Begin a motion, if the robot's mode lets it.

        Args:
            command_id: of the Move request.
            controller: who makes the torques.
            mode: who makes the motion.
            message_id: of the last state that was sent.
        """
        if self.robot_mode is not RobotMode.IDLE:
            return MoveStatus.NOT_POSSIBLE
        self.desired.rest(self.desired.q if mode is not MotionMode.NONE else self.plant.q)
        self.motion = Motion(command_id, controller, mode, message_id)
        self.robot_mode = RobotMode.MOVE
        self.tau_d_nm[:] = 0.0 if controller is ControllerMode.EXTERNAL else self.tau_d_nm
        self._success[:] = 1.0
        return MoveStatus.MOTION_STARTED

    def end(self, status: MoveStatus) -> None:
        """End the running motion, if there is one, and hold."""
        if self.motion is None:
            return
        follows = self.motion.mode is not MotionMode.NONE and status is MoveStatus.SUCCESS
        self.desired.rest(self.desired.q if follows else self.plant.q)
        self.ended = (self.motion.command_id, status)
        self.motion = None
        if self.robot_mode is RobotMode.MOVE:
            self.robot_mode = RobotMode.IDLE

    def reflex(self, error: str, status: MoveStatus = MoveStatus.REFLEX_ABORTED) -> None:
        """Stop at once because of an error, which stays until recovery.

        Raises:
            ConfigError: there is no such error.
        """
        if error not in ERRORS:
            raise ConfigError(unknown_name("error", error, ERRORS))
        flag = ERRORS.index(error)
        self.reflex_reason[:] = False
        self.reflex_reason[flag] = True
        self.errors[flag] = True
        self.end(status)
        self.desired.rest(self.plant.q)
        if self.robot_mode is not RobotMode.USER_STOPPED:
            self.robot_mode = RobotMode.REFLEX

    def user_stop(self, pressed: bool) -> None:
        """Press or release the user stop, which ends a motion and keeps others from beginning."""
        if pressed:
            self.end(MoveStatus.EMERGENCY_ABORTED)
            self.desired.rest(self.plant.q)
            self.robot_mode = RobotMode.USER_STOPPED
        elif self.robot_mode is RobotMode.USER_STOPPED:
            self.robot_mode = RobotMode.REFLEX if self.errors.any() else RobotMode.IDLE

    def recover(self) -> RecoveryStatus:
        """Clear the errors, unless the user stop is pressed or a joint stands outside its limits."""
        if self.robot_mode is RobotMode.USER_STOPPED:
            return RecoveryStatus.REJECTED_BY_SAFETY
        if self.robot_mode is RobotMode.MOVE:
            return RecoveryStatus.NOT_POSSIBLE
        if self._outside_limits():
            return RecoveryStatus.MANUAL_RECOVERY_REQUIRED
        self.errors[:] = False
        self.robot_mode = RobotMode.IDLE
        self.desired.rest(self.plant.q)
        return RecoveryStatus.SUCCESS

    def settle(self) -> None:
        """Hold where the arm stands now, after it has been put there."""
        self.desired.rest(self.plant.q)
        self.tau_d_nm = np.zeros(7)

    def tick(self, command: np.void | None) -> None:
        """Take a command, move the arm by a millisecond, look for trouble.

        Args:
            command: of dtype `robot_rl.hardware.fci.messages.ROBOT_COMMAND`; None if none has come: 20 such ticks in a
                row end a motion that has had its first command.
        """
        self._ticks += 1
        if self.motion is not None:
            self._success[self._ticks % len(self._success)] = command is not None
            fault = self._take(self.motion, command)
            if fault is not None:
                self.reflex(fault)
        external = self.motion is not None and self.motion.controller is ControllerMode.EXTERNAL
        if not external:
            self.tau_d_nm = self._own_torques()
        self.plant.step(self.tau_d_nm)
        if self.motion is not None and self.motion.mode is MotionMode.NONE:
            self.desired.rest(self.plant.q)
        self._watch()

    def _take(self, motion: Motion, command: np.void | None) -> str | None:
        """Let a command act; the name of what it breaks, or None."""
        if command is None:
            if motion.last_message_id:
                motion.lost += 1
                if motion.mode is not MotionMode.NONE:
                    self.desired.coast()
            return "communication_constraints_violation" if motion.lost >= MAX_LOST_COMMANDS else None
        message_id = int(command["message_id"])
        first = motion.last_message_id == 0
        ticks = max(message_id - (motion.last_message_id or motion.began_message_id), 1)
        gap = max(ticks - motion.lost, 1)
        motion.last_message_id, motion.lost = message_id, 0
        if not all(np.abs(command[name]).max() < BEYOND_SENSE for name in _NUMBERS):
            self.end(MoveStatus.INPUT_ERROR_ABORTED)
            return None
        if command["motion_generation_finished"] or command["torque_command_finished"]:
            self.end(MoveStatus.SUCCESS)
            return None
        if motion.mode is not MotionMode.NONE:
            fault = self.desired.follow(motion.mode, command, first, gap, ticks)
            if fault is not None:
                return fault
        if motion.controller is ControllerMode.EXTERNAL:
            return self._take_torques(command["tau_J_d"].copy(), ticks)
        return None

    def _take_torques(self, torque_nm: Array, ticks: int) -> str | None:
        change = np.abs(torque_nm - self.tau_d_nm).max()
        if change > TORQUE_RATE_NM_TICK * ticks + TORQUE_RATE_TOLERANCE_NM:
            return "controller_torque_discontinuity"
        if (np.abs(torque_nm) > panda.TORQUE_LIMIT_NM).any():
            return "tau_j_range_violation"
        self.tau_d_nm = torque_nm
        return None

    def _own_torques(self) -> Array:
        """What the robot's own controllers ask for: at rest, and in motions that it tracks itself."""
        if self.motion is not None and self.motion.controller is ControllerMode.CARTESIAN_IMPEDANCE:
            return cartesian_impedance(self.plant, self.desired, self.stiffness.cartesian)
        return joint_impedance(self.plant, self.desired, self.stiffness.joint)

    def _watch(self) -> None:
        """Contacts, collisions and limits of the measured motion; all but contacts matter in motion only."""
        plant, behavior = self.plant, self.collision
        nominal = int(np.abs(self.desired.ddq).max() < ACCELERATING_RAD_S2)
        torque, wrench = np.abs(plant.tau_ext_nm), np.abs(plant.wrench_base_k)
        self.joint_contact = torque > behavior.contact_nm[nominal]
        self.joint_collision = torque > behavior.collision_nm[nominal]
        self.cartesian_contact = wrench > behavior.contact_n[nominal]
        self.cartesian_collision = wrench > behavior.collision_n[nominal]
        if self.motion is None:
            return
        if self._outside_limits():
            self.reflex("joint_position_limits_violation")
        elif (np.abs(plant.dq) > VELOCITY_LIMIT_RAD_S * MEASURED_VELOCITY_TOLERANCE).any():
            self.reflex("joint_velocity_violation")
        elif self.joint_collision.any():
            self.reflex("joint_reflex")
        elif self.cartesian_collision.any():
            self.reflex("cartesian_reflex")

    def _outside_limits(self) -> bool:
        low, high = panda.Q_MIN_RAD - POSITION_TOLERANCE_RAD, panda.Q_MAX_RAD + POSITION_TOLERANCE_RAD
        return bool(((self.plant.q < low) | (self.plant.q > high)).any())
