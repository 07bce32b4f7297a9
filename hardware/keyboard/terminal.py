"""A terminal that gives each key at once and shows none; Ctrl-C still interrupts."""

from __future__ import annotations

import atexit
import os
import sys
import termios
from contextlib import suppress
from typing import Any

from robot_rl.core.errors import ConfigError
from robot_rl.hardware.keyboard.decode import PASTE_OFF, PASTE_ON

_ADVICE = "run the program in a terminal without redirecting its input (ssh needs -t), or choose another device"
_IFLAG, _LFLAG, _CC = 0, 3, 6


class RawTerminal:
    """Sets a terminal to single keys, and back on `close` or at the end of the program, whichever comes first.

    Signals stay on, except that Ctrl-Z does not stop the program: nobody would hold the robot. Ctrl-S does not freeze
    its output.

    Args:
        fd: of the terminal; None for standard input. It stays open.

    Raises:
        ConfigError: it is no terminal, or that of another program in the foreground.
    """

    def __init__(self, fd: int | None = None) -> None:
        self.fd = _standard_input() if fd is None else fd
        if not os.isatty(self.fd):
            raise ConfigError(f"the keyboard needs a terminal, and file descriptor {self.fd} is none: {_ADVICE}")
        if _in_background(self.fd):
            raise ConfigError(
                "the keyboard's terminal is not this program's now: start it in the foreground, without &"
            )
        self._before: list[Any] | None = termios.tcgetattr(self.fd)
        atexit.register(self.close)
        mode = termios.tcgetattr(self.fd)
        mode[_IFLAG] &= ~termios.IXON
        mode[_LFLAG] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN)
        mode[_CC] = list(mode[_CC])
        mode[_CC][termios.VSUSP] = os.fpathconf(self.fd, "PC_VDISABLE")
        mode[_CC][termios.VMIN], mode[_CC][termios.VTIME] = 1, 0
        termios.tcsetattr(self.fd, termios.TCSANOW, mode)
        self._say(PASTE_ON)

    def close(self) -> None:
        """Set it back, and forget keys that nobody has read. May be called twice."""
        if self._before is not None:
            self._say(PASTE_OFF)
            with suppress(OSError, termios.error):  # of a terminal that has hung up
                termios.tcflush(self.fd, termios.TCIFLUSH)
                termios.tcsetattr(self.fd, termios.TCSANOW, self._before)
            self._before = None
        atexit.unregister(self.close)

    def _say(self, sequence: bytes) -> None:
        with suppress(OSError):  # of a terminal that is open for reading alone, or has hung up
            os.write(self.fd, sequence)


def _standard_input() -> int:
    try:
        return sys.stdin.fileno()
    except (AttributeError, OSError, ValueError) as e:
        raise ConfigError(f"the keyboard needs a terminal, and there is no standard input: {_ADVICE}") from e


def _in_background(fd: int) -> bool:
    try:
        return os.tcgetpgrp(fd) != os.getpgrp()
    except OSError:  # not the terminal that this program was started from
        return False
