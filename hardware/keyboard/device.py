"""Reading the keyboard of a terminal."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from robot_rl.core.types import TeleopState
from robot_rl.hardware.joystick import CLOSE, OPEN, TOOL_PER_OPERATOR
from robot_rl.hardware.keyboard.decode import Decoder
from robot_rl.hardware.keyboard.holds import HoldConfig, Holds
from robot_rl.hardware.keyboard.table import FASTER, SLOWER, USE_OF, Use, describe
from robot_rl.hardware.keyboard.terminal import RawTerminal
from robot_rl.hardware.presses import Presses
from robot_rl.hardware.takeover import ENGAGE

SPEEDS = (0.1, 0.2, 0.4, 0.7, 1.0)
FIRST_SPEED = 2
POLL_S = 0.02
LOST_S = 0.25
"""The listening thread is alive at least so often; a terminal that has hung up is not heard any more."""
_CHUNK = 4096


class KeyboardTeleop:
    """`robot_rl.core.protocols.Teleop` over the keyboard of a terminal; its keys are in `TABLE` of the module `table`.

    The operator is engaged while a key of the arm or the gripper is down, and between two presses of the space bar.
    `HoldConfig` says how long a key counts as down. Of two opposite keys the later one counts. A terminal repeats only
    the key that was pressed last, so two motions at once last no longer than a tap of the first. A key that means
    nothing stops all motion. What is pasted is ignored.

    Args:
        fd: of the terminal; None for standard input.
        latches: the space bar takes over by itself; False if a `TakeOver` of mode ``latch`` listens to it.
        config: how long a key counts as down.
        now_s: a clock that does not run backwards.

    Raises:
        ConfigError: there is no terminal.
    """

    def __init__(
        self,
        fd: int | None = None,
        *,
        latches: bool = True,
        config: HoldConfig | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._latches, self._now_s = latches, now_s
        self._holds = Holds(config or HoldConfig())
        self._presses = Presses()
        self._lock = threading.Lock()
        self._latched, self._speed = False, FIRST_SPEED
        self._terminal = RawTerminal(fd)
        self._seen_s = now_s()
        self._hung_up = False
        self._stop = threading.Event()
        # A daemon, because the interpreter joins others before it sets the terminal back.
        self._thread = threading.Thread(target=self._run, name="keyboard", daemon=True)
        self._thread.start()

    def describe(self) -> str:
        """What each key does, one line each."""
        return describe()

    def read(self) -> TeleopState:
        """What is asked for now; nobody is engaged once the terminal has hung up."""
        with self._lock:
            now_s = self._now_s()
            age_s = max(now_s - self._seen_s, 0.0)
            uses = [USE_OF[key] for key in self._holds.down(now_s)]
            self._presses.update(_names(uses))
            names, latched, speed = self._presses.take(), self._latched, SPEEDS[self._speed]
            gone = self._hung_up or age_s > LOST_S
        buttons = names - {OPEN, CLOSE}
        if gone:
            return TeleopState(buttons=buttons, age_s=age_s)
        operator = np.zeros(6)
        for use in uses:
            if use.axis >= 0:
                operator[use.axis] = use.sign * speed
        gripper = float(OPEN in names) - float(CLOSE in names)
        engaged = bool(latched or operator.any() or gripper)
        return TeleopState(engaged, operator * TOOL_PER_OPERATOR, gripper, buttons, age_s)

    def health(self) -> Mapping[str, str]:
        """Facts for `/diagnostics`."""
        with self._lock:
            return {"connected": str(not self._hung_up), "speed": f"{SPEEDS[self._speed]:g}"}

    def close(self) -> None:
        """Stop reading, set the terminal back. May be called twice."""
        self._stop.set()
        self._thread.join()
        self._terminal.close()

    def _run(self) -> None:
        decoder, heard_s = Decoder(), time.monotonic()
        poller = select.poll()
        poller.register(self._terminal.fd, select.POLLIN)
        while not self._stop.is_set():
            try:
                data = os.read(self._terminal.fd, _CHUNK) if poller.poll(POLL_S * 1e3) else None
            except OSError:
                data = b""
            if data == b"":
                break
            if data:
                heard_s, keys = time.monotonic(), decoder.feed(data)
            else:
                keys = decoder.settle(time.monotonic() - heard_s)
            self._take(keys)
        self._hung_up = not self._stop.is_set()

    def _take(self, keys: list[str]) -> None:
        with self._lock:
            self._seen_s = now_s = self._now_s()
            for key in keys:
                self._press(key, now_s)

    def _press(self, key: str, now_s: float) -> None:
        use = USE_OF.get(key)
        if use is None:
            self._stop_moving()
            return
        if use.axis >= 0:
            self._holds.release(k for k, other in USE_OF.items() if other.axis == use.axis and other.sign != use.sign)
        if use.says in (FASTER, SLOWER):
            step = 1 if use.says == FASTER else -1
            self._speed = min(max(self._speed + step, 0), len(SPEEDS) - 1)
            return
        moves = use.axis >= 0 or use.says in (OPEN, CLOSE)
        pressed = self._holds.hear(key, now_s, once=not moves)
        if use.says == ENGAGE and pressed and self._latches:
            self._latched = not self._latched
            if not self._latched:
                self._stop_moving()
        self._presses.update(_names(USE_OF[k] for k in self._holds.down(now_s)))

    def _stop_moving(self) -> None:
        self._holds.release(key for key, use in USE_OF.items() if use.axis >= 0 or use.says in (OPEN, CLOSE))


def _names(uses: Iterable[Use]) -> frozenset[str]:
    return frozenset(use.says for use in uses if use.says)
