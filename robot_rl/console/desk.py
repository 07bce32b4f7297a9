"""Which browsers are there, and which one has the robot."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

FREE_AFTER_S = 3.0
"""So long the chair of somebody who vanished at rest is kept for him: long enough to load the page anew."""


@dataclass(frozen=True)
class Guest:
    """A browser that is there.

    Attributes:
        client: number of its connection; another one each time it comes.
        name: as others see it; no two guests have the same.
        key: of this tab of this browser; the same each time it comes.
    """

    client: int
    name: str
    key: str


@dataclass(frozen=True)
class Seating:
    """Who is where, at one moment.

    Attributes:
        guests: by the time of their coming.
        holder: who is in charge, also while he is away; None for nobody.
        away: the one in charge has vanished, and the chair is still his.
        asked_by: who would like to be; None for nobody.
    """

    guests: tuple[Guest, ...] = ()
    holder: Guest | None = None
    away: bool = False
    asked_by: Guest | None = None

    @property
    def in_charge(self) -> int | None:
        """The client whose hands count; None for nobody, and while the one in charge is away."""
        return None if self.holder is None or self.away else self.holder.client


class Desk:
    """One chair, and an explicit hand-over. May be used by several threads.

    Whoever vanishes in the middle of a take-over keeps the chair until he is back, or somebody else takes it. Whoever
    vanishes at rest keeps it for `FREE_AFTER_S`.

    Args:
        now_s: a clock that does not run backwards.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._lock = threading.Lock()
        self._guests: dict[int, Guest] = {}
        self._holder: Guest | None = None
        self._asked_by: int | None = None
        self._free_s: float | None = None

    @property
    def seating(self) -> Seating:
        """Who is where now."""
        with self._lock:
            self._expire()
            asked_by = None if self._asked_by is None else self._guests[self._asked_by]
            return Seating(tuple(self._guests.values()), self._holder, self._is_away(), asked_by)

    def join(self, client: int, name: str, key: str) -> Guest:
        """Somebody comes, or comes back.

        Args:
            client: number of the connection, which nobody else has.
            name: what he would like to be called.
            key: of his tab; whoever is there with the same one is replaced.

        Returns:
            The guest, with a number behind the name if somebody else has that already.
        """
        with self._lock:
            self._expire()
            for other in [guest.client for guest in self._guests.values() if guest.key == key]:
                self._forget(other)
            guest = Guest(client, self._free_name(name, key), key)
            self._guests[client] = guest
            if self._holder is not None and self._holder.key == key:
                self._sit(guest)
            return guest

    def leave(self, client: int, *, engaged: bool) -> None:
        """Somebody has vanished.

        Args:
            client: a client that is not there is ignored.
            engaged: he was in the middle of a take-over; of no matter for those who are not in charge.
        """
        with self._lock:
            self._expire()
            if self._holder is not None and self._holder.client == client and client in self._guests:
                self._free_s = None if engaged else self._now_s() + FREE_AFTER_S
            self._forget(client)

    def take(self, client: int) -> bool:
        """Take the chair, which must be free or its holder away.

        Returns:
            Whether it is his now.
        """
        with self._lock:
            self._expire()
            guest = self._guests.get(client)
            if guest is not None and (self._holder is None or self._is_away()):
                self._sit(guest)
            return self._is_in_charge(client)

    def ask(self, client: int) -> bool:
        """Ask the one in charge for the chair; the first who asks stands until he is answered.

        Returns:
            Whether his question stands.
        """
        with self._lock:
            self._expire()
            there = client in self._guests and self._holder is not None and not self._is_away()
            if there and self._asked_by is None and not self._is_in_charge(client):
                self._asked_by = client
            return self._asked_by == client

    def hand_over(self, client: int, to: int) -> bool:
        """Give the chair to somebody who is there.

        Args:
            client: must be in charge.
            to: who gets it.

        Returns:
            Whether he has it now.
        """
        with self._lock:
            self._expire()
            if self._is_in_charge(client) and to in self._guests:
                self._sit(self._guests[to])
            return self._is_in_charge(to)

    def decline(self, client: int) -> bool:
        """Say no to whoever asks.

        Args:
            client: must be in charge.

        Returns:
            Whether there was somebody to say it to.
        """
        with self._lock:
            self._expire()
            declined = self._is_in_charge(client) and self._asked_by is not None
            if declined:
                self._asked_by = None
            return declined

    def release(self, client: int) -> bool:
        """Leave the chair; nobody has it then.

        Args:
            client: must be in charge.

        Returns:
            Whether he had it.
        """
        with self._lock:
            self._expire()
            released = self._is_in_charge(client)
            if released:
                self._sit(None)
            return released

    def _is_away(self) -> bool:
        return self._holder is not None and self._holder.client not in self._guests

    def _is_in_charge(self, client: int) -> bool:
        return self._holder is not None and self._holder.client == client and client in self._guests

    def _sit(self, guest: Guest | None) -> None:
        if guest is None or self._asked_by == guest.client:
            self._asked_by = None
        self._holder, self._free_s = guest, None

    def _forget(self, client: int) -> None:
        self._guests.pop(client, None)
        if self._asked_by == client:
            self._asked_by = None

    def _expire(self) -> None:
        if self._is_away() and self._free_s is not None and self._now_s() >= self._free_s:
            self._sit(None)

    def _free_name(self, name: str, key: str) -> str:
        """Also the name of somebody who is away is his."""
        taken = {guest.name for guest in self._guests.values()}
        if self._holder is not None and self._holder.key != key:
            taken.add(self._holder.name)
        found, number = name, 2
        while found in taken:
            found, number = f"{name} {number}", number + 1
        return found
