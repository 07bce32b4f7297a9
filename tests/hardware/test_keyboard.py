"""The keyboard from the bytes that a terminal sends, over a pseudo-terminal."""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from robot_rl.core.errors import ConfigError
from robot_rl.core.marks import MARKS
from robot_rl.core.protocols import Teleop
from robot_rl.core.types import TeleopState
from robot_rl.hardware.joystick import TOOL_PER_OPERATOR
from robot_rl.hardware.keyboard import device as driver
from robot_rl.hardware.keyboard.decode import PASTE_OFF, PASTE_ON
from robot_rl.hardware.keyboard.device import FIRST_SPEED, SPEEDS, KeyboardTeleop
from robot_rl.hardware.keyboard.holds import HoldConfig
from robot_rl.hardware.keyboard.table import TABLE, USE_OF, describe
from robot_rl.hardware.keyboard.terminal import RawTerminal
from robot_rl.hardware.takeover import ENGAGE, LOST, TakeOver
from robot_rl.testing import TeleopPressContract, TeleopUnplugContract
from tests.hardware.keystrokes import sent_by

SPEED = SPEEDS[FIRST_SPEED]


class Clock:
    t_s = 50.0

    def __call__(self) -> float:
        return self.t_s


class Terminal:
    """Both ends of a pseudo-terminal: a person types at one, the program reads the other."""

    def __init__(self) -> None:
        self.person, self.program = pty.openpty()

    def type(self, *keys: str) -> None:
        os.write(self.person, b"".join(sent_by(key) for key in keys))

    def send(self, data: bytes) -> None:
        os.write(self.person, data)

    def hang_up(self) -> None:
        if self.person >= 0:
            os.close(self.person)
        self.person = -1

    def close(self) -> None:
        self.hang_up()
        os.close(self.program)


@dataclass
class Desk:
    terminal: Terminal
    clock: Clock
    keyboard: KeyboardTeleop

    def until(self, condition: Callable[[TeleopState], Any]) -> TeleopState:
        return until(self.keyboard, condition)

    def read_after(self, seconds: float) -> TeleopState:
        """The reading when so much time has passed."""
        self.clock.t_s += seconds
        return self.until(lambda s: s.age_s == 0.0)


def until(keyboard: Teleop, condition: Callable[[TeleopState], Any]) -> TeleopState:
    end_s = time.monotonic() + 20.0
    while not condition(state := keyboard.read()):
        assert time.monotonic() < end_s, state
        time.sleep(0.002)
    return state


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


@pytest.fixture
def desk(terminal: Terminal) -> Iterator[Desk]:
    clock = Clock()
    keyboard = KeyboardTeleop(terminal.program, now_s=clock)
    yield Desk(terminal, clock, keyboard)
    keyboard.close()


class TestContract(TeleopPressContract, TeleopUnplugContract):
    notice_s, release_s = 0.6, 0.3

    @pytest.fixture(autouse=True)
    def _terminal(self, terminal: Terminal) -> None:
        self.terminal = terminal

    def make(self) -> Teleop:
        return KeyboardTeleop(self.terminal.program, config=HoldConfig(first_s=0.1, repeat_s=0.1))

    def tap(self, device: Teleop) -> str:
        self.terminal.type("1")
        return "success"

    def engage(self, device: Teleop) -> None:
        self.terminal.type("space")

    def unplug(self, device: Teleop) -> None:
        self.terminal.hang_up()


@pytest.mark.parametrize("key", sorted(USE_OF))
def test_every_key_of_the_table_does_what_it_says(desk: Desk, key: str) -> None:
    use = USE_OF[key]
    desk.terminal.type(key)
    if use.axis >= 0:
        state = desk.until(lambda s: s.engaged)
        np.testing.assert_allclose(
            state.twist_tcp * TOOL_PER_OPERATOR, SPEED * use.sign * np.eye(6)[use.axis], atol=1e-12
        )
        assert state.buttons == frozenset()
    elif use.says in ("open", "close"):
        assert desk.until(lambda s: s.engaged).gripper == {"open": 1.0, "close": -1.0}[use.says]
    elif use.says in ("faster", "slower"):
        wanted = SPEEDS[FIRST_SPEED + {"faster": 1, "slower": -1}[use.says]]
        desk.until(lambda _: desk.keyboard.health()["speed"] == f"{wanted:g}")
        assert not desk.keyboard.read().engaged
    else:
        state = desk.until(lambda s: s.buttons)
        assert state.buttons == {use.says}
        assert state.engaged == (use.says == ENGAGE)
        assert not state.twist_tcp.any()


def test_the_table_says_all_marks_and_moves_every_axis_both_ways() -> None:
    assert {use.says for use in TABLE} >= {*MARKS, ENGAGE, "open", "close"}
    assert {(use.axis, use.sign) for use in TABLE if use.axis >= 0} == {(i, s) for i in range(6) for s in (-1.0, 1.0)}
    assert sum(len(use.keys) for use in TABLE) == len(USE_OF), "no key has two meanings"
    assert len(describe().splitlines()) == len(TABLE) + 1


def test_a_tap_moves_for_a_while_and_no_longer(desk: Desk) -> None:
    desk.terminal.type("w")
    desk.until(lambda s: s.engaged)
    assert desk.read_after(0.59).engaged
    assert not desk.read_after(0.02).engaged


def test_a_repeated_key_stops_soon_after_it_is_let_go(desk: Desk) -> None:
    desk.terminal.type("w")
    desk.until(lambda s: s.engaged)
    desk.read_after(0.5)
    for _ in range(20):
        desk.clock.t_s += 0.03
        repeat(desk, "w")
    assert desk.read_after(0.14).engaged
    assert not desk.read_after(0.02).engaged


def repeat(desk: Desk, key: str) -> None:
    """A repeat that has arrived for certain: a change of speed follows it."""
    speed = desk.keyboard.health()["speed"]
    desk.terminal.type(key, "-" if speed == f"{SPEEDS[-1]:g}" else "+")
    desk.until(lambda _: desk.keyboard.health()["speed"] != speed)
    assert desk.keyboard.read().engaged


def test_of_two_opposite_keys_the_later_counts(desk: Desk) -> None:
    desk.terminal.type("w", "a")
    desk.until(lambda s: s.twist_tcp[0] > 0.0 and s.twist_tcp[1])
    desk.terminal.type("s")
    assert desk.until(lambda s: s.twist_tcp[0] < 0.0).twist_tcp[1], "the other axis goes on"


def test_two_keys_for_one_motion_are_no_faster(desk: Desk) -> None:
    desk.terminal.type("r", "up", "a")
    assert desk.until(lambda s: s.twist_tcp[1]).twist_tcp[2] == -SPEED


@pytest.mark.parametrize("other", ["z", "escape", "\n", "é"])
def test_any_other_key_stops(desk: Desk, other: str) -> None:
    desk.terminal.type("w", "o")
    desk.until(lambda s: s.engaged)
    desk.terminal.type(other)
    desk.until(lambda s: not s.engaged)


def test_space_takes_over_and_hands_back(desk: Desk) -> None:
    desk.terminal.type("space")
    desk.until(lambda s: s.engaged)
    assert desk.read_after(30.0).engaged
    desk.terminal.type("w")
    desk.until(lambda s: s.twist_tcp.any())
    desk.terminal.type("space")
    desk.until(lambda s: not s.engaged)


def test_a_held_space_bar_toggles_once(desk: Desk) -> None:
    desk.terminal.type("space")
    desk.until(lambda s: s.engaged)
    for _ in range(5):
        desk.clock.t_s += 0.5
        repeat(desk, "space")


def test_a_take_over_of_mode_latch_listens_to_the_space_bar(terminal: Terminal) -> None:
    takeover = TakeOver(KeyboardTeleop(terminal.program, latches=False), "latch")
    try:
        terminal.type("w")
        terminal.type("space")
        assert until(takeover, lambda s: s.engaged).twist_tcp[0] >= 0.0
        terminal.hang_up()
        assert until(takeover, lambda s: LOST in s.buttons).engaged
    finally:
        takeover.close()


def test_speed_stays_in_range(desk: Desk) -> None:
    desk.terminal.send(b"+" * 50 + b"w")
    assert desk.until(lambda s: s.engaged).twist_tcp[0] == 1.0
    desk.terminal.send(b"-" * 50)
    desk.until(lambda _: desk.keyboard.health()["speed"] == f"{SPEEDS[0]:g}")


def test_what_is_pasted_is_no_command(desk: Desk) -> None:
    desk.terminal.send(b"\x1b[200~w1x0\x1b[")
    desk.terminal.send(b"A\x04\x1b[201~\t")
    assert desk.until(lambda s: s.buttons).buttons == {"pause"}
    assert not desk.keyboard.read().engaged


def test_terminal_is_quiet_while_open_and_as_before_after(terminal: Terminal) -> None:
    before = termios.tcgetattr(terminal.program)
    keyboard = KeyboardTeleop(terminal.program)
    assert os.read(terminal.person, 100) == PASTE_ON
    lflag = termios.tcgetattr(terminal.program)[3]
    assert not lflag & (termios.ECHO | termios.ICANON)
    assert lflag & termios.ISIG
    terminal.type("w", "up", "1")
    until(keyboard, lambda s: s.buttons)
    keyboard.close()
    keyboard.close()
    assert os.read(terminal.person, 100) == PASTE_OFF, "nothing was shown"
    assert termios.tcgetattr(terminal.program) == before


def test_keys_that_nobody_read_do_not_reach_the_shell(terminal: Terminal) -> None:
    raw = RawTerminal(terminal.program)
    terminal.send(b"rm\n")
    raw.close()
    os.set_blocking(terminal.program, False)
    with pytest.raises(BlockingIOError):
        os.read(terminal.program, 100)


def test_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    try:
        with pytest.raises(ConfigError, match="without redirecting its input"):
            KeyboardTeleop(reading)
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        with pytest.raises(ConfigError, match="no standard input"):
            KeyboardTeleop()
    finally:
        os.close(reading)
        os.close(writing)


PROGRAM = """
import fcntl, sys, termios, time
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from robot_rl.hardware.keyboard.device import KeyboardTeleop
keyboard = KeyboardTeleop()
print("ready", flush=True)
while not keyboard.read().buttons:
    time.sleep(0.005)
print("pressed", flush=True)
{then}
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("then", "typed", "code"),
    [
        ("", b"\x03", -signal.SIGINT),
        ("raise RuntimeError('broken')", b"", 1),
        ("sys.exit(3)", b"", 3),
        ("", b"\x1a\x13\x03", -signal.SIGINT),  # neither Ctrl-Z nor Ctrl-S stops it
    ],
)
def test_however_the_program_ends_the_terminal_is_as_before(
    terminal: Terminal, then: str, typed: bytes, code: int
) -> None:
    before = termios.tcgetattr(terminal.program)
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(then=then)],
        stdin=terminal.program,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    )
    try:
        assert program.stdout is not None
        with program.stdout:
            assert program.stdout.readline() == "ready\n"
            terminal.type("1")
            assert program.stdout.readline() == "pressed\n"
            terminal.send(typed)
            assert program.wait(30.0) == code
    finally:
        program.kill()
        program.wait()
    assert termios.tcgetattr(terminal.program) == before


def test_the_thread_ends(terminal: Terminal) -> None:
    keyboard = KeyboardTeleop(terminal.program)
    keyboard.close()
    assert "keyboard" not in {thread.name for thread in threading.enumerate()}
    assert until(keyboard, lambda s: s.age_s > driver.LOST_S).buttons == frozenset()
