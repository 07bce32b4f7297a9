"""Desk, device and bars together: what happens when somebody comes, acts, moves his hands, and vanishes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

from robot_rl.console.browser import BrowserTeleop
from robot_rl.console.desk import Desk, Guest, Seating
from robot_rl.console.door_messages import Act, Bar, Hands, Hello
from robot_rl.hardware.keyboard.table import USE_OF

NOTHING, WAITS, YOU, POLICY, PAUSED, HELD = "nothing", "waits", "you", "policy", "paused", "held"
"""What the arm does: there is none; it waits for somebody to begin, follows the one in charge, follows the policy;
stands until somebody goes on, or comes back."""
TAKE, ASK, RELEASE, DECLINE, HAND_OVER, SAY = "take", "ask", "release", "decline", "hand over", "say"

_TABLE_OF_BROWSER = {" ": "space", "arrowup": "up", "arrowdown": "down", "arrowleft": "left", "arrowright": "right"}
_TABLE_OF_BROWSER |= {"pageup": "page up", "pagedown": "page down"}
_BROWSER_OF_TABLE = {table: browser for browser, table in _TABLE_OF_BROWSER.items()}
_TONES = {NOTHING: "calm", WAITS: "calm", YOU: "you", POLICY: "calm", PAUSED: "pause", HELD: "held"}
_STATES = {
    NOTHING: "no cell runs",
    WAITS: "the arm waits",
    POLICY: "the arm follows the policy",
    PAUSED: "paused",
    HELD: "HELD: the arm waits for its operator",
}


class Front:
    """`robot_rl.console.door_messages.Visitors` with one chair and one device. May be used by several threads.

    Whoever asks for something and may not have it gets nothing; see `robot_rl.console.desk.Desk` for the rules.

    Args:
        teleop: the device of the one in charge.
        now_s: a clock that does not run backwards.
        say: told what the one in charge answers to a question: its id, the answer, his name; must not block.

    Attributes:
        desk: call `seated` after changing who is in charge there.
        notice: stands on all bars while nothing more urgent does.
    """

    def __init__(
        self,
        teleop: BrowserTeleop,
        now_s: Callable[[], float] = time.monotonic,
        say: Callable[[str, str, str], None] = lambda question, saying, by: None,
    ) -> None:
        self.desk = Desk(now_s)
        self.notice = ""
        self._teleop, self._say = teleop, say
        self._lock = threading.RLock()
        self._arm, self._prompt = NOTHING, ""
        self._taken = False

    @property
    def keys(self) -> Mapping[str, str]:
        """As browsers name them, and what each does."""
        return _KEYS

    def seated(self) -> None:
        """Who is in charge may have changed at the desk: from now on his hands count; bars find out by themselves."""
        with self._lock:
            seating = self.desk.seating
            if not seating.away:
                self._teleop.seat(seating.in_charge)

    def show(self, arm: str, prompt: str = "", *, taken: bool = False) -> None:
        """Say on all bars what the arm does.

        Args:
            arm: `NOTHING`, `WAITS`, `YOU`, `POLICY`, `PAUSED` or `HELD`.
            prompt: what a person is asked to do.
            taken: the robot is taken over by what the device asked for, also while its hands rest; whoever vanishes
                now keeps the chair.
        """
        with self._lock:
            self._arm, self._prompt, self._taken = arm, prompt, taken

    def hello(self, hello: Hello) -> None:
        """Somebody is there."""
        with self._lock:
            self.desk.join(hello.client, hello.name or f"operator {hello.client}", hello.key)
            self.seated()

    def hands(self, client: int, hands: Hands) -> None:
        """What his hands do."""
        self._teleop.hear(client, [_TABLE_OF_BROWSER.get(k, k) for k in hands.keys], pointer=hands.pointer)

    def act(self, client: int, act: Act) -> None:
        """A button of his bar."""
        what, _, to = act.what.partition(":")
        desk = self.desk
        acts = {TAKE: desk.take, ASK: desk.ask, RELEASE: desk.release, DECLINE: desk.decline}
        if what in acts:
            acts[what](client)
        elif what == HAND_OVER and to.isdecimal():
            desk.hand_over(client, int(to))
        elif what == SAY:
            self._answer(client, to)
        self.seated()

    def gone(self, client: int) -> None:
        """He has vanished."""
        with self._lock:
            engaged = self._teleop.holds or self._taken
            self._teleop.lose(client)
            self.desk.leave(client, engaged=engaged)

    def bars(self) -> Mapping[int, Bar]:
        """What each bar is to say now."""
        with self._lock:
            self.seated()
            seating = self.desk.seating
            return {guest.client: self._bar(guest, seating) for guest in seating.guests}

    def _answer(self, client: int, said: str) -> None:
        seating = self.desk.seating
        question, _, saying = said.partition(":")
        if seating.holder is not None and seating.in_charge == client:
            self._say(question, saying, seating.holder.name)

    def _bar(self, guest: Guest, seating: Seating) -> Bar:
        you = seating.in_charge == guest.client
        arm = HELD if seating.away and self._taken else self._arm
        tone = "calm" if arm == YOU and not you else _TONES[arm]
        state, offers = _state(arm, you, seating), _offers(guest, seating)
        return Bar(guest.name, you, _who(guest, seating), state, tone, self._prompt or self.notice, offers)


def _who(guest: Guest, seating: Seating) -> str:
    holder = seating.holder
    if holder is None:
        return "nobody is in charge"
    if seating.away:
        return f"{holder.name} is in charge and has lost the connection"
    if holder.client == guest.client:
        return "you are in charge" if seating.asked_by is None else f"{seating.asked_by.name} asks for the robot"
    return f"{holder.name} is in charge"


def _state(arm: str, you: bool, seating: Seating) -> str:
    if arm == YOU:
        name = "somebody" if seating.holder is None else seating.holder.name
        return f"the arm follows {'you' if you else name}"
    return _STATES[arm]


def _offers(guest: Guest, seating: Seating) -> tuple[tuple[str, str], ...]:
    asked_by = seating.asked_by
    if seating.holder is None or seating.away:
        return ((TAKE, "Take charge"),)
    if seating.in_charge != guest.client:
        return () if asked_by is not None else ((ASK, "Ask for it"),)
    if asked_by is not None:
        return ((f"{HAND_OVER}:{asked_by.client}", f"Hand over to {asked_by.name}"), (DECLINE, "Not now"))
    return ((RELEASE, "Leave the chair"),)


_KEYS: Mapping[str, str] = MappingProxyType({_BROWSER_OF_TABLE.get(key, key): use.does for key, use in USE_OF.items()})
