"""The robot on the network: requests on TCP, a state and a command over UDP every millisecond.

Unless told to be strict, the robot's time waits for its client: once a motion has begun, each tick waits for the
answer to the state before. A client that is slow, or on a busy machine, then sees a slow robot and not a failing one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

import numpy as np

from robot_rl.core.errors import ConfigError
from robot_rl.core.types import Array
from robot_rl.hardware.fci.controller import Controller
from robot_rl.hardware.fci.fault_port import FaultPort
from robot_rl.hardware.fci.faults import FAULT_PORT, FaultDesk, NetworkFaults
from robot_rl.hardware.fci.gripper import HAND_PORT, Hand, HandServer
from robot_rl.hardware.fci.line import Line
from robot_rl.hardware.fci.messages import (
    ARM_PORT,
    CONNECT_REQUEST,
    ROBOT_COMMAND,
    Command,
    MoveStatus,
    Request,
    pack_reply,
    split_requests,
)
from robot_rl.hardware.fci.pace import Pace
from robot_rl.hardware.fci.plant import ArmPlant
from robot_rl.hardware.fci.requests import RequestDesk
from robot_rl.hardware.fci.snapshot import Snapshot
from robot_rl.hardware.mujoco import panda

# A client that is silent for so long in a motion is taken for dead.
SILENCE_S = 0.5
# While waiting for a command, the fault port is looked at so often.
LOOK_AROUND_S = 0.005


@dataclass(frozen=True)
class ServerOptions:
    """Where and how to serve.

    Attributes:
        address: to listen at; the protocol knows no password, so others than loopback need `allow_remote`.
        arm_port, hand_port, fault_port: TCP; clients expect the first two at 1337 and 1338. 0 takes a free one.
        rate_hz: ticks per second of wall time, 0 for as fast as it goes; each tick is a millisecond for the robot.
        strict: keep the rate whether or not commands come; 20 missing in a row then end a motion.
        allow_remote: whether the address may be one that other machines can reach.
        seed: of injected losses.
    """

    address: str = "127.0.0.1"
    arm_port: int = ARM_PORT
    hand_port: int = HAND_PORT
    fault_port: int = FAULT_PORT
    rate_hz: float = 1000.0
    strict: bool = False
    allow_remote: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Check.

        Raises:
            ConfigError: naming the option, what it was and what it may be.
        """
        try:
            loopback = ip_address(self.address).is_loopback
        except ValueError:
            raise ConfigError(f"address is {self.address!r}, expected an IP address such as 127.0.0.1") from None
        if not loopback and not self.allow_remote:
            raise ConfigError(
                f"address {self.address} can be reached from other machines and the protocol has no password: "
                "use 127.0.0.1, or allow it with --allow-remote"
            )
        if not 0.0 <= self.rate_hz <= 1e5:
            raise ConfigError(f"rate_hz is {self.rate_hz}, expected 0 to 100000")


@dataclass(frozen=True)
class StartState:
    """Where everything is at the start: joint angles ``[7]``, opening, `pose_base_object` ``[7]`` by name."""

    q_rad: Array = field(default_factory=lambda: panda.Q_HOME_RAD.copy())
    gripper_width_m: float = panda.GRIPPER_MAX_WIDTH_M
    object_poses: Mapping[str, Array] = field(default_factory=dict)


class FciServer:
    """Arm, hand and fault port, ticked together in one thread.

    Args:
        plant: the cell.
        options: where to listen.
        start: how the cell looks now and whenever it is told to go home.

    Raises:
        DeviceError: an address or port cannot be had.
    """

    def __init__(self, plant: ArmPlant, options: ServerOptions | None = None, start: StartState | None = None) -> None:
        self._options, self._start = options or ServerOptions(), start or StartState()
        self._controller, self._hand = Controller(plant), Hand(plant)
        self._network = NetworkFaults(strict=self._options.strict)
        self._rng = np.random.default_rng(self._options.seed)
        self._go_home()
        self._desk, self._snapshot = RequestDesk(self._controller), Snapshot(self._controller)
        o, opened = self._options, []
        try:
            self._line = Line(o.address, o.arm_port)
            opened.append(self._line.close)
            self._hand_server = HandServer(self._hand, o.address, o.hand_port)
            opened.append(self._hand_server.close)
            self._faults = FaultDesk(self._controller, self._hand, self._network, self._go_home)
            self._fault_port = FaultPort(self._faults.do, o.address, o.fault_port)
        except Exception:
            for close in opened:
                close()
            raise
        self.pace = Pace(1.0 / o.rate_hz if o.rate_hz else 0.0)
        self._ticks = 0
        self._sent_message_id = 0
        self._answer_due = False

    @property
    def ports(self) -> tuple[int, int, int]:
        """Of arm, hand and faults."""
        return self._line.port, self._hand_server.port, self._fault_port.port

    def run(self, go_on: Callable[[], bool]) -> None:
        """Serve while `go_on` says so."""
        while go_on():
            self.tick()

    def tick(self) -> None:
        """One millisecond of the robot."""
        self.pace.wait()
        self._ticks += 1
        waited_s = 0.0
        command = self._take_command()
        if command is None and self._must_wait():
            command, waited_s = self._wait_for_command()
        self._serve()
        self._controller.tick(command)
        self._tell_end()
        self._hand_server.tick(self._ticks)
        self._faults.tick()
        self._fault_port.tick(self._ticks)
        self._tell_end()
        self._send_state()
        self.pace.done(waited_s)

    def close(self) -> None:
        """Hang up and stop listening."""
        self._line.close()
        self._hand_server.close()
        self._fault_port.close()

    def _go_home(self) -> None:
        start = self._start
        self._controller.end(MoveStatus.ABORTED)
        self._hand.stop()
        self._controller.plant.reset(start.q_rad, start.gripper_width_m, start.object_poses)
        self._controller.settle()

    def _take_command(self) -> np.void | None:
        """The newest command of the running motion that has come; once it runs, only an answer to the last state.

        When strict, an answer to an earlier state is good enough, as for a real robot.
        """
        newest: np.void | None = None
        motion, network = self._controller.motion, self._network
        for message in self._line.take_datagrams():
            if len(message) != ROBOT_COMMAND.itemsize or network.freeze_ticks or motion is None:
                continue
            if network.drop_commands and self._rng.random() < network.drop_commands:
                self._answer_due = False
                continue
            command = np.frombuffer(message, ROBOT_COMMAND)[0]
            in_step = network.strict or motion.last_message_id == 0 or command["message_id"] == self._sent_message_id
            if command["message_id"] > motion.began_message_id and in_step:
                newest = command
        return newest

    def _must_wait(self) -> bool:
        motion, network = self._controller.motion, self._network
        awaited = motion is not None and motion.last_message_id > 0 and self._answer_due
        return awaited and not network.strict and not network.freeze_ticks

    def _wait_for_command(self) -> tuple[np.void | None, float]:
        """Stand still until the command comes, something else is asked for, or the client must be dead."""
        began = time.perf_counter()
        while True:
            left = SILENCE_S - (time.perf_counter() - began)
            if left <= 0.0:
                self._controller.reflex("communication_constraints_violation")
                return None, time.perf_counter() - began
            self._line.wait(min(left, LOOK_AROUND_S))
            command = self._take_command()
            if command is None:
                self._serve()
                self._fault_port.serve()
            if command is not None or not self._must_wait():
                return command, time.perf_counter() - began

    def _serve(self) -> None:
        """Answer requests."""
        if self._network.hang_up:
            self._network.hang_up = False
            self._line.hang_up()
        had_client = self._line.connected
        if self._line.poll():
            try:
                for request in split_requests(self._line.received):
                    self._answer(request)
            except ValueError:
                self._line.hang_up()
        if (had_client or self._controller.motion) and not self._line.connected:
            self._controller.end(MoveStatus.ABORTED)
        self._tell_end()

    def _answer(self, request: Request) -> None:
        body = self._desk.answer(request, self._ticks - 1)
        if request.command == Command.CONNECT:
            self._line.send_datagrams_to(CONNECT_REQUEST.unpack(request.payload)[1])
        self._line.send(pack_reply(request.command, request.command_id, body))
        self._snapshot.write_tool()

    def _tell_end(self) -> None:
        """Answer the Move request of a motion that has ended a second time."""
        if self._controller.ended is not None:
            command_id, status = self._controller.ended
            self._controller.ended = None
            self._line.send(pack_reply(Command.MOVE, command_id, bytes([status])))

    def _send_state(self) -> None:
        network = self._network
        lost = network.drop_states > 0.0 and self._rng.random() < network.drop_states
        if network.freeze_ticks:
            network.freeze_ticks -= 1
            lost = True
        self._answer_due = not lost
        if self._line.connected and not lost:
            self._sent_message_id = self._ticks
            self._line.send_datagram(self._snapshot.pack(self._ticks))
