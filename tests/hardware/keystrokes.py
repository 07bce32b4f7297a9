"""The bytes that keys send."""

from __future__ import annotations

BYTES = {
    "up": b"\x1b[A",
    "down": b"\x1bOB",
    "right": b"\x1b[C",
    "left": b"\x1b[1;5D",
    "page up": b"\x1b[5~",
    "page down": b"\x1b[6~",
    "space": b" ",
    "tab": b"\t",
    "backspace": b"\x7f",
    "ctrl-d": b"\x04",
    "escape": b"\x1b",
}
"""What xterm and its like send; one of the arrows is of the application mode, one with Ctrl."""


def sent_by(key: str) -> bytes:
    return BYTES.get(key) or key.encode()
