"""The SpaceMouse through the real library, from the bytes of its reports."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

from robot_rl.core.errors import ConfigError, DeviceError
from robot_rl.core.protocols import Teleop
from robot_rl.core.types import TeleopState
from robot_rl.hardware.spacemouse import device as driver
from robot_rl.hardware.spacemouse.axes import AxisConfig
from robot_rl.hardware.spacemouse.device import SpaceMouseTeleop, open_spacemouse
from robot_rl.testing import TeleopPressContract, TeleopUnplugContract

pytest.importorskip("pyspacemouse", reason="needs the extra spacemouse")

from tests.hardware.spacemouse.hid import FULL, FakeHid, buttons, connect, rotation, translation

FIT = 0b10
"""The key of this label on a SpaceMouse Pro."""
LONG = AxisConfig(dead_band=0.1, static_s=10.0)


@pytest.fixture
def hid() -> FakeHid:
    return FakeHid()


@pytest.fixture
def mouse(hid: FakeHid) -> Iterator[SpaceMouseTeleop]:
    mouse = SpaceMouseTeleop(LONG, partial(connect, hid))
    yield mouse
    mouse.close()


def read_until(mouse: SpaceMouseTeleop, condition: Callable[[TeleopState], Any]) -> TeleopState:
    end_s = time.monotonic() + 10.0
    while not condition(state := mouse.read()):
        assert time.monotonic() < end_s, state
        time.sleep(0.002)
    return state


class TestContract(TeleopPressContract, TeleopUnplugContract):
    """A SpaceMouse Pro has keys that say something."""

    notice_s = 0.3

    def make(self) -> SpaceMouseTeleop:
        self.hid = FakeHid()
        self.hid.send(
            *(translation(v, -v, 2 * v) for v in range(0, 400, 20)), *(rotation(v) for v in range(0, 400, 20))
        )
        return SpaceMouseTeleop(LONG, lambda: connect(self.hid, "SpaceMousePro"))

    def tap(self, device: Teleop) -> str:
        self.hid.send(buttons(FIT), buttons(0))
        return "success"

    def engage(self, device: Teleop) -> None:
        self.hid.send(translation(FULL))

    def unplug(self, device: Teleop) -> None:
        self.hid.unplugged = True


@pytest.mark.parametrize(
    ("report", "axis", "sign"),
    [
        (translation(y=-FULL), 0, 1.0),  # pushed away from the operator: forward
        (translation(x=FULL), 1, 1.0),  # to the operator's right, which is where the tool's y points
        (translation(z=-FULL), 2, -1.0),  # lifted: up, against the tool's z
        (rotation(z=FULL), 5, 1.0),  # turned clockwise from above, which is about the tool's z
        (rotation(x=FULL), 4, 1.0),  # the far edge up, about the right-hand axis
        (rotation(y=-FULL), 3, 1.0),  # tilted to the right, about the forward axis
    ],
)
def test_axes_in_the_frame_of_a_tool_that_points_down(
    hid: FakeHid, mouse: SpaceMouseTeleop, report: bytes, axis: int, sign: float
) -> None:
    hid.send(report)
    state = read_until(mouse, lambda s: s.engaged)
    np.testing.assert_allclose(state.twist_tcp, sign * np.eye(6)[axis], atol=1e-12)


def test_translation_and_rotation_come_in_reports_of_their_own(hid: FakeHid, mouse: SpaceMouseTeleop) -> None:
    hid.send(translation(x=FULL), rotation(z=FULL))
    np.testing.assert_allclose(
        read_until(mouse, lambda s: np.abs(s.twist_tcp).sum() > 1.5).twist_tcp, [0, 1, 0, 0, 0, 1], atol=1e-12
    )


def test_reports_are_drained_faster_than_they_come(hid: FakeHid, mouse: SpaceMouseTeleop) -> None:
    """A backlog of two seconds ends with the last report, not the first."""
    hid.send(*(r for _ in range(500) for r in (translation(x=FULL), rotation(z=FULL))), translation(), rotation())
    read_until(mouse, lambda _: mouse.health()["reports"] == "1002")
    assert not mouse.read().engaged


def test_buttons(hid: FakeHid, mouse: SpaceMouseTeleop) -> None:
    hid.send(buttons(0b01))
    assert read_until(mouse, lambda s: s.engaged).gripper == -1.0
    hid.send(buttons(0b10))
    assert not read_until(mouse, lambda s: s.gripper > 0.0).twist_tcp.any()
    hid.send(buttons(0))
    assert not read_until(mouse, lambda s: not s.engaged).gripper


def test_a_tap_of_the_gripper_between_two_readings_moves_it(hid: FakeHid, mouse: SpaceMouseTeleop) -> None:
    hid.send(buttons(0b01), buttons(0), buttons(0b01), buttons(0))
    read_until(mouse, lambda _: mouse.health()["reports"] == "4")
    hid.send(buttons(0b10), buttons(0))
    while mouse.health()["reports"] != "6":
        time.sleep(0.002)
    state = mouse.read()
    assert (state.engaged, state.gripper) == (True, 1.0)
    assert not mouse.read().engaged


def test_a_lost_report_of_zero_does_not_move_on(hid: FakeHid) -> None:
    mouse = SpaceMouseTeleop(AxisConfig(static_s=0.1), partial(connect, hid))
    try:
        hid.send(translation(x=FULL))
        read_until(mouse, lambda s: s.engaged)
        state = read_until(mouse, lambda s: not s.engaged)
        assert state.age_s < 1.0, "it is there, and at rest"
    finally:
        mouse.close()


def test_unplugged_and_plugged_in_again(hid: FakeHid, mouse: SpaceMouseTeleop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "REOPEN_S", 0.02)
    hid.send(translation(x=FULL))
    read_until(mouse, lambda s: s.engaged)
    hid.unplugged = True
    gone = read_until(mouse, lambda s: s.age_s > driver.LOST_S)
    assert not gone.engaged
    assert not gone.twist_tcp.any()
    assert read_until(mouse, lambda s: s.age_s > gone.age_s).age_s > gone.age_s
    assert mouse.health()["connected"] == "False"
    hid.unplugged = False
    read_until(mouse, lambda s: s.age_s < driver.LOST_S)
    assert not mouse.read().engaged, "nothing is remembered of before"


def test_readings_are_copies(hid: FakeHid, mouse: SpaceMouseTeleop) -> None:
    hid.send(translation(x=FULL))
    state = read_until(mouse, lambda s: s.engaged)
    state.twist_tcp[:] = 7.0
    assert (mouse.read().twist_tcp <= 1.0).all()


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspacemouse", None)
    with pytest.raises(ConfigError, match=r"pip install 'robot-rl\[spacemouse\]'"):
        open_spacemouse()


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (RuntimeError("HID API is probably not installed. See https://..."), "libhidapi"),
        (RuntimeError("Failed to open device"), "udev"),
        (RuntimeError("No connected or supported devices found."), "plug it in"),
    ],
)
def test_errors_say_what_to_do(error: Exception, advice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyspacemouse

    def refuse(**_: object) -> None:
        raise error

    monkeypatch.setattr(pyspacemouse, "open", refuse)
    with pytest.raises(DeviceError, match=advice):
        open_spacemouse()
