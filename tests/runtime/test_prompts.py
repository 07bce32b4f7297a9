"""Waiting for a person before an episode: the arm holds, every mark still works, and nothing is recorded."""

from __future__ import annotations

import numpy as np
import pytest

from robot_rl.core.errors import DataError
from robot_rl.core.marks import ABORT, END, FAILURE, PAUSE, READY, SUCCESS
from robot_rl.core.types import TeleopState
from robot_rl.envs import make_env
from robot_rl.runtime.acting import ActingConfig
from robot_rl.runtime.collector import Collector
from robot_rl.runtime.operator import keep_open
from robot_rl.runtime.paced import Paced
from tests.runtime.fakes import Constant, PointEnv

REQUEST = "Put the point on the line, then press ready"


class Buttons:
    """A device whose next reading has these buttons down."""

    def __init__(self) -> None:
        self.down: set[str] = set()

    def read(self) -> TeleopState:
        state = TeleopState(buttons=frozenset(self.down))
        self.down = set()
        return state

    def close(self) -> None:
        pass


class AskingEnv(PointEnv):
    """Asks for something before each episode; `looks` counts observations without a step."""

    looks = 0
    fails = False

    def reset(self, **kwargs):  # type: ignore[no-untyped-def]
        answer = super().reset(**kwargs)
        self.request = REQUEST
        return answer

    def wanted(self) -> str:
        if self.fails:
            raise DataError("the tool is 30 mm from its start")
        return self.request

    def look(self):  # type: ignore[no-untyped-def]
        self.looks += 1
        return super().look()


@pytest.fixture
def rig() -> tuple[AskingEnv, Buttons, Collector]:
    env, buttons = AskingEnv(limit=3), Buttons()
    config = ActingConfig(seed=3, episode_prefix="run-a0")
    return env, buttons, Collector(env, Constant(0.0), config, make_teleop=keep_open(buttons))


def press(collector: Collector, buttons: Buttons, *marks: str) -> int:
    """Number of records that one call of `step` with these buttons hands out."""
    buttons.down = set(marks)
    return len(collector.step())


def test_it_asks_holds_and_goes_on_when_told(rig: tuple[AskingEnv, Buttons, Collector]) -> None:
    env, buttons, collector = rig
    for _ in range(3):
        assert collector.step() == []
    assert collector.prompt == REQUEST and not collector.between_episodes
    assert env.actions == [] and env.holds == 1
    press(collector, buttons, READY)
    assert collector.prompt == "" and env.confirms == 1
    assert env.looks == 1, "what the person moved is seen before the first action"
    records = [r for _ in range(2) for r in collector.step()]
    assert [r.step_index for r in records] == [0, 1, 2]
    assert collector.env_steps == 3


def test_it_goes_on_by_itself_once_nothing_is_wanted(rig: tuple[AskingEnv, Buttons, Collector]) -> None:
    env, _, collector = rig
    collector.step()
    env.request = ""
    collector.step()
    assert collector.env_steps == 1 and env.confirms == 0 and env.looks == 1


def test_pause_and_end_work_meanwhile(rig: tuple[AskingEnv, Buttons, Collector]) -> None:
    env, buttons, collector = rig
    collector.step()
    press(collector, buttons, PAUSE)
    assert collector.paused and collector.prompt == REQUEST
    press(collector, buttons, READY)
    assert collector.env_steps == 0 and collector.prompt == "", "done, but the arm is to stand still"
    press(collector, buttons, PAUSE)
    collector.step()
    assert collector.env_steps >= 1
    while not collector.between_episodes:
        collector.step()
    collector.step()
    assert collector.prompt == REQUEST
    assert press(collector, buttons, END) == 0
    assert collector.ended and collector.between_episodes and env.episode == 1


def test_abort_begins_anew_and_a_verdict_about_nothing_is_ignored(rig: tuple[AskingEnv, Buttons, Collector]) -> None:
    env, buttons, collector = rig
    collector.step()
    for mark in (SUCCESS, FAILURE):
        press(collector, buttons, mark)
        assert collector.prompt == REQUEST and env.episode == 0
    press(collector, buttons, ABORT)
    assert collector.prompt == ""
    collector.step()
    assert collector.prompt == REQUEST and env.episode == 1


def test_ready_in_the_middle_of_an_episode_changes_nothing(rig: tuple[AskingEnv, Buttons, Collector]) -> None:
    env, buttons, collector = rig
    press(collector, buttons, READY)
    assert env.confirms == 0 or collector.prompt == ""
    collector.step()
    if collector.prompt:
        press(collector, buttons, READY)
    before = collector.env_steps
    confirms = env.confirms
    press(collector, buttons, READY)
    assert collector.env_steps == before + 1 and env.confirms == confirms


def test_a_reset_that_fails_again_is_a_bad_episode(rig: tuple[AskingEnv, Buttons, Collector]) -> None:
    env, _, collector = rig
    collector.step()
    env.fails = True
    assert collector.step() == []
    assert collector.bad_episodes == 1 and "30 mm" in collector.last_problem and collector.prompt == ""


def test_nobody_asks_where_nothing_is_wanted() -> None:
    env = PointEnv(limit=3)
    collector = Collector(env, Constant(0.0), ActingConfig(seed=3, episode_prefix="run-a0"))
    collector.step()
    assert collector.prompt == "" and env.holds == 0 and collector.env_steps == 1
    assert np.allclose(env.actions[0], 0.0)


def test_on_the_simulated_cell_from_the_request_to_the_first_step() -> None:
    env = make_env("PickCube", reset_by="person", episode_steps=5)
    buttons = Buttons()
    config = ActingConfig(seed=3, episode_prefix="run-a0")
    collector = Collector(Paced(env, sleep=lambda s: None), Constant(0.0), config, make_teleop=keep_open(buttons))
    try:
        collector.step()
        assert collector.prompt.startswith("Put the cube") and collector.env_steps == 0
        press(collector, buttons, READY)
        records = [r for _ in range(4) for r in collector.step()]
        assert collector.prompt == "" and collector.env_steps == 5
        place = env.state_spec.unpack(records[0].obs.state)["cube_height"]
        assert abs(float(place[0])) < 1e-3, "the first observation shows the cube on the table"
        collector.step()
        assert collector.prompt == "", "it still lies in the square, so nobody is asked again"
    finally:
        collector.close()
        env.close()
