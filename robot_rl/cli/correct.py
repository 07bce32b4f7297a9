"""``robot-rl correct``: take over from the policy of a run whose actor is running on this machine."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from robot_rl.cli.arguments import parse
from robot_rl.core.errors import ConfigError
from robot_rl.core.marks import END
from robot_rl.core.types import TeleopState
from robot_rl.runtime.attend.messages import ActorStatus

DESCRIPTION = """\
Take over from a policy that is being trained, for as long as it errs.

Start it beside `robot-rl train` or `robot-rl act`, on the machine where the actor runs. While you are engaged the arm
follows you, and what it executed is learnt from as a correction; when you let go it is the policy's again. If your
device or this program dies in the middle of a take-over, the arm holds until somebody attends again. One operator at a
time: whoever comes second waits until the first has left. docs/devices.md shows keys, buttons and axes.
"""
SHOW_EVERY = 12


@dataclass(frozen=True)
class CorrectArguments:
    """Arguments of ``robot-rl correct``.

    Attributes:
        run: folder of the run, or its id; None for the only one whose actor runs here.
        device: what you hold: spacemouse, gamepad, gamepad:/dev/input/js1, keyboard, or several joined by a plus sign.
        mode: hold takes over while the device is moved or its button held; latch until the button is pressed again.
        actor: name of the actor; None for the only one.
        name: who you are, as others see it; None for your user's name.
    """

    run: Annotated[str | None, tyro.conf.Positional] = None
    device: str = "spacemouse"
    mode: Literal["hold", "latch"] = "hold"
    actor: str | None = None
    name: str | None = None


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    a: CorrectArguments = parse(CorrectArguments, argv, verb="correct", description=DESCRIPTION)
    from robot_rl.hardware.devices import describe_teleop, open_teleop
    from robot_rl.runtime.attend.link import OperatorLink, attend
    from robot_rl.runtime.attend.place import find_actor
    from robot_rl.runtime.stop import stop_on_signals
    from robot_rl.runtime.transport.fields import is_name

    name = a.name or getpass.getuser()
    if not is_name(name):
        raise ConfigError(f"--name is {name!r}, expected up to 64 letters, digits and _.-")
    path = find_actor(_run_id(a.run), a.actor or "")
    print(describe_teleop(a.device))
    device = open_teleop(a.device, mode=a.mode)
    try:
        link = OperatorLink(path, name)
        line = StatusLine(name)
        try:
            with stop_on_signals() as stop:
                session = Session(device.read)
                attend(link, session.read, line.show, lambda: stop.requested or session.ended)
        finally:
            link.close()
            line.close()
    finally:
        device.close()
    print(line.summary)
    return 0


class Session:
    """Keeps the mark `END` here: it ends this program, not the training.

    Args:
        read: of the device.
    """

    def __init__(self, read: Callable[[], TeleopState]) -> None:
        self._read = read
        self.ended = False

    def read(self) -> TeleopState:
        """What the device says, without that mark."""
        state = self._read()
        self.ended = self.ended or END in state.buttons
        return replace(state, buttons=state.buttons - {END})


class StatusLine:
    """One line on the terminal that is written over, and what to say at the end.

    Args:
        name: of the operator.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._turns = self._engaged = 0
        self._first: ActorStatus | None = None
        self._last = ActorStatus()

    def show(self, status: ActorStatus) -> None:
        """Called at every turn; the line is written some times a second."""
        self._turns += 1
        mine = status.operator == self._name
        self._engaged += mine and status.engaged
        if status.operator:
            self._first, self._last = self._first or status, status
        if self._turns % SHOW_EVERY == 1 and sys.stdout.isatty():
            print(f"\r\x1b[K{describe(status, mine)}", end="", flush=True)

    def close(self) -> None:
        """Leave the line."""
        if self._turns and sys.stdout.isatty():
            print()

    @property
    def summary(self) -> str:
        """What came of the session."""
        first, last = self._first or self._last, self._last
        minutes = self._engaged / 50.0 / 60.0
        share = 100.0 * self._engaged / max(self._turns, 1)
        episodes, steps = last.episode - first.episode, last.env_steps - first.env_steps
        return f"{episodes} episodes, {steps} steps; in charge of the arm for {minutes:.1f} minutes ({share:.0f} %)"


def describe(status: ActorStatus, mine: bool) -> str:
    """An actor's status in one line."""
    if not status.operator:
        return "waiting for the actor"
    if not mine:
        return f"{status.operator} is in charge: wait until that session ends"
    who = "paused" if status.paused else "the arm follows you" if status.engaged else "the arm follows the policy"
    ended = f" · the last ended: {status.last_end}" if status.last_end else ""
    said = f" · {status.prompt or status.advice}" if status.prompt or status.advice else ""
    return f"{who} · episode {status.episode} · step {status.env_steps:,}{ended}{said}"


def _run_id(run: str | None) -> str:
    if run is None:
        return ""
    path = Path(run)
    if not path.is_dir():
        return run
    from robot_rl.runtime.run_folder import RunFolder

    return RunFolder(path).run_id
