"""The operator's devices of this computer, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial

from robot_rl.core.errors import ConfigError, unknown_name
from robot_rl.core.protocols import Teleop
from robot_rl.hardware.gamepad.device import GamepadTeleop
from robot_rl.hardware.gamepad.layout import PLAYSTATION, XBOX
from robot_rl.hardware.gamepad.layout import describe as describe_gamepad
from robot_rl.hardware.keyboard.device import KeyboardTeleop
from robot_rl.hardware.keyboard.table import describe as describe_keyboard
from robot_rl.hardware.takeover import MODES, Mode, Several, TakeOver

Opener = Callable[[str | None, Mode], Teleop]


def open_teleop(name: str, *, mode: Mode = "hold") -> Teleop:
    """Open one device or several, with the beginning and end of take-overs settled.

    Args:
        name: ``spacemouse``, ``gamepad``, ``keyboard``, or several joined by ``+``; ``gamepad:/dev/input/js1`` for a
            certain one.
        mode: ``hold``: the robot is the operator's while a device is used; ``latch``: between two presses of the
            button ``engage`` (keyboard: space bar, gamepad: a shoulder button).

    Raises:
        ConfigError: no such device or mode, a device twice, or none that can latch.
        DeviceError: a device is not there, or may not be opened.
    """
    if mode not in MODES:
        raise ConfigError(unknown_name("take-over mode", mode, MODES))
    parts = name.split("+")
    openers = [_opener(part) for part in parts]
    if len(set(parts)) < len(parts):
        raise ConfigError(f"the devices {name!r} name one twice, expected each once")
    if mode == "latch" and set(parts) == {"spacemouse"}:
        raise ConfigError(
            "a SpaceMouse has no button that begins and ends a take-over: use 'spacemouse+keyboard', or the mode 'hold'"
        )
    with ExitStack() as opened:
        devices: list[Teleop] = []
        for open_one in openers:
            devices.append(open_one(mode))
            opened.callback(devices[-1].close)
        opened.pop_all()
    return _together(devices, mode)


def describe_teleop(name: str) -> str:
    """What the keys and buttons of the devices of this name do, for people; nothing is opened.

    Args:
        name: as for `open_teleop`.

    Raises:
        ConfigError: no such device.
    """
    texts = []
    for part in name.split("+"):
        _opener(part)
        texts.append(f"{part}\n{_TEXTS[part.partition(':')[0]]()}")
    return "\n\n".join(texts)


def _together(devices: list[Teleop], mode: Mode) -> Teleop:
    if len(devices) == 1:
        return TakeOver(devices[0], mode)
    # Each keeps its own take-over through a loss; with a latch, the button of any of them is that of all.
    several = Several([TakeOver(device) for device in devices])
    return several if mode == "hold" else TakeOver(several, mode)


def _opener(part: str) -> Callable[[Mode], Teleop]:
    kind, _, path = part.partition(":")
    if kind not in DEVICES:
        raise ConfigError(unknown_name("operator device", part, DEVICES))
    if ":" in part and (kind != "gamepad" or not path):
        raise ConfigError(
            f"got the operator device {part!r}, expected {kind!r}, or a path as in gamepad:/dev/input/js1"
        )
    return partial(DEVICES[kind], path or None)


def _spacemouse(path: str | None, mode: Mode) -> Teleop:
    from robot_rl.hardware.spacemouse.device import SpaceMouseTeleop

    return SpaceMouseTeleop()


def _gamepad(path: str | None, mode: Mode) -> Teleop:
    return GamepadTeleop(path, deadman=mode == "hold")


def _keyboard(path: str | None, mode: Mode) -> Teleop:
    return KeyboardTeleop(latches=mode == "hold")


DEVICES: Mapping[str, Opener] = {"gamepad": _gamepad, "keyboard": _keyboard, "spacemouse": _spacemouse}
"""Names that `open_teleop` knows, without paths."""
_TEXTS: Mapping[str, Callable[[], str]] = {
    "gamepad": lambda: f"{describe_gamepad(XBOX)}\n\n{describe_gamepad(PLAYSTATION)}",
    "keyboard": describe_keyboard,
    "spacemouse": lambda: "cap           move the arm\nleft button   close the gripper\nright button  open the gripper",
}
