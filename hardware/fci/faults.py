"""What the emulated cell can be told beside the robot's protocol: faults, and where the objects are.

One line of text in, one line back; `robot_rl.hardware.fci.fault_port` takes them. ``nc 127.0.0.1 1339`` and ``help``
list the lines. Every answer begins with ``ok`` or ``error``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from robot_rl.controllers.safety import check_pose
from robot_rl.core.errors import ConfigError, RobotRlError, unknown_name
from robot_rl.hardware.fci.controller import Controller
from robot_rl.hardware.fci.gripper import Hand
from robot_rl.hardware.fci.messages import ERRORS

FAULT_PORT = 1339


@dataclass
class NetworkFaults:
    """What is wrong with the network.

    Attributes:
        drop_states, drop_commands: share of datagrams lost, 0 to 1.
        freeze_ticks: for so many milliseconds the robot runs but sends nothing and hears nothing.
        hang_up: close the client's connection now.
        strict: keep 1 kHz whether or not commands come.
    """

    drop_states: float = 0.0
    drop_commands: float = 0.0
    freeze_ticks: int = 0
    hang_up: bool = False
    strict: bool = False


class FaultDesk:
    """Understands the lines.

    Args:
        controller: of the arm.
        hand: the fingers.
        network: changed in place.
        home: puts the cell back to its start.
    """

    def __init__(self, controller: Controller, hand: Hand, network: NetworkFaults, home: Callable[[], None]) -> None:
        self._controller, self._hand, self._network, self._home = controller, hand, network, home
        self._push_ticks = 0
        self._verbs: dict[str, tuple[str, Callable[[list[str]], str | None]]] = {
            "help": ("help", self._help),
            "status": ("status", self._status),
            "push": ("push FX FY FZ [TX TY TZ] [MILLISECONDS]  N, Nm in base axes, at the tool", self._push),
            "error": ("error NAME  an error of the interface, such as cartesian_reflex", self._error),
            "user-stop": ("user-stop on|off", self._user_stop),
            "drop-states": ("drop-states SHARE  lose datagrams to the client", self._drop_states),
            "drop-commands": ("drop-commands SHARE  lose datagrams from the client", self._drop_commands),
            "freeze": ("freeze MILLISECONDS  no datagrams either way", self._freeze),
            "hang-up": ("hang-up  close the client's connection", self._hang_up),
            "strict": ("strict on|off  keep 1 kHz whether or not commands come", self._strict),
            "jam": ("jam on|off  the fingers do not move", self._jam),
            "objects": ("objects  names and poses x y z qx qy qz qw in the base frame", self._list_objects),
            "place": ("place NAME X Y Z QX QY QZ QW  put an object there, at rest", self._place),
            "home": ("home  arm, fingers and objects back to the start", self._go_home),
        }

    def do(self, line: str) -> str:
        """Carry out one line; the answer without its end of line."""
        words = line.split()
        try:
            if not words or words[0] not in self._verbs:
                raise ConfigError(unknown_name("line", words[0] if words else "", self._verbs))
            usage, action = self._verbs[words[0]]
            try:
                answer = action(words[1:])
            except (ValueError, IndexError):
                raise ConfigError(f"got {line.strip()!r}, expected {usage}") from None
        except RobotRlError as e:
            return f"error {e}"
        return "ok" if answer is None else f"ok {answer}"

    def tick(self) -> None:
        """End a push whose time is over."""
        if self._push_ticks > 0:
            self._push_ticks -= 1
            if self._push_ticks == 0:
                self._controller.plant.push(np.zeros(6))

    def _help(self, words: list[str]) -> str:
        return " | ".join(usage for usage, _ in self._verbs.values())

    def _status(self, words: list[str]) -> str:
        controller = self._controller
        names = [name for name, on in zip(ERRORS, controller.errors, strict=True) if on]
        motion = controller.motion
        doing = f"{motion.mode.name.lower()}/{motion.controller.name.lower()}" if motion else "none"
        return (
            f"mode={controller.robot_mode.name.lower()} motion={doing} errors={','.join(names) or 'none'} "
            f"q={','.join(f'{v:.4f}' for v in controller.plant.q)} width={self._hand.width_m:.4f} {self._network}"
        )

    def _push(self, words: list[str]) -> None:
        values = [float(word) for word in words]
        if len(values) not in (3, 4, 6, 7) or not np.isfinite(values).all():
            raise ValueError
        ticks = int(values.pop()) if len(values) in (4, 7) else 0
        self._controller.plant.push(np.array((values + [0.0] * 3)[:6]))
        self._push_ticks = ticks

    def _error(self, words: list[str]) -> None:
        self._controller.reflex(words[0])

    def _user_stop(self, words: list[str]) -> None:
        self._controller.user_stop(_switch(words))

    def _drop_states(self, words: list[str]) -> None:
        self._network.drop_states = _share(words)

    def _drop_commands(self, words: list[str]) -> None:
        self._network.drop_commands = _share(words)

    def _freeze(self, words: list[str]) -> None:
        self._network.freeze_ticks = max(int(words[0]), 0)

    def _hang_up(self, words: list[str]) -> None:
        self._network.hang_up = True

    def _strict(self, words: list[str]) -> None:
        self._network.strict = _switch(words)

    def _jam(self, words: list[str]) -> None:
        self._hand.jammed = _switch(words)

    def _list_objects(self, words: list[str]) -> str:
        poses = self._controller.plant.object_poses()
        return "; ".join(f"{name} {' '.join(repr(v) for v in pose.tolist())}" for name, pose in poses.items())

    def _place(self, words: list[str]) -> None:
        name, *numbers = words
        if len(numbers) != 7:
            raise ValueError
        self._controller.plant.place(name, check_pose([float(number) for number in numbers]))

    def _go_home(self, words: list[str]) -> None:
        self._home()


def _switch(words: list[str]) -> bool:
    if words not in (["on"], ["off"]):
        raise ValueError
    return words == ["on"]


def _share(words: list[str]) -> float:
    value = float(words[0])
    if not 0.0 <= value <= 1.0:
        raise ValueError
    return value
