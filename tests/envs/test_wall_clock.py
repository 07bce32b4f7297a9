"""The environment where time passes by itself: ticks, lateness, waits in mid-episode, faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_rl.core.errors import DataError
from robot_rl.core.protocols import Clock
from robot_rl.core.specs import GRIPPER
from robot_rl.envs import make_env
from robot_rl.testing import ClockContract
from tests.envs.wall_cell import ScriptedTime, WallClock, WallEnv, make_wall_env

STILL = np.zeros(7, np.float32)
AHEAD = np.array([1, 0, 0, 0, 0, 0, 0], np.float32)


@pytest.fixture
def when() -> ScriptedTime:
    return ScriptedTime()


@pytest.fixture
def env(when: ScriptedTime) -> Iterator[WallEnv]:
    env = make_wall_env("PickCube", when)
    yield env
    env.close()


class TestWallClock(ClockContract):
    def make(self) -> Clock:
        self.env = make_wall_env()
        assert isinstance(self.env.cell.clock, WallClock)
        return self.env.cell.clock

    def release(self) -> None:
        self.env.close()


def test_ticks_lie_on_a_grid_however_late_each_step_wakes(env: WallEnv, when: ScriptedTime) -> None:
    env.reset(seed=0)
    start_s = when.now_s
    woke_s = []
    for late_s in (0.0, 0.03, 0.0, 0.049, 0.01):
        when.oversleep_s = [late_s]
        info = env.step(STILL)[4]
        assert (info["missed"], info["late_s"]) == (False, pytest.approx(late_s, abs=1e-6))
        woke_s.append(when.now_s - start_s)
    assert woke_s == pytest.approx([0.1, 0.23, 0.3, 0.449, 0.51], abs=1e-6), "lateness does not add up"
    assert info["t_control_s"] == pytest.approx(0.51, abs=1e-5)


def test_a_step_that_comes_too_late_gets_a_whole_period_from_now(env: WallEnv, when: ScriptedTime) -> None:
    env.reset(seed=0)
    env.step(STILL)
    when.now_s += 0.06
    late_s = when.now_s
    assert env.step(STILL)[4]["missed"] is True
    assert when.now_s == pytest.approx(late_s + 0.1, abs=1e-6)
    info = env.step(STILL)[4]
    assert info["missed"] is False
    assert when.now_s == pytest.approx(late_s + 0.2, abs=1e-6)


def test_half_a_period_for_thinking_is_not_too_late(env: WallEnv, when: ScriptedTime) -> None:
    env.reset(seed=0)
    env.step(STILL)
    tick_s = when.now_s
    when.now_s += 0.049
    assert env.step(STILL)[4]["missed"] is False
    assert when.now_s == pytest.approx(tick_s + 0.1, abs=1e-6)


@settings(max_examples=20)
@given(st.lists(st.tuples(st.floats(0.0, 0.4), st.floats(0.0, 0.4)), min_size=1, max_size=8))
def test_every_step_gets_half_a_period_at_least(delays_s: list[tuple[float, float]]) -> None:
    """However slow policy and computer are: no command is replaced by the next within half a period."""
    when = ScriptedTime()
    env = make_wall_env("Reach", when, hz=10.0)
    env.reset(seed=0)
    for thinking_s, oversleep_s in delays_s:
        when.now_s += thinking_s
        when.oversleep_s = [oversleep_s]
        commanded_s = when.now_s
        info = env.step(STILL)[4]
        assert 0.05 - 1e-6 <= when.now_s - oversleep_s - commanded_s <= 0.1 + 1e-6
        assert info["late_s"] == pytest.approx(oversleep_s, abs=1e-6)
    env.close()


def test_the_first_step_is_never_late(env: WallEnv, when: ScriptedTime) -> None:
    """Between a reset and the first command policies and devices get ready."""
    env.reset(seed=0)
    when.now_s += 0.15
    commanded_s = when.now_s
    info = env.step(STILL)[4]
    assert (info["missed"], info["late_s"]) == (False, 0.0)
    assert when.now_s == pytest.approx(commanded_s + 0.1, abs=1e-6)


def test_a_wait_holds_the_arm_and_is_not_a_missed_tick(env: WallEnv, when: ScriptedTime) -> None:
    env.reset(seed=0)
    for _ in range(3):
        env.step(AHEAD)
    here = env.snapshot.arm.pose_base_tcp.copy()
    env.hold()
    when.now_s += 5.0
    env.cell.clock.sleep_until(when.now_s)
    assert np.linalg.norm(env.arm.state().pose_base_tcp[:3] - here[:3]) < 0.01
    assert env.arm.calls[-1] == "hold"
    assert env.step(STILL)[4]["missed"] is False


def test_a_state_that_grew_old_ends_the_episode(env: WallEnv, when: ScriptedTime) -> None:
    env.reset(seed=0)
    stamp_s = when.now_s
    frozen = env.arm.state()
    env.arm.state = lambda: frozen  # type: ignore[method-assign]
    assert env.step(STILL)[4]["stop_reason"] == ""
    _, _, terminated, truncated, info = (env.step(STILL), env.step(STILL))[1]
    assert when.now_s - stamp_s == pytest.approx(0.3)
    assert (terminated, truncated, info["stop_reason"]) == (False, True, "stale_state")


@pytest.mark.parametrize("end", ["time_out", "fault", "success"])
def test_the_arm_holds_when_the_episode_ends(end: str) -> None:
    """A commander who falls silent is then no fault."""
    env = make_wall_env("Reach", ScriptedTime())
    env.reset(seed=0)
    if end == "success":
        env.cell.world.place("marker", env.snapshot.arm.pose_base_tcp)
    for _ in range(env.task.episode_steps):
        if end == "fault":
            env.arm.fault = "reflex"
        _, _, terminated, truncated, info = env.step(STILL)
        if terminated or truncated:
            break
    assert info["stop_reason"] == {"fault": "reflex"}.get(end, end)
    assert env.arm.calls[-1] == "hold"
    assert env.arm.calls.count("hold") == 1
    env.close()


def refuse_fault(env: WallEnv) -> None:
    env.arm.fault = "stale_command"


def refuse_gone(env: WallEnv) -> None:
    env.arm.gone = True


def refuse_gripper(env: WallEnv) -> None:
    env.gripper.gone = True


@pytest.mark.parametrize(
    ("refuse", "reason", "problem", "executed"),
    [
        (refuse_fault, "stale_command", "latched stale_command", 0.0),
        (refuse_gone, "device_error", "the arm is gone", 0.0),
        (refuse_gripper, "device_error", "the gripper is gone", 1.0),
    ],
)
def test_a_refused_command_ends_the_episode(
    env: WallEnv, refuse: Callable[[WallEnv], None], reason: str, problem: str, executed: float
) -> None:
    """What was refused does not count as executed, and the last observation is sound."""
    env.reset(seed=0)
    env.step(STILL)
    refuse(env)
    action = AHEAD.copy()
    action[GRIPPER] = -1.0
    obs, _, terminated, truncated, info = env.step(action)
    assert (terminated, truncated, info["stop_reason"]) == (False, True, reason)
    assert problem in info["problem"]
    assert info["action_executed"][0] == executed and info["action_executed"][GRIPPER] == 0.0
    assert env.observation_space.contains(obs)


def test_an_arm_that_gives_no_reading_is_a_bad_observation(env: WallEnv) -> None:
    """The episode is cut at its last good frame, as with any broken sensor."""
    env.reset(seed=0)
    env.arm.silent = True
    with pytest.raises(DataError, match="nothing was heard"):
        env.step(STILL)


def test_closing_in_mid_episode_holds_the_arm_first(when: ScriptedTime) -> None:
    env = make_wall_env("Reach", when)
    env.reset(seed=0)
    env.step(AHEAD)
    env.close()
    env.close()
    assert env.arm.calls == ["set_target", "hold"]


def test_in_lock_step_nothing_is_late_and_holding_changes_nothing() -> None:
    held, plain = make_env("PickCube"), make_env("PickCube")
    held.reset(seed=3)
    plain.reset(seed=3)
    for _ in range(5):
        held.hold()
        a, b = held.step(AHEAD), plain.step(AHEAD)
        assert a[0]["state"].tobytes() == b[0]["state"].tobytes()
        assert (a[4]["late_s"], a[4]["missed"], a[4]["problem"]) == (0.0, False, "")
    held.close()
    plain.close()


def test_resources_are_closed_after_the_cell_in_their_order() -> None:
    closed = []

    class Noted:
        def __init__(self, name: str) -> None:
            self.name = name

        def close(self) -> None:
            closed.append((self.name, env.arm.calls[-1]))

    env = make_wall_env("Reach", ScriptedTime())
    env = type(env)(env.cell, env.task, env.options, resources=(Noted("graph"), Noted("folder")))
    env.arm = env.cell.arm
    env.reset(seed=0)
    env.close()
    assert closed == [("graph", "hold"), ("folder", "hold")]
