"""Whose turn it is on a robot whose two tasks undo each other, so that nobody has to reset it.

After an episode the task is due that is still to be done: the other one after a success, the same again after a
failure, as in the bin relocation of SERL (Luo et al. 2024, arXiv 2401.16013). What a policy has failed with `PATIENCE`
times in a row is put back: by the simulator in a person's place, or by a person, who is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from robot_rl.runtime.environment import Env

PATIENCE = 3
"""Failures in a row after which the object is put back: a policy may never leave a place that it has not learnt."""


class SharedEnv(Env, Protocol):
    """One of two environments on one robot; `robot_rl.envs.pair.make_pair` makes them."""

    @property
    def put_back(self) -> int:
        """How often an object had to be put back by somebody since the environment was made."""
        ...

    def give_up(self) -> None:
        """The policy cannot go on from where the objects lie: the next `reset` has them put back."""
        ...

    def undone(self) -> bool | None:
        """Let go of everything; whether the task is still to be done, or None if that cannot be seen."""
        ...


class Turns:
    """Hands the robot from one task to the other.

    Args:
        envs: of the two tasks.

    Attributes:
        turn: index of the environment whose turn it is.
    """

    def __init__(self, envs: Sequence[SharedEnv]) -> None:
        self.turn = 0
        self._envs = tuple(envs)
        self._failures = 0

    def pass_on(self, *, succeeded: bool) -> None:
        """Decide after an episode whose turn is next.

        Args:
            succeeded: how the episode ended; it counts only where the objects cannot be seen.
        """
        env = self._envs[self.turn]
        undone = env.undone()
        still_due = not succeeded if undone is None else undone
        if not still_due:
            self.turn, self._failures = 1 - self.turn, 0
            return
        self._failures += 1
        if self._failures >= PATIENCE:
            env.give_up()
            self._failures = 0

    def put_back(self) -> tuple[int, ...]:
        """How often an object was put back for each."""
        return tuple(env.put_back for env in self._envs)
