"""Two tasks judged by what is seen: nothing between two episodes rests on what only the simulator knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np
import pytest

from robot_rl.core.errors import DataError
from robot_rl.core.protocols import Verdict
from robot_rl.core.types import ArmState, Frame, GripperState
from robot_rl.envs.pair import PairEnv, make_pair
from robot_rl.envs.tasks.base import flat_pose
from robot_rl.envs.tasks.move_cube import CENTRES_M
from robot_rl.envs.tasks.pick_cube import HALF_M

STILL = np.zeros(7, np.float32)
ELSEWHERE = flat_pose((0.5, 0.4, HALF_M))
Says = Callable[[], bool]


class Opinion:
    """A detector with an opinion of its own that may change; it is forgetful, and may be blind."""

    cameras: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.done, self.looks, self.blind = False, 0, False

    def reset(self) -> None:
        self.looks = 0

    def judge(self, arm: ArmState, gripper: GripperState, frames: Mapping[str, Frame], t_s: float) -> Verdict:
        if self.blind:
            raise DataError("the camera is black")
        self.looks += 1
        return Verdict(self.done and self.looks >= 3, 0.9 if self.done else 0.1)


Judged = tuple[tuple[PairEnv, PairEnv], tuple[Opinion, Opinion]]


@pytest.fixture
def judged() -> Iterator[Judged]:
    opinions = Opinion(), Opinion()
    envs = make_pair("MoveCubeOut", "MoveCubeBack", detectors=opinions)
    yield envs, opinions
    envs[0].close()


def lay(env: PairEnv, field: int) -> None:
    env.cell.world.place("cube", flat_pose((*CENTRES_M[field], HALF_M)))


def until_it_says_done(env: PairEnv) -> None:
    for _ in range(3):
        *_, info = env.step(STILL)
    assert info["success"]


@pytest.mark.parametrize("says", [True, False])
def test_whose_turn_it_is_follows_the_detector_and_not_the_truth(judged: Judged, says: bool) -> None:
    (out, _), (opinion, _) = judged
    out.reset(seed=0)
    out.step(STILL)
    lay(out, 0 if says else 1)
    opinion.done = says
    out.look()
    assert out.task.success(out.snapshot) is not says, "the truth is the opposite"
    assert out.undone() is not says


def test_a_success_is_believed_and_so_is_whoever_took_it_back(judged: Judged) -> None:
    (out, _), (opinion, _) = judged
    opinion.done = True
    for succeeded in (True, False):
        out.reset(seed=0)
        until_it_says_done(out)
        assert out.undone(succeeded=succeeded) is not succeeded
    out.reset(seed=0)
    assert out.undone() is False, "what was taken back does not count for the next episode"
    opinion.done = False
    out.reset(seed=0)
    out.step(STILL)
    assert out.undone(succeeded=True) is False, "a person said that it was one"


def test_nobody_sees_a_cube_out_of_reach_until_the_policy_is_given_up_on(judged: Judged) -> None:
    envs, _ = judged
    out, back = envs
    out.reset(seed=0)
    assert out.put_back == 1 and out.task.misplaced(out.snapshot) == "", "somebody has put it there for the first time"
    out.cell.world.place("cube", ELSEWHERE)
    for env in envs:
        env.reset(seed=1)
        assert env.task.misplaced(env.snapshot)
    assert (out.put_back, back.put_back) == (1, 0)
    back.give_up()
    back.reset(seed=2)
    assert back.put_back == 1 and back.task.misplaced(back.snapshot) == ""


def test_a_tracker_beside_a_person_goes_on_helping_him() -> None:
    opinions = Opinion(), Opinion()
    out, _ = envs = make_pair("MoveCubeOut", "MoveCubeBack", detectors=opinions)
    by_hand = replace(out.cell, placed_by_person=True)
    out.close()
    env = PairEnv(by_hand, envs[0].task, envs[0].options, detector=opinions[0])
    env.cell.world.place("cube", ELSEWHERE)
    env.reset(seed=0)
    assert "out of reach" in env.wanted()


def test_the_other_detector_may_object(judged: Judged) -> None:
    (out, back), (_, other) = judged
    out.reset(seed=0)
    assert not back.already_done()
    other.done = True
    assert back.already_done() and not out.already_done()
    plain = make_pair("MoveCubeOut", "MoveCubeBack")
    plain[0].reset(seed=0)
    lay(plain[0], 1)
    assert not plain[0].already_done(), "rules do not contradict each other"
    plain[0].close()


def test_a_blind_detector_leaves_it_to_how_the_episode_ended(judged: Judged) -> None:
    (out, back), opinions = judged
    out.reset(seed=0)
    for opinion in opinions:
        opinion.blind = True
    assert out.undone() is None and not back.already_done()


@pytest.mark.gl
def test_the_cameras_of_both_detectors_are_opened() -> None:
    opinions = Opinion(), Opinion()
    opinions[0].cameras, opinions[1].cameras = ("side",), ("wrist", "side")
    envs = make_pair("MoveCubeOut", "MoveCubeBack", detectors=opinions, image_size=(24, 32))
    assert set(envs[0].cell.cameras) == {"side", "wrist"}
    envs[0].close()
