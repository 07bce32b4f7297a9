"""Who may take over from an actor's policy: whoever attends, and before that the program in a person's place."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from robot_rl.core.errors import StorageError
from robot_rl.core.protocols import Teleop
from robot_rl.core.types import TeleopState
from robot_rl.hardware.takeover import LOST, TakeOver
from robot_rl.runtime.acting import TeleopFactory
from robot_rl.runtime.attend.messages import ActorStatus
from robot_rl.runtime.attend.place import socket_of
from robot_rl.runtime.attend.post import OperatorPost
from robot_rl.runtime.attend.view import View
from robot_rl.runtime.operator import Kept


class Attended:
    """Lets operators attend to an actor from other processes of this user on this machine.

    Without a socket the actor acts all the same; `problem` says why nobody can attend.

    Args:
        run_id: of the run.
        actor: its name.
        others: further runs that the actor acts for, by whose names it can be met, too.
    """

    def __init__(self, run_id: str, actor: str, *others: str) -> None:
        self._engaged = self._lost = False
        self.problem = ""
        self._post: OperatorPost | None = None
        try:
            self._post = OperatorPost(*(socket_of(run, actor) for run in (run_id, *others)))
        except StorageError as e:
            self.problem = str(e)
        # Holding, latching and the pauses of a hand are dealt with where the device is.
        self._person = None if self._post is None else TakeOver(self._post, "hold", release_s=0.05)

    def helped_by(self, stand_in: TeleopFactory | None) -> TeleopFactory:
        """What the acting loop reads in an episode.

        Args:
            stand_in: builds the program in a person's place for an episode; None for none.
        """

        def make(rng: np.random.Generator) -> Teleop:
            return Kept(self) if stand_in is None else Assisted(self, stand_in(rng))

        return make

    def read(self) -> TeleopState:
        """What the person who attends says."""
        state = TeleopState(age_s=math.inf) if self._person is None else self._person.read()
        self._engaged, self._lost = state.engaged, LOST in state.buttons
        return state

    @property
    def operator(self) -> str:
        """Who is in charge; empty for nobody."""
        return "" if self._post is None else self._post.operator

    @property
    def attended(self) -> bool:
        """Whether anybody is there, to operate or to watch."""
        return self._post is not None and self._post.attended

    @property
    def watched(self) -> bool:
        """Whether somebody wants to see."""
        return self._post is not None and self._post.watched

    def tell(self, status: ActorStatus) -> None:
        """Tell those who attend how it goes."""
        if self._post is not None:
            self._post.tell(replace(status, engaged=self._engaged, lost=self._lost))

    def show(self, view: View) -> None:
        """Show it to those who watch."""
        if self._post is not None:
            self._post.show(view)

    def close(self) -> None:
        """Nobody can attend any more. May be called twice."""
        if self._post is not None:
            self._post.close()


class Assisted:
    """A person who may take over at any time, also from the program that acts in a person's place otherwise.

    Args:
        person: stays open.
        stand_in: closed with this one.
    """

    def __init__(self, person: Teleop, stand_in: Teleop) -> None:
        self._person, self._stand_in = person, stand_in

    def read(self) -> TeleopState:
        """The person's motion if engaged, else the program's; the buttons are the person's."""
        person, stand_in = self._person.read(), self._stand_in.read()
        return person if person.engaged else replace(stand_in, buttons=person.buttons | stand_in.buttons)

    def close(self) -> None:
        """Release the program."""
        self._stand_in.close()
