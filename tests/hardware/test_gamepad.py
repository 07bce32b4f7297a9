"""A gamepad from the events of the kernel's joystick interface, over a FIFO in place of the device file."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.core.errors import ConfigError, DeviceError
from robot_rl.core.marks import MARKS
from robot_rl.core.protocols import Teleop
from robot_rl.core.types import TeleopState
from robot_rl.hardware.gamepad import device as driver
from robot_rl.hardware.gamepad.device import GamepadTeleop, open_gamepad
from robot_rl.hardware.gamepad.events import AXIS, BUTTON, EVENT, FULL, INIT, Pad
from robot_rl.hardware.gamepad.layout import PLAYSTATION, XBOX, Axis, Layout, layout_for, rows
from robot_rl.hardware.joystick import TOOL_PER_OPERATOR
from robot_rl.hardware.takeover import ENGAGE, LOST, TakeOver
from robot_rl.testing import TeleopPressContract, TeleopUnplugContract

SHOULDER = 5
LEFT_TRIGGER, RIGHT_TRIGGER = 2, 5


def button(number: int, down: bool = True) -> bytes:
    return EVENT.pack(0, int(down), BUTTON, number)


def axis(number: int, value: int) -> bytes:
    return EVENT.pack(0, value, AXIS, number)


def opened(buttons: int = 11, held: int = -1) -> bytes:
    """What the kernel says first: everything at rest, triggers at their lowest."""
    axes = (EVENT.pack(0, -FULL if i in (2, 5) else 0, AXIS | INIT, i) for i in range(8))
    return b"".join((*(EVENT.pack(0, int(i == held), BUTTON | INIT, i) for i in range(buttons)), *axes))


class Device:
    """A device file that can be unplugged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.plug()

    def plug(self, events: bytes = b"") -> None:
        os.mkfifo(self.path)
        self.fd = os.open(self.path, os.O_RDWR)
        self.send(events or opened())

    def send(self, *events: bytes) -> None:
        os.write(self.fd, b"".join(events))

    def unplug(self) -> None:
        if self.fd >= 0:
            self.path.unlink()
            os.close(self.fd)
        self.fd = -1


@pytest.fixture
def js(tmp_path: Path) -> Iterator[Device]:
    device = Device(tmp_path / "js0")
    yield device
    device.unplug()


@pytest.fixture
def gamepad(js: Device) -> Iterator[GamepadTeleop]:
    gamepad = GamepadTeleop(str(js.path))
    yield gamepad
    gamepad.close()


def until(device: Teleop, condition: Callable[[TeleopState], Any]) -> TeleopState:
    end_s = time.monotonic() + 20.0
    while not condition(state := device.read()):
        assert time.monotonic() < end_s, state
        time.sleep(0.002)
    return state


class TestContract(TeleopPressContract, TeleopUnplugContract):
    notice_s = 0.6

    @pytest.fixture(autouse=True)
    def _device(self, js: Device) -> None:
        self.js = js

    def make(self) -> Teleop:
        return GamepadTeleop(str(self.js.path))

    def tap(self, device: Teleop) -> str:
        self.js.send(button(0), button(0, False))
        return "success"

    def engage(self, device: Teleop) -> None:
        self.js.send(button(SHOULDER), axis(0, FULL), axis(RIGHT_TRIGGER, FULL))

    def unplug(self, device: Teleop) -> None:
        self.js.unplug()


@pytest.mark.parametrize(
    ("number", "value", "operator", "sign"),
    [
        (1, -FULL, 0, 1.0),  # left stick pushed: forward
        (0, -FULL, 1, 1.0),  # to the left: left
        (4, -FULL, 2, 1.0),  # right stick pushed: up
        (3, -FULL, 5, 1.0),  # to the left: turns left, counter-clockwise from above
        (6, FULL, 3, 1.0),  # d-pad to the right: right side down
        (7, -FULL, 4, 1.0),  # d-pad pushed: front down
        (1, FULL, 0, -1.0),
        (0, -FULL - 1, 1, 1.0),
    ],
)
def test_axes(js: Device, gamepad: GamepadTeleop, number: int, value: int, operator: int, sign: float) -> None:
    js.send(button(SHOULDER), axis(number, value))
    state = until(gamepad, lambda s: s.twist_tcp.any())
    np.testing.assert_allclose(state.twist_tcp * TOOL_PER_OPERATOR, sign * np.eye(6)[operator], atol=1e-12)
    assert state.engaged


def test_nothing_moves_unless_a_shoulder_button_is_held(js: Device, gamepad: GamepadTeleop) -> None:
    js.send(axis(1, -FULL), axis(RIGHT_TRIGGER, FULL), button(0))
    state = until(gamepad, lambda s: s.buttons)
    assert not state.engaged
    assert not state.twist_tcp.any()
    assert state.gripper == 0.0
    js.send(button(4))
    assert until(gamepad, lambda s: s.engaged).gripper == -1.0
    js.send(button(4, False))
    until(gamepad, lambda s: not s.engaged)


def test_triggers_move_the_gripper(js: Device, gamepad: GamepadTeleop) -> None:
    js.send(button(SHOULDER), axis(LEFT_TRIGGER, FULL))
    assert until(gamepad, lambda s: s.gripper).gripper == 1.0
    js.send(axis(LEFT_TRIGGER, -FULL), axis(RIGHT_TRIGGER, FULL))
    assert until(gamepad, lambda s: s.gripper < 0.0).gripper == -1.0
    js.send(axis(RIGHT_TRIGGER, 0))
    assert until(gamepad, lambda s: not s.gripper).engaged


@pytest.mark.parametrize(("layout", "buttons"), [(XBOX, 11), (PLAYSTATION, 13)])
def test_marks_of_each_layout(js: Device, gamepad: GamepadTeleop, layout: Layout, buttons: int) -> None:
    js.send(opened(buttons))
    assert {mark for _, mark in layout.marks} == set(MARKS)
    for number, mark in layout.marks:
        js.send(button(number))
        assert until(gamepad, lambda s: s.buttons).buttons == {mark}
        js.send(button(number, False))
        until(gamepad, lambda s: not s.buttons)
    assert gamepad.health()["layout"] == layout.name
    assert len(gamepad.describe().splitlines()) == 1 + len(rows(layout))


def test_a_layout_of_ones_own(js: Device) -> None:
    motion = (Axis(9, 1.0), *XBOX.motion[1:])
    gamepad = GamepadTeleop(str(js.path), layout=Layout("mine", motion, engage=(20,), marks=((30, "pause"),)))
    try:
        js.send(button(20), axis(9, FULL), button(30))
        state = until(gamepad, lambda s: s.buttons >= {"pause"})
        assert state.engaged
        assert state.twist_tcp[0] == 1.0
        assert "button 20" in gamepad.describe()
    finally:
        gamepad.close()


def test_without_a_dead_man_a_stick_engages(js: Device) -> None:
    gamepad = GamepadTeleop(str(js.path), deadman=False)
    try:
        js.send(button(SHOULDER))
        assert not until(gamepad, lambda s: s.buttons == {ENGAGE}).engaged
        js.send(button(SHOULDER, False), axis(1, -FULL))
        until(gamepad, lambda s: s.engaged)
    finally:
        gamepad.close()


def test_unplugged_in_a_take_over_and_plugged_in_again(
    js: Device, gamepad: GamepadTeleop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "REOPEN_S", 0.02)
    takeover = TakeOver(gamepad)
    js.send(button(SHOULDER), axis(1, -FULL))
    until(takeover, lambda s: s.twist_tcp.any())
    js.unplug()
    lost = until(takeover, lambda s: LOST in s.buttons)
    assert lost.engaged
    assert not lost.twist_tcp.any()
    assert gamepad.health() == {"connected": "False", "losses": "1", "layout": "xbox"}
    js.plug(opened(held=SHOULDER))
    back = until(takeover, lambda s: LOST not in s.buttons)
    assert back.engaged
    assert not back.twist_tcp.any(), "nothing is remembered of before"
    until(takeover, lambda s: not s.engaged)
    js.send(button(SHOULDER, False), button(SHOULDER), axis(0, FULL))
    until(takeover, lambda s: s.twist_tcp[1] > 0.0)


def test_a_tap_just_before_the_plug_is_pulled_is_kept(js: Device, gamepad: GamepadTeleop) -> None:
    js.send(button(0))
    js.unplug()
    assert until(gamepad, lambda s: s.buttons).buttons == {"success"}
    until(gamepad, lambda s: not s.buttons)


def test_the_first_of_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "DEVICES", str(tmp_path / "js*"))
    with pytest.raises(DeviceError, match="no gamepad was found"):
        open_gamepad()
    devices = [Device(tmp_path / name) for name in ("js10", "js2")]
    gamepad = GamepadTeleop()
    try:
        devices[1].send(button(0))
        assert until(gamepad, lambda s: s.buttons).buttons == {"success"}
    finally:
        gamepad.close()
        for device in devices:
            device.unplug()


def test_errors_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError, match="plug the gamepad in"):
        GamepadTeleop(str(tmp_path / "js7"))
    with pytest.raises(ConfigError, match="dead band is 1"):
        GamepadTeleop(str(tmp_path / "js7"), width=1.0)

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(DeviceError, match="'input'"):
        open_gamepad("/dev/input/js0")


def test_layout_by_the_number_of_buttons() -> None:
    assert [layout_for(n).name for n in (0, 11, 13, 15)] == ["xbox", "xbox", "playstation", "xbox"]
    for layout in (XBOX, PLAYSTATION):
        numbers = [n for n, _ in layout.marks] + list(layout.engage)
        assert len(set(numbers)) == len(numbers), "no button has two meanings"


events = st.builds(
    EVENT.pack,
    st.integers(0, 2**32 - 1),
    st.integers(-(2**15), 2**15 - 1),
    st.integers(0, 255),
    st.integers(0, 255) | st.integers(0, 12),
)


@given(st.lists(events | st.binary(min_size=8, max_size=8), max_size=40), st.data())
def test_any_stream_in_pieces_of_any_size(stream: list[bytes], data: st.DataObject) -> None:
    whole, pieces = Pad(), Pad()
    whole_names = whole.feed(b"".join(stream))
    names, rest = [], b"".join(stream)
    while rest:
        n = data.draw(st.integers(1, len(rest)))
        names += pieces.feed(rest[:n])
        rest = rest[n:]
    assert names == whole_names
    assert len(names) == len(stream)
    motion = whole.motion(0.1)
    np.testing.assert_array_equal(pieces.motion(0.1), motion)
    assert (np.abs(motion) <= 1.0).all()


@given(st.integers(-3000, 3000))
def test_the_middle_of_a_stick_is_rest(value: int) -> None:
    pad = Pad()
    pad.feed(b"".join(axis(i, value) for i in (0, 1, 3, 4)))
    assert not pad.motion(0.12).any()


def test_a_button_that_is_down_when_opened_says_nothing() -> None:
    pad = Pad()
    assert pad.feed(opened(held=0))[-1] == frozenset()
    assert pad.feed(button(0, False) + button(0))[-1] == {"success"}


def test_triggers_that_were_never_reported_are_at_rest() -> None:
    assert Pad().names() == frozenset()
