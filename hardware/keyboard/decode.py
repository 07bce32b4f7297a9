"""From the bytes of a terminal to keys."""

from __future__ import annotations

import codecs
import re

ESCAPE_S = 0.05
"""After so long without a byte, a lone escape is the key and not the beginning of a sequence."""
PASTE_S = 1.0
"""After so long without a byte, a paste whose end never came is over."""
MOST_AT_ONCE = 4
"""A person's fingers press fewer different keys within one read; more are a paste that the terminal did not mark."""

PASTE_ON, PASTE_OFF = b"\x1b[?2004h", b"\x1b[?2004l"
"""Ask a terminal to put marks around what is pasted, or not to."""

_PASTE_BEGINS, _PASTE_ENDS = "\x1b[200~", "\x1b[201~"
# In this order: a function key of the Linux console; a control sequence; a single shift; Alt with a key; anything else.
_TOKEN = re.compile(r"\x1b\[\[.|\x1b\[[0-?]*[ -/]*[@-~]|\x1bO.|\x1b[^\[O\x1b]|[^\x1b]", re.DOTALL)
_BEGINNING = re.compile(r"\x1b(?:\[\[|\[[0-?]*[ -/]*|O)?")
_SEQUENCE = re.compile(r"\x1b(?:\[(?P<number>\d*)(?:;\d+)?(?P<final>[A-Z~])|O(?P<shifted>[A-Z]))")
_FINAL = {"A": "up", "B": "down", "C": "right", "D": "left", "H": "home", "F": "end of line"}
_NUMBER = {"1": "home", "3": "delete", "4": "end of line", "5": "page up", "6": "page down"}
_PLAIN = {" ": "space", "\t": "tab", "\x7f": "backspace", "\x08": "backspace", "\n": "enter", "\r": "enter"}
_CONTROL_A = 0x60

ESCAPE, UNKNOWN = "escape", "unknown"


class Decoder:
    """Takes bytes as they come, in pieces of any size, and gives names of keys.

    A letter has its own name in lower case, so that a caps lock does not matter. Ctrl with a letter is ``ctrl-d``; what
    has no name here is `UNKNOWN`. What is pasted is no key.
    """

    def __init__(self) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._waiting = ""
        self._pasting = False

    def feed(self, data: bytes) -> list[str]:
        """Keys that became complete with these bytes."""
        self._waiting += self._utf8.decode(data)
        keys = []
        while self._waiting:
            token = self._next()
            if token is None:
                break
            self._waiting = self._waiting[len(token) :]
            if token in (_PASTE_BEGINS, _PASTE_ENDS):
                self._pasting = token == _PASTE_BEGINS
            elif not self._pasting:
                keys.append(name_of(token))
        return keys if len(set(keys)) <= MOST_AT_ONCE else []

    def settle(self, silent_s: float) -> list[str]:
        """Keys that are complete because nothing has followed for this long."""
        if silent_s >= PASTE_S:
            self._pasting = False
        if silent_s < ESCAPE_S or not self._waiting:
            return []
        token, self._waiting = self._waiting, ""
        return [] if self._pasting else [name_of(token)]

    def _next(self) -> str | None:
        """The first token, or None if its end has not come."""
        token = _TOKEN.match(self._waiting)
        if token is not None:
            return token[0]
        beginning = _BEGINNING.match(self._waiting)
        assert beginning is not None, "only an escape begins no token"
        return None if beginning.end() == len(self._waiting) else beginning[0]


def name_of(token: str) -> str:
    """The key that sends this character or sequence."""
    if token == "\x1b":
        return ESCAPE
    if token in _PLAIN:
        return _PLAIN[token]
    if len(token) == 1:
        if token < " ":
            return f"ctrl-{chr(ord(token) + _CONTROL_A)}"
        return token.lower() if token.isascii() else UNKNOWN
    sequence = _SEQUENCE.fullmatch(token)
    if sequence is None:
        return UNKNOWN
    if sequence["final"] == "~":
        return _NUMBER.get(sequence["number"], UNKNOWN)
    return _FINAL.get(sequence["final"] or sequence["shifted"], UNKNOWN)
