"""Whose turn it is, and when something is put back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.turns import PATIENCE, Turns, disputed
from tests.runtime.pair_point import PairPoint


class Told(PairPoint):
    """Sees what a test says, or nothing."""

    seen: bool | None = None
    objects = False
    gave_up = 0

    def undone(self, *, succeeded: bool = False) -> bool | None:
        return self.seen

    def already_done(self) -> bool:
        return self.objects

    def give_up(self) -> None:
        self.gave_up += 1


def pair() -> tuple[Told, Told]:
    return Told("Out"), Told("Back")


@given(st.lists(st.tuples(st.sampled_from([True, False, None]), st.booleans(), st.booleans()), max_size=40))
def test_the_turn_follows_what_is_seen_else_how_the_episode_ended_unless_the_other_task_objects(
    episodes: list[tuple[bool | None, bool, bool]],
) -> None:
    envs = pair()
    turns, due, failures, gave_up, disputes = Turns(envs), 0, 0, [0, 0], 0
    for seen, succeeded, objects in episodes:
        envs[due].seen, envs[1 - due].objects = seen, objects
        turns.pass_on(succeeded=succeeded)
        failed = not succeeded if seen is None else seen
        disputes += objects and not failed
        failed = failed or objects
        failures = failures + 1 if failed else 0
        if failures == PATIENCE:
            gave_up[due], failures = gave_up[due] + 1, 0
        due = due if failed else 1 - due
        assert (turns.turn, turns.disputes) == (due, disputes)
        assert [env.gave_up for env in envs] == gave_up


def test_a_dispute_is_said_in_a_sentence() -> None:
    said = disputed(TrainConfig(task="MoveCubeOut", pair="MoveCubeBack"))
    assert said.startswith("the classifiers of MoveCubeOut and MoveCubeBack both see their task done")


def test_what_was_put_back_is_counted_for_each() -> None:
    envs = pair()
    envs[1].put_back = 3
    assert Turns(envs).put_back() == (0, 3)
