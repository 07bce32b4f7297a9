"""The hand's own server: requests on TCP 1338, its state over UDP, version 3 of its protocol.

Moves and grasps are answered when they end, as a real hand does; a new request ends the one that runs.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from robot_rl.hardware.fci.line import Line
from robot_rl.hardware.fci.plant import ArmPlant
from robot_rl.hardware.mujoco import panda
from robot_rl.hardware.mujoco.scene import TIMESTEP_S

HAND_PORT = 1338
HAND_VERSION = 3
HAND_HEADER = struct.Struct("<HII")
HAND_STATE = struct.Struct("<Idd?H")
CONNECT_REQUEST, CONNECT_REPLY = struct.Struct("<HH"), struct.Struct("<HH")
MOVE_REQUEST, GRASP_REQUEST = struct.Struct("<dd"), struct.Struct("<ddddd")
STATE_PERIOD_TICKS = 20
TEMPERATURE_C = 30
MAX_FORCE_N = 70.0
MAX_SPEED_M_S = 0.1
HOMING_SPEED_M_S = 0.05
ARRIVED_M = 0.001
STILL_M_S = 0.002
STILL_TICKS = 100


class HandCommand(IntEnum):
    """Requests."""

    CONNECT = 0
    HOMING = 1
    GRASP = 2
    MOVE = 3
    STOP = 4


class HandStatus(IntEnum):
    """Replies."""

    SUCCESS = 0
    FAIL = 1
    UNSUCCESSFUL = 2
    ABORTED = 3


_BYTES = {
    HandCommand.CONNECT: CONNECT_REQUEST.size,
    HandCommand.HOMING: 0,
    HandCommand.GRASP: GRASP_REQUEST.size,
    HandCommand.MOVE: MOVE_REQUEST.size,
    HandCommand.STOP: 0,
}


@dataclass
class _Action:
    """What the fingers are doing for a request."""

    command: HandCommand
    command_id: int
    goals_m: list[float]
    speed_m_s: float
    accepted_m: tuple[float, float]
    still_ticks: int = 0


class Hand:
    """Moves the fingers.

    Attributes:
        is_grasped: whether the last grasp ended within its tolerance and nothing has been asked for since.
        jammed: injected fault: the fingers stay where they are.

    Args:
        plant: whose fingers.
    """

    def __init__(self, plant: ArmPlant) -> None:
        self._plant = plant
        self._actuator = plant.model.actuator(panda.GRIPPER_ACTUATOR).id
        joints = [plant.model.joint(f"finger_{side}") for side in ("left", "right")]
        self._qpos = np.array([j.qposadr[0] for j in joints])
        self._dof = np.array([j.dofadr[0] for j in joints])
        self._action: _Action | None = None
        self.is_grasped = False
        self.jammed = False

    @property
    def width_m(self) -> float:
        """Opening between the pads."""
        return float(self._plant.data.qpos[self._qpos].sum())

    def begin(self, command: HandCommand, command_id: int, payload: bytes) -> HandStatus | None:
        """Start what a request asks for; a status if it is done at once."""
        self.is_grasped = False
        if command is HandCommand.HOMING:
            self._start(command, command_id, [0.0, panda.GRIPPER_MAX_WIDTH_M], HOMING_SPEED_M_S, panda.GRASP_FORCE_N)
            return None
        if command is HandCommand.MOVE:
            width, speed = MOVE_REQUEST.unpack(payload)
            if not (0.0 <= width <= panda.GRIPPER_MAX_WIDTH_M and speed > 0.0):
                return HandStatus.FAIL
            self._start(command, command_id, [width], speed, panda.GRASP_FORCE_N)
            return None
        width, inner, outer, speed, force = GRASP_REQUEST.unpack(payload)
        if not (
            0.0 <= width <= panda.GRIPPER_MAX_WIDTH_M and speed > 0.0 and force > 0.0 and inner >= 0 and outer >= 0
        ):
            return HandStatus.FAIL
        self._start(command, command_id, [0.0], speed, force, (width - inner, width + outer))
        return None

    def stop(self) -> tuple[int, HandCommand] | None:
        """Stay here; the request that this ends, if one ran."""
        self._plant.data.ctrl[self._actuator] = self.width_m
        ended, self._action = self._action, None
        return None if ended is None else (ended.command_id, ended.command)

    def tick(self) -> tuple[int, HandCommand, HandStatus] | None:
        """Move on by a millisecond; the request that ended, if one did."""
        action, ctrl = self._action, self._plant.data.ctrl
        if action is None or self.jammed:
            return None
        goal, step = action.goals_m[0], action.speed_m_s * TIMESTEP_S
        target = float(ctrl[self._actuator])
        ctrl[self._actuator] = min(max(goal, target - step), target + step)
        still = ctrl[self._actuator] == goal and np.abs(self._plant.data.qvel[self._dof]).max() < STILL_M_S
        action.still_ticks = action.still_ticks + 1 if still else 0
        if action.still_ticks < STILL_TICKS:
            return None
        width = self.width_m
        if len(action.goals_m) > 1:
            del action.goals_m[0]
            action.still_ticks = 0
            return None
        self._action = None
        low, high = action.accepted_m
        good = low <= width <= high
        self.is_grasped = good and action.command is HandCommand.GRASP
        return action.command_id, action.command, HandStatus.SUCCESS if good else HandStatus.UNSUCCESSFUL

    def _start(
        self,
        command: HandCommand,
        command_id: int,
        goals_m: list[float],
        speed_m_s: float,
        force_n: float,
        accepted_m: tuple[float, float] | None = None,
    ) -> None:
        bound = min(force_n, MAX_FORCE_N)
        self._plant.model.actuator_forcerange[self._actuator] = (-bound, bound)
        self._plant.data.ctrl[self._actuator] = self.width_m
        accepted = accepted_m or (goals_m[-1] - ARRIVED_M, goals_m[-1] + ARRIVED_M)
        self._action = _Action(command, command_id, goals_m, min(speed_m_s, MAX_SPEED_M_S), accepted)


class HandServer:
    """Serves one client of the hand; ticked by the arm's loop.

    Args:
        hand: that it serves.
        address: to listen at.
        port: for requests; 0 takes a free one.

    Raises:
        DeviceError: the address or port cannot be had.
    """

    def __init__(self, hand: Hand, address: str, port: int = HAND_PORT) -> None:
        self._hand = hand
        self._line = Line(address, port)
        self._message_id = 0

    @property
    def port(self) -> int:
        """Where requests are taken."""
        return self._line.port

    def tick(self, ticks: int) -> None:
        """Answer, move the fingers, send a state every 20 ms.

        Args:
            ticks: of the arm's loop so far.
        """
        ended = self._hand.tick()
        if ended is not None:
            self._reply(*ended)
        if ticks % 5 == 0 and self._line.poll():
            self._serve()
        if ticks % STATE_PERIOD_TICKS == 0 and self._line.connected:
            self._message_id += STATE_PERIOD_TICKS
            self._line.send_datagram(
                HAND_STATE.pack(
                    self._message_id,
                    self._hand.width_m,
                    panda.GRIPPER_MAX_WIDTH_M,
                    self._hand.is_grasped,
                    TEMPERATURE_C,
                )
            )

    def close(self) -> None:
        """Hang up and stop listening."""
        self._line.close()

    def _serve(self) -> None:
        received = self._line.received
        while len(received) >= HAND_HEADER.size:
            number, command_id, size = HAND_HEADER.unpack_from(received)
            known = number in _BYTES
            if not known or size != HAND_HEADER.size + _BYTES[HandCommand(number)]:
                self._line.hang_up()
                return
            if len(received) < size:
                return
            payload = bytes(received[HAND_HEADER.size : size])
            del received[:size]
            self._answer(HandCommand(number), command_id, payload)

    def _answer(self, command: HandCommand, command_id: int, payload: bytes) -> None:
        if command is HandCommand.CONNECT:
            version, port = CONNECT_REQUEST.unpack(payload)
            self._line.send_datagrams_to(port)
            body = CONNECT_REPLY.pack(int(version != HAND_VERSION), HAND_VERSION)
            self._line.send(HAND_HEADER.pack(command, command_id, HAND_HEADER.size + len(body)) + body)
            return
        ended = self._hand.stop()
        if ended is not None:
            self._reply(*ended, HandStatus.ABORTED)
        status = HandStatus.SUCCESS if command is HandCommand.STOP else self._hand.begin(command, command_id, payload)
        if status is not None:
            self._reply(command_id, command, status)

    def _reply(self, command_id: int, command: HandCommand, status: HandStatus) -> None:
        self._line.send(HAND_HEADER.pack(command, command_id, HAND_HEADER.size + 2) + struct.pack("<H", status))
