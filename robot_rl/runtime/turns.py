"""Whose turn it is on a robot whose two tasks undo each other, so that nobody has to reset it.

After an episode the task is due that is still to be done: the other one after a success, the same again after a
failure, as in the bin relocation of SERL (Luo et al. 2024, arXiv 2401.16013). Where classifiers judge the two tasks,
they say which is still to be done, and check each other: both tasks cannot be done at once. What a policy has failed
with `PATIENCE` times in a row is put back: by the simulator in a person's place, or by a person, who is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from robot_rl.runtime.config import TrainConfig
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

    def undone(self, *, succeeded: bool = False) -> bool | None:
        """Let go of everything; whether the task is still to be done after this end, or None if nothing sees it."""
        ...

    def already_done(self) -> bool:
        """Whether its own detector sees the task done although the other one is said to be; False without one."""
        ...


def disputed(config: TrainConfig) -> str:
    """What to say when both tasks were said to be done at once, the last episode having been one of this run."""
    return (
        f"the classifiers of {config.task} and {config.pair} both see their task done, so one is wrong: "
        f"{config.task} goes on"
    )


class Turns:
    """Hands the robot from one task to the other.

    Args:
        envs: of the two tasks.

    Attributes:
        turn: index of the environment whose turn it is.
        disputes: how often both tasks were said to be done at once; each counts as a failure.
    """

    def __init__(self, envs: Sequence[SharedEnv]) -> None:
        self.turn = self.disputes = 0
        self._envs = tuple(envs)
        self._failures = 0

    def pass_on(self, *, succeeded: bool) -> None:
        """Decide after an episode whose turn is next.

        Args:
            succeeded: how the episode ended.
        """
        env, other = self._envs[self.turn], self._envs[1 - self.turn]
        undone = env.undone(succeeded=succeeded)
        still_due = not succeeded if undone is None else undone
        if not still_due and other.already_done():
            self.disputes += 1
            still_due = True
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
