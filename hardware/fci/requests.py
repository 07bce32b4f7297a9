"""What the robot answers to requests: payloads decoded and checked, then given to the controller."""

from __future__ import annotations

import numpy as np

from robot_rl.core.types import Array
from robot_rl.hardware.fci.controller import BEYOND_SENSE, CollisionBehavior, Controller
from robot_rl.hardware.fci.laws import CARTESIAN_STIFFNESS_RANGES, JOINT_STIFFNESS_RANGE_NM_RAD
from robot_rl.hardware.fci.messages import (
    ARM_VERSION,
    CONNECT_REPLY,
    CONNECT_REQUEST,
    MOVE_REQUEST,
    REQUEST_BYTES,
    Command,
    ControllerMode,
    MotionMode,
    MoveStatus,
    Request,
    RobotMode,
    SetterStatus,
    StopStatus,
)
from robot_rl.hardware.fci.urdf import write_urdf

# Move requests count motion modes from joint positions; robot states have idle before them.
_MODES = (
    MotionMode.JOINT_POSITION,
    MotionMode.JOINT_VELOCITY,
    MotionMode.CARTESIAN_POSITION,
    MotionMode.CARTESIAN_VELOCITY,
    MotionMode.NONE,
)


class RequestDesk:
    """Answers every request but Connect's address, which is the server's.

    Args:
        controller: that carries them out.
    """

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._urdf = write_urdf(controller.plant.model).encode()

    def answer(self, request: Request, message_id: int) -> bytes:
        """Body of the reply: a status byte and what belongs to it.

        Args:
            request: of the client.
            message_id: of the last state that was sent.

        Raises:
            ValueError: there is no such command, or its payload has another size; real robots hang up as well.
        """
        try:
            command = Command(request.command)
        except ValueError:
            raise ValueError(f"command {request.command} does not exist") from None
        if len(request.payload) != REQUEST_BYTES[command]:
            raise ValueError(
                f"{command.name} came with {len(request.payload)} bytes, expected {REQUEST_BYTES[command]}"
            )
        if command is Command.CONNECT:
            version, _ = CONNECT_REQUEST.unpack(request.payload)
            return CONNECT_REPLY.pack(int(version != ARM_VERSION), ARM_VERSION)
        if command is Command.MOVE:
            return bytes([self._move(request, message_id)])
        if command is Command.STOP_MOVE:
            return bytes([self._stop()])
        if command is Command.AUTOMATIC_ERROR_RECOVERY:
            return bytes([self._controller.recover()])
        if command is Command.GET_ROBOT_MODEL:
            return b"\0" + self._urdf
        return bytes([self._set(command, request.payload)])

    def _move(self, request: Request, message_id: int) -> MoveStatus:
        controller, mode, *numbers = MOVE_REQUEST.unpack(request.payload)
        planned_by_robot = numbers[6]
        if controller > ControllerMode.EXTERNAL or mode >= len(_MODES) or planned_by_robot:
            return MoveStatus.INVALID_ARGUMENT
        if _MODES[mode] is MotionMode.NONE and controller != ControllerMode.EXTERNAL:
            return MoveStatus.INVALID_ARGUMENT
        return self._controller.start(request.command_id, ControllerMode(controller), _MODES[mode], message_id)

    def _stop(self) -> StopStatus:
        if self._controller.motion is None:
            return StopStatus.NOT_POSSIBLE
        self._controller.end(MoveStatus.PREEMPTED)
        return StopStatus.SUCCESS

    def _set(self, command: Command, payload: bytes) -> SetterStatus:
        controller = self._controller
        if command is Command.SET_GUIDING_MODE:
            return SetterStatus.SUCCESS
        values = np.frombuffer(payload, "<f8").copy()
        if not np.abs(values).max() < BEYOND_SENSE:
            return SetterStatus.INVALID_ARGUMENT
        if command is Command.SET_COLLISION_BEHAVIOR:
            return self._set_collision_behavior(values)
        if controller.robot_mode is RobotMode.MOVE:
            return SetterStatus.NOT_POSSIBLE
        if command is Command.SET_JOINT_IMPEDANCE:
            low, high = JOINT_STIFFNESS_RANGE_NM_RAD
            if ((values < low) | (values > high)).any():
                return SetterStatus.INVALID_ARGUMENT
            controller.stiffness.joint = values
        elif command is Command.SET_CARTESIAN_IMPEDANCE:
            if any(not low <= v <= high for v, (low, high) in zip(values, CARTESIAN_STIFFNESS_RANGES, strict=True)):
                return SetterStatus.INVALID_ARGUMENT
            controller.stiffness.cartesian = values
        elif command is Command.SET_LOAD:
            return self._set_load(values)
        else:
            return self._set_frame(command, values.reshape(4, 4).T)
        return SetterStatus.SUCCESS

    def _set_collision_behavior(self, values: Array) -> SetterStatus:
        if (values < 0.0).any():
            return SetterStatus.INVALID_ARGUMENT
        torques, forces = values[:28].reshape(2, 2, 7), values[28:].reshape(2, 2, 6)
        self._controller.collision = CollisionBehavior(
            contact_nm=torques[:, 0], collision_nm=torques[:, 1], contact_n=forces[:, 0], collision_n=forces[:, 1]
        )
        return SetterStatus.SUCCESS

    def _set_load(self, values: Array) -> SetterStatus:
        tool = self._controller.plant.tool
        if values[0] < 0.0:
            return SetterStatus.INVALID_ARGUMENT
        tool.m_load, tool.F_x_Cload, tool.I_load = float(values[0]), values[1:4], values[4:].reshape(3, 3).T
        return SetterStatus.SUCCESS

    def _set_frame(self, command: Command, frame: Array) -> SetterStatus:
        turn = frame[:3, :3]
        if (
            np.abs(turn @ turn.T - np.eye(3)).max() > 1e-3
            or np.linalg.det(turn) < 0
            or (frame[3] != (0, 0, 0, 1)).any()
        ):
            return SetterStatus.INVALID_ARGUMENT
        if command is Command.SET_EE_TO_K:
            self._controller.plant.tool.EE_T_K = frame
        else:
            self._controller.plant.tool.NE_T_EE = frame
            self._controller.desired.rest(self._controller.desired.q)
        return SetterStatus.SUCCESS
