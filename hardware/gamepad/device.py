"""Reading a gamepad."""

from __future__ import annotations

import os
import re
import select
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from glob import glob

from robot_rl.core.config import Range
from robot_rl.core.errors import DeviceError
from robot_rl.core.types import TeleopState
from robot_rl.hardware.gamepad.events import EVENT, Pad
from robot_rl.hardware.gamepad.layout import Layout, describe
from robot_rl.hardware.joystick import CLOSE, OPEN, TOOL_PER_OPERATOR
from robot_rl.hardware.presses import Presses
from robot_rl.hardware.takeover import ENGAGE

DEVICES = "/dev/input/js*"
POLL_S = 0.02
REOPEN_S = 0.5
LOST_S = 0.25
"""The listening thread is alive at least so often; a gamepad that is unplugged is not heard any more."""
DEAD_BAND = 0.12
_EVENTS_AT_ONCE = 64


class GamepadTeleop:
    """`robot_rl.core.protocols.Teleop` over a gamepad. The operator is engaged while a shoulder button is held.

    `robot_rl.hardware.gamepad.layout` says what sticks, triggers and buttons do. The kernel reports changes alone: a
    gamepad whose radio link has broken looks as if it was held still, until the driver notices.

    Args:
        path: of the device; None for the first of `DEVICES`, also after it was unplugged.
        deadman: False if the operator is engaged while a stick or trigger is deflected, for a `TakeOver` of mode
            ``latch``, which the shoulder buttons then begin and end.
        layout: None for the one that fits the number of buttons.
        width: dead band of each axis, 0 to 0.9.
        now_s: a clock that does not run backwards.

    Raises:
        ConfigError: the width is out of range.
        DeviceError: there is no gamepad, or it may not be opened.
    """

    def __init__(
        self,
        path: str | None = None,
        *,
        deadman: bool = True,
        layout: Layout | None = None,
        width: float = DEAD_BAND,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        Range(0.0, 0.9).check("width of the dead band", width)
        self._path, self._deadman, self._layout, self._width = path, deadman, layout, width
        self._now_s = now_s
        self._lock = threading.Lock()
        self._pad, self._presses = Pad(layout), Presses()
        self._fd: int | None = open_gamepad(path)
        self._seen_s = now_s()
        self._losses = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gamepad", daemon=True)
        self._thread.start()

    def describe(self) -> str:
        """What each control does, one line each."""
        with self._lock:
            return describe(self._pad.layout)

    def read(self) -> TeleopState:
        """The newest input. Its age grows, and nobody is engaged, while the gamepad is gone."""
        with self._lock:
            age_s = max(self._now_s() - self._seen_s, 0.0)
            names, held = self._presses.take(), self._presses.held
            motion, gone = self._pad.motion(self._width), self._fd is None or age_s > LOST_S
        buttons = names - {OPEN, CLOSE}
        if gone:
            return TeleopState(buttons=buttons, age_s=age_s)
        gripper = float(OPEN in names) - float(CLOSE in names)
        engaged = ENGAGE in held if self._deadman else bool(motion.any() or gripper)
        if not engaged:
            return TeleopState(buttons=buttons, age_s=age_s)
        return TeleopState(True, motion * TOOL_PER_OPERATOR, gripper, buttons, age_s)

    def health(self) -> Mapping[str, str]:
        """Facts for `/diagnostics`."""
        with self._lock:
            facts = {"connected": self._fd is not None, "losses": self._losses, "layout": self._pad.layout.name}
        return {name: str(value) for name, value in facts.items()}

    def close(self) -> None:
        """Stop reading, release the device. May be called twice."""
        self._stop.set()
        self._thread.join()
        self._drop()

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._fd is None:
                self._reopen()
            elif not self._listen(self._fd):
                self._drop()
                self._losses += 1

    def _listen(self, fd: int) -> bool:
        """Wait a moment for events and take them; False if the device has gone."""
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        try:
            data = os.read(fd, _EVENTS_AT_ONCE * EVENT.size) if poller.poll(POLL_S * 1e3) else None
        except BlockingIOError:
            data = None
        except OSError:
            return False
        if data == b"":
            return False
        with self._lock:
            for names in self._pad.feed(data) if data else []:
                self._presses.update(names)
            self._seen_s = self._now_s()
        return True

    def _reopen(self) -> None:
        try:
            fd = open_gamepad(self._path)
        except DeviceError:
            self._stop.wait(REOPEN_S)
            return
        with self._lock:
            self._fd, self._pad = fd, Pad(self._layout)

    def _drop(self) -> None:
        with self._lock:
            fd, self._fd = self._fd, None
            self._presses.update(())
        if fd is not None:
            with suppress(OSError):  # of a device that is gone
                os.close(fd)


def open_gamepad(path: str | None = None) -> int:
    """File descriptor of a gamepad; reading it does not block.

    Args:
        path: None for the first of `DEVICES`.

    Raises:
        DeviceError: there is none, or it may not be opened.
    """
    found = path or min(glob(DEVICES), key=_number, default=None)
    if found is None:
        raise DeviceError(
            f"no gamepad was found (no {DEVICES}): plug one in; if it is, load the driver: modprobe joydev"
        )
    try:
        return os.open(found, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError as e:
        raise DeviceError(f"{found} may not be opened: add your user to its group, mostly 'input'") from e
    except OSError as e:
        raise DeviceError(f"{found} cannot be opened ({e.strerror}): plug the gamepad in, or name another path") from e


def _number(path: str) -> int:
    digits = re.search(r"\d+$", path)
    return int(digits[0]) if digits else 0
