"""Devices by name, and the page about them."""

from __future__ import annotations

import os
import pty
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from robot_rl.core.errors import ConfigError, DeviceError
from robot_rl.core.protocols import Teleop
from robot_rl.core.types import TeleopState
from robot_rl.hardware import devices
from robot_rl.hardware.devices import DEVICES, describe_teleop, open_teleop
from robot_rl.hardware.gamepad.events import AXIS, BUTTON, EVENT, FULL
from robot_rl.hardware.gamepad.layout import PLAYSTATION, XBOX
from robot_rl.hardware.gamepad.layout import rows as gamepad_rows
from robot_rl.hardware.keyboard.table import rows as keyboard_rows
from robot_rl.hardware.takeover import ENGAGE, LOST, MODES, Several

PAGE = (Path(__file__).parents[2] / "docs" / "devices.md").read_text(encoding="utf-8")


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Where a person types, with the other end as standard input."""
    person, program = pty.openpty()
    with os.fdopen(program, "rb", buffering=0) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield person
    os.close(person)


@pytest.fixture
def js(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    path = tmp_path / "js1"
    os.mkfifo(path)
    fd = os.open(path, os.O_RDWR)
    yield path, fd
    os.close(fd)


def until(device: Teleop, condition: Callable[[TeleopState], Any]) -> TeleopState:
    end_s = time.monotonic() + 20.0
    while not condition(state := device.read()):
        assert time.monotonic() < end_s, state
        time.sleep(0.002)
    return state


def press(fd: int, number: int, *, down: bool = True) -> None:
    os.write(fd, EVENT.pack(0, int(down), BUTTON, number))


def test_holding(person: int) -> None:
    teleop = open_teleop("keyboard")
    try:
        os.write(person, b"w1")
        assert until(teleop, lambda s: s.buttons and s.engaged).buttons == {"success"}
        until(teleop, lambda s: not s.engaged)
    finally:
        teleop.close()


def test_latching(person: int) -> None:
    teleop = open_teleop("keyboard", mode="latch")
    try:
        os.write(person, b"w\t")
        assert not until(teleop, lambda s: "pause" in s.buttons).engaged
        os.write(person, b" ")
        until(teleop, lambda s: s.engaged)
    finally:
        teleop.close()


def test_two_devices_one_take_over(person: int, js: tuple[Path, int]) -> None:
    path, pad = js
    teleop = open_teleop(f"gamepad:{path}+keyboard")
    try:
        assert isinstance(teleop, Several)
        press(pad, 4)
        until(teleop, lambda s: s.engaged)
        os.write(person, b"w1")
        state = until(teleop, lambda s: "success" in s.buttons)
        assert state.engaged
        assert not state.twist_tcp.any(), "the gamepad has it"
        press(pad, 4, down=False)
    finally:
        teleop.close()


def test_two_devices_one_latch(person: int, js: tuple[Path, int]) -> None:
    """A button of one device begins a take-over that the other one leads."""
    path, pad = js
    teleop = open_teleop(f"gamepad:{path}+keyboard", mode="latch")
    try:
        press(pad, 5)
        assert ENGAGE in until(teleop, lambda s: s.engaged).buttons
        press(pad, 5, down=False)
        os.write(person, b"w")
        assert until(teleop, lambda s: s.twist_tcp.any()).engaged
        until(teleop, lambda s: not s.twist_tcp.any())
        assert teleop.read().engaged
        assert LOST not in teleop.read().buttons
        os.write(person, b" ")
        until(teleop, lambda s: not s.engaged)
    finally:
        teleop.close()


def test_a_latch_outlives_the_device_that_leads(person: int, tmp_path: Path) -> None:
    path = tmp_path / "js2"
    os.mkfifo(path)
    pad = os.open(path, os.O_RDWR)
    teleop = open_teleop(f"gamepad:{path}+keyboard", mode="latch")
    try:
        os.write(pad, EVENT.pack(0, -FULL, AXIS, 1))
        os.write(person, b" ")
        until(teleop, lambda s: s.twist_tcp.any())
        path.unlink()
        os.close(pad)
        until(teleop, lambda s: not s.twist_tcp.any())
        while LOST not in (state := teleop.read()).buttons:
            assert state.engaged
            assert not state.twist_tcp.any()
        until(teleop, lambda s: ENGAGE not in s.buttons)
        os.write(person, b" ")
        assert LOST not in until(teleop, lambda s: not s.engaged).buttons, "a person at the keyboard ends it"
    finally:
        teleop.close()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("keybord", "did you mean 'keyboard'"),
        ("", "Available: gamepad, keyboard, spacemouse"),
        ("keyboard+", "unknown operator device ''"),
        ("keyboard:/dev/tty", "as in gamepad:/dev/input/js1"),
        ("gamepad:", "as in gamepad:/dev/input/js1"),
        ("keyboard+keyboard", "each once"),
    ],
)
def test_names_that_mean_nothing(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_teleop(name)


def test_modes_that_cannot_be(person: int) -> None:
    with pytest.raises(ConfigError, match="did you mean 'latch'"):
        open_teleop("keyboard", mode="latched")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"spacemouse\+keyboard"):
        open_teleop("spacemouse", mode="latch")


def test_what_was_opened_is_closed_if_another_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    class Fine:
        def read(self) -> TeleopState:
            return TeleopState()

        def close(self) -> None:
            closed.append("keyboard")

    def absent(path: str | None, mode: str) -> Teleop:
        raise DeviceError("no gamepad was found")

    monkeypatch.setattr(devices, "DEVICES", {"keyboard": lambda path, mode: Fine(), "gamepad": absent})
    with pytest.raises(DeviceError, match="no gamepad"):
        open_teleop("keyboard+gamepad")
    assert closed == ["keyboard"]


@pytest.mark.parametrize("name", sorted(DEVICES))
def test_every_device_is_described(name: str) -> None:
    assert name in describe_teleop(name)
    assert name in describe_teleop("+".join(sorted(DEVICES)))


def table_after(heading: str) -> list[tuple[str, ...]]:
    """Body of the first table of a section of the page."""
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in lines[2:]]


def test_the_page_has_the_keys() -> None:
    assert table_after("Keyboard") == [*keyboard_rows(), ("any other", "stop moving")]


def test_the_page_has_the_gamepads() -> None:
    xbox, playstation = gamepad_rows(XBOX), gamepad_rows(PLAYSTATION)
    does = [what for _, what in xbox]
    other = {what: control for control, what in playstation}
    assert table_after("Gamepad") == [(w, c, other[w]) for w, (c, _) in zip(does, xbox, strict=True)]


def test_the_page_names_every_device_and_mode() -> None:
    assert all(f"`{name}`" in PAGE for name in (*DEVICES, *MODES))
