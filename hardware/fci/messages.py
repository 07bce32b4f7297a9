"""What goes over the wire between a Franka arm and its clients: protocol version 10, packed little-endian structs.

Arm: requests and replies on TCP 1337, one robot state and one robot command per millisecond over UDP. Matrices are
column-major 4x4; lengths are m, rad, N, Nm, kg and s throughout. `robot_rl.hardware.fci.gripper` has the hand's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

ARM_PORT = 1337
ARM_VERSION = 10
HEADER = struct.Struct("<III")
CONNECT_REQUEST = struct.Struct("<HH")
CONNECT_REPLY = struct.Struct("<BH")
MOVE_REQUEST = struct.Struct("<II6d?7d")
MAX_REQUEST_BYTES = 4096


class Command(IntEnum):
    """Requests on TCP."""

    CONNECT = 0
    MOVE = 1
    STOP_MOVE = 2
    SET_COLLISION_BEHAVIOR = 3
    SET_JOINT_IMPEDANCE = 4
    SET_CARTESIAN_IMPEDANCE = 5
    SET_GUIDING_MODE = 6
    SET_EE_TO_K = 7
    SET_NE_TO_EE = 8
    SET_LOAD = 9
    AUTOMATIC_ERROR_RECOVERY = 10
    GET_ROBOT_MODEL = 11


# Bytes after the header of each request.
REQUEST_BYTES = {
    Command.CONNECT: CONNECT_REQUEST.size,
    Command.MOVE: MOVE_REQUEST.size,
    Command.STOP_MOVE: 0,
    Command.SET_COLLISION_BEHAVIOR: 416,
    Command.SET_JOINT_IMPEDANCE: 56,
    Command.SET_CARTESIAN_IMPEDANCE: 48,
    Command.SET_GUIDING_MODE: 7,
    Command.SET_EE_TO_K: 128,
    Command.SET_NE_TO_EE: 128,
    Command.SET_LOAD: 104,
    Command.AUTOMATIC_ERROR_RECOVERY: 0,
    Command.GET_ROBOT_MODEL: 0,
}


class MoveStatus(IntEnum):
    """Replies to a Move request, which is answered when the motion starts and again when it ends."""

    SUCCESS = 0
    MOTION_STARTED = 1
    PREEMPTED = 2
    PREEMPTED_BY_SAFETY = 3
    REJECTED_BY_SAFETY = 4
    NOT_POSSIBLE = 5
    SINGULAR_START = 6
    INVALID_ARGUMENT = 7
    REFLEX_ABORTED = 8
    EMERGENCY_ABORTED = 9
    INPUT_ERROR_ABORTED = 10
    ABORTED = 11


class SetterStatus(IntEnum):
    """Replies to the Set requests."""

    SUCCESS = 0
    NOT_POSSIBLE = 1
    INVALID_ARGUMENT = 2


class StopStatus(IntEnum):
    """Replies to StopMove."""

    SUCCESS = 0
    NOT_POSSIBLE = 1


class RecoveryStatus(IntEnum):
    """Replies to AutomaticErrorRecovery."""

    SUCCESS = 0
    NOT_POSSIBLE = 1
    REJECTED_BY_SAFETY = 2
    MANUAL_RECOVERY_REQUIRED = 3


class MotionMode(IntEnum):
    """Who makes the desired motion, as a robot state says it; a Move request counts from 0 for joint positions."""

    IDLE = 0
    JOINT_POSITION = 1
    JOINT_VELOCITY = 2
    CARTESIAN_POSITION = 3
    CARTESIAN_VELOCITY = 4
    NONE = 5


class ControllerMode(IntEnum):
    """Who turns it into torques."""

    JOINT_IMPEDANCE = 0
    CARTESIAN_IMPEDANCE = 1
    EXTERNAL = 2
    OTHER = 3


class RobotMode(IntEnum):
    """What the robot is doing."""

    OTHER = 0
    IDLE = 1
    MOVE = 2
    GUIDING = 3
    REFLEX = 4
    USER_STOPPED = 5
    RECOVERY = 6


# Position in this tuple is the position of the flag in a robot state.
ERRORS = (
    "joint_position_limits_violation",
    "cartesian_position_limits_violation",
    "self_collision_avoidance_violation",
    "joint_velocity_violation",
    "cartesian_velocity_violation",
    "force_control_safety_violation",
    "joint_reflex",
    "cartesian_reflex",
    "max_goal_pose_deviation_violation",
    "max_path_pose_deviation_violation",
    "cartesian_velocity_profile_safety_violation",
    "joint_position_motion_generator_start_pose_invalid",
    "joint_motion_generator_position_limits_violation",
    "joint_motion_generator_velocity_limits_violation",
    "joint_motion_generator_velocity_discontinuity",
    "joint_motion_generator_acceleration_discontinuity",
    "cartesian_position_motion_generator_start_pose_invalid",
    "cartesian_motion_generator_elbow_limit_violation",
    "cartesian_motion_generator_velocity_limits_violation",
    "cartesian_motion_generator_velocity_discontinuity",
    "cartesian_motion_generator_acceleration_discontinuity",
    "cartesian_motion_generator_elbow_sign_inconsistent",
    "cartesian_motion_generator_start_elbow_invalid",
    "force_controller_desired_force_tolerance_violation",
    "start_elbow_sign_inconsistent",
    "communication_constraints_violation",
    "power_limit_violation",
    "cartesian_motion_generator_joint_position_limits_violation",
    "cartesian_motion_generator_joint_velocity_limits_violation",
    "cartesian_motion_generator_joint_velocity_discontinuity",
    "cartesian_motion_generator_joint_acceleration_discontinuity",
    "cartesian_position_motion_generator_invalid_frame",
    "controller_torque_discontinuity",
    "joint_p2p_insufficient_torque_for_planning",
    "tau_j_range_violation",
    "instability_detected",
    "joint_move_in_wrong_direction",
    "cartesian_spline_motion_generator_violation",
    "joint_via_motion_generator_planning_joint_limit_violation",
    "base_acceleration_initialization_timeout",
    "base_acceleration_invalid_reading",
)

_STATE_FLOATS = (
    ("O_T_EE", 16),
    ("O_T_EE_d", 16),
    ("F_T_EE", 16),
    ("EE_T_K", 16),
    ("F_T_NE", 16),
    ("NE_T_EE", 16),
    ("m_ee", 1),
    ("I_ee", 9),
    ("F_x_Cee", 3),
    ("m_load", 1),
    ("I_load", 9),
    ("F_x_Cload", 3),
    ("elbow", 2),
    ("elbow_d", 2),
    ("tau_J", 7),
    ("tau_J_d", 7),
    ("dtau_J", 7),
    ("q", 7),
    ("q_d", 7),
    ("dq", 7),
    ("dq_d", 7),
    ("ddq_d", 7),
    ("joint_contact", 7),
    ("cartesian_contact", 6),
    ("joint_collision", 7),
    ("cartesian_collision", 6),
    ("tau_ext_hat_filtered", 7),
    ("O_F_ext_hat_K", 6),
    ("K_F_ext_hat_K", 6),
    ("O_dP_EE_d", 6),
    ("O_ddP_O", 3),
    ("elbow_c", 2),
    ("delbow_c", 2),
    ("ddelbow_c", 2),
    ("O_T_EE_c", 16),
    ("O_dP_EE_c", 6),
    ("O_ddP_EE_c", 6),
    ("theta", 7),
    ("dtheta", 7),
    ("accelerometer_top", 18),
    ("accelerometer_bottom", 18),
)

ROBOT_STATE = np.dtype(
    [
        ("message_id", "<u8"),
        *((name, "<f4", (count,)) for name, count in _STATE_FLOATS),
        ("motion_generator_mode", "u1"),
        ("controller_mode", "u1"),
        ("errors", "?", (len(ERRORS),)),
        ("reflex_reason", "?", (len(ERRORS),)),
        ("robot_mode", "u1"),
        ("control_command_success_rate", "<f4"),
    ]
)

ROBOT_COMMAND = np.dtype(
    [
        ("message_id", "<u8"),
        ("q_c", "<f8", (7,)),
        ("dq_c", "<f8", (7,)),
        ("O_T_EE_c", "<f8", (16,)),
        ("O_dP_EE_c", "<f8", (6,)),
        ("elbow_c", "<f8", (2,)),
        ("valid_elbow", "?"),
        ("motion_generation_finished", "?"),
        ("tau_J_d", "<f8", (7,)),
        ("torque_command_finished", "?"),
    ]
)


@dataclass(frozen=True)
class Request:
    """One request as it came over TCP.

    Attributes:
        command: which.
        command_id: chosen by the client; the reply carries it again.
        payload: what followed the header.
    """

    command: int
    command_id: int
    payload: bytes


def split_requests(received: bytearray) -> Iterator[Request]:
    """Take every whole request off the front of what has been received; a partial one stays.

    Raises:
        ValueError: a header announces a size that no request has; the connection is of no more use.
    """
    while len(received) >= HEADER.size:
        command, command_id, size = HEADER.unpack_from(received)
        if not HEADER.size <= size <= MAX_REQUEST_BYTES:
            raise ValueError(f"request {command} announces {size} bytes, expected {HEADER.size} to {MAX_REQUEST_BYTES}")
        if len(received) < size:
            return
        payload = bytes(received[HEADER.size : size])
        del received[:size]
        yield Request(command, command_id, payload)


def pack_reply(command: int, command_id: int, body: bytes) -> bytes:
    """Bytes of a reply: the request's header with the reply's size, then status and payload."""
    return HEADER.pack(command, command_id, HEADER.size + len(body)) + body
