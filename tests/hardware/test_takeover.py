"""When the robot is the operator's, over any history of any devices."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from robot_rl.core.errors import ConfigError
from robot_rl.core.protocols import Teleop
from robot_rl.core.types import TeleopState
from robot_rl.hardware.takeover import ENGAGE, LOST, Mode, Several, TakeOver
from robot_rl.testing import TeleopContract

LOST_S, RELEASE_S = 0.5, 0.3


@dataclass
class Scripted:
    """Says what the test wants."""

    state: TeleopState = field(default_factory=TeleopState)
    closed: int = 0
    breaks: bool = False

    def read(self) -> TeleopState:
        return self.state

    def close(self) -> None:
        self.closed += 1
        if self.breaks:
            raise OSError("gone")


class Clock:
    t_s = 100.0

    def __call__(self) -> float:
        return self.t_s


PUSHED = TeleopState(engaged=True, twist_tcp=np.full(6, 0.5), gripper=1.0)
REST = TeleopState()
SUCCESS = TeleopState(buttons=frozenset({"success"}))
PRESS = TeleopState(buttons=frozenset({ENGAGE}))


class Person:
    """A device, its take-over, and steps of an eighth of a second."""

    def __init__(self, mode: Mode = "hold") -> None:
        self.device, self.clock = Scripted(), Clock()
        self.takeover = TakeOver(self.device, mode, LOST_S, RELEASE_S, now_s=self.clock)

    def step(self, state: TeleopState, passed_s: float = 0.125) -> TeleopState:
        self.clock.t_s += passed_s
        self.device.state = state
        return self.takeover.read()

    def vanish(self, age_s: float) -> TeleopState:
        """The step after the device was last heard."""
        return self.step(TeleopState(age_s=age_s))


class TestTakeOver(TeleopContract):
    def make(self) -> Teleop:
        return TakeOver(Scripted(PUSHED))


class TestSeveral(TeleopContract):
    def make(self) -> Teleop:
        return Several([TakeOver(Scripted()), TakeOver(Scripted(PUSHED))])


def is_still(state: TeleopState) -> bool:
    return not state.twist_tcp.any() and state.gripper == 0.0


def test_the_robot_stands_still_before_it_is_handed_back() -> None:
    person = Person()
    assert person.step(PUSHED).twist_tcp.any()
    for _ in range(3):
        resting = person.step(REST)
        assert resting.engaged
        assert is_still(resting)
    assert not person.step(REST).engaged


def test_a_pause_of_the_fingers_ends_nothing() -> None:
    person = Person()
    for state in (PUSHED, REST, REST, PUSHED, REST, REST, PUSHED):
        assert person.step(state).engaged


def test_nobody_takes_over_by_pressing_success() -> None:
    person = Person()
    state = person.step(SUCCESS)
    assert not state.engaged
    assert state.buttons == {"success"}


@pytest.mark.parametrize("first_age_s", [0.05, 0.3])
def test_a_device_that_vanishes_holds_the_robot(first_age_s: float) -> None:
    """Between its last word and the moment at which it counts as lost, it has not been seen to be let go of."""
    person = Person()
    person.step(PUSHED)
    for i in range(100):
        state = person.vanish(first_age_s + 0.1 * i)
        assert state.engaged
        assert is_still(state)
        assert (LOST in state.buttons) == (state.age_s > LOST_S)


def test_a_device_that_comes_back_at_rest_hands_back_after_a_moment() -> None:
    person = Person()
    person.step(PUSHED)
    assert LOST in person.vanish(1.0).buttons
    back = person.step(REST)
    assert back.engaged
    assert LOST not in back.buttons
    ended = [person.step(REST).engaged for _ in range(4)]
    assert ended == [True, True, False, False]


def test_a_device_that_vanishes_at_rest_holds_nobody() -> None:
    person = Person()
    person.step(REST)
    state = person.vanish(1.0)
    assert not state.engaged
    assert LOST not in state.buttons


def test_nobody_takes_over_with_a_device_that_is_gone() -> None:
    assert not Person().step(replace(PUSHED, age_s=1.0)).engaged
    assert not Person().step(replace(PUSHED, age_s=float("nan"))).engaged


def test_a_latch_toggles_once_a_press() -> None:
    person = Person("latch")
    assert not person.step(PUSHED).engaged
    assert is_still(person.step(PUSHED))
    states = [person.step(s).engaged for s in (PRESS, PRESS, REST, PUSHED, REST, PRESS, REST, PUSHED)]
    assert states == [True, True, True, True, True, False, False, False]


def test_a_latch_lasts_through_a_loss() -> None:
    person = Person("latch")
    person.step(PRESS)
    lost = person.vanish(1.0)
    assert lost.engaged
    assert LOST in lost.buttons
    assert person.step(PUSHED).twist_tcp.any()


def test_a_program_in_a_persons_place_stays_known_as_one() -> None:
    person = Person()
    assert person.step(replace(PUSHED, stand_in=True)).stand_in
    assert person.step(replace(REST, stand_in=True)).stand_in
    assert Several([Scripted(replace(PUSHED, stand_in=True))]).read().stand_in


def test_a_loss_is_passed_on() -> None:
    """From the device, through its own take-over, to one that reads it from another process."""
    state = TakeOver(Scripted(replace(PUSHED, buttons=frozenset({LOST})))).read()
    assert state.engaged
    assert is_still(state)
    assert state.buttons == {LOST}


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="hold, latch"):
        TakeOver(Scripted(), "both")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="release_s is 0"):
        TakeOver(Scripted(), release_s=0.0)
    with pytest.raises(ConfigError, match="at least one"):
        Several([])


def test_the_first_that_engages_has_it_until_it_lets_go() -> None:
    left, right = Scripted(), Scripted()
    both = Several([left, right])
    right.state = PUSHED
    assert (both.read().twist_tcp == 0.5).all()
    left.state = replace(PUSHED, twist_tcp=np.full(6, -1.0), buttons=frozenset({"pause"}))
    state = both.read()
    assert (state.twist_tcp == 0.5).all(), "the second waits"
    assert state.buttons == {"pause"}, "and may still say something"
    right.state = SUCCESS
    state = both.read()
    assert (state.twist_tcp == -1.0).all()
    assert state.buttons == {"pause", "success"}


def test_age_of_several() -> None:
    old, young = Scripted(TeleopState(age_s=3.0)), Scripted(TeleopState(age_s=0.1))
    both = Several([old, young])
    assert both.read().age_s == 0.1
    old.state = replace(PUSHED, age_s=3.0)
    assert both.read().age_s == 3.0


def test_another_device_says_what_the_lost_one_cannot() -> None:
    mouse, keyboard, clock = Scripted(), Scripted(), Clock()
    both = Several([TakeOver(mouse, now_s=clock), TakeOver(keyboard, now_s=clock)])
    mouse.state = PUSHED
    both.read()
    clock.t_s += 1.0
    mouse.state, keyboard.state = TeleopState(age_s=1.0), replace(PUSHED, buttons=frozenset({"abort"}))
    state = both.read()
    assert state.engaged
    assert is_still(state)
    assert state.buttons == {LOST, "abort"}


def test_all_are_closed_even_if_one_breaks() -> None:
    devices = [Scripted(), Scripted(breaks=True), Scripted()]
    with pytest.raises(OSError, match="gone"):
        Several([TakeOver(d) for d in devices]).close()
    assert [d.closed for d in devices] == [1, 1, 1]


ages = st.one_of(st.floats(0.0, 0.2), st.floats(0.0, 5.0), st.just(float("inf")))
readings = st.builds(
    TeleopState,
    engaged=st.booleans(),
    twist_tcp=arrays(np.float64, 6, elements=st.floats(-1.0, 1.0)),
    gripper=st.sampled_from([-1.0, 0.0, 1.0]),
    buttons=st.frozensets(st.sampled_from(["success", ENGAGE, LOST])),
    age_s=ages,
)
histories = st.lists(st.tuples(st.floats(0.001, 1.0), readings), min_size=1, max_size=40)
modes = st.sampled_from(["hold", "latch"])


@given(histories, modes)
def test_nothing_moves_by_a_lost_device_or_without_a_take_over(
    history: list[tuple[float, TeleopState]], mode: Mode
) -> None:
    person, before = Person(mode), TeleopState()
    for passed_s, given_state in history:
        state = person.step(given_state, passed_s)
        gone = given_state.age_s > LOST_S
        told = LOST in given_state.buttons
        if gone or told or not state.engaged:
            assert is_still(state)
        assert (LOST in state.buttons) == (state.engaged and (gone or told))
        assert state.buttons - {LOST} == given_state.buttons - {LOST}
        assert state.age_s == given_state.age_s
        if not is_still(state):
            np.testing.assert_array_equal(state.twist_tcp, given_state.twist_tcp)
        if mode == "hold":
            if gone:
                assert state.engaged == before.engaged, "a loss neither begins nor ends a take-over"
            elif given_state.engaged:
                assert state.engaged
            elif not before.engaged:
                assert not state.engaged, "only a hand on the device begins one"
        before = state


@given(histories)
def test_the_robot_is_handed_back_only_by_a_device_seen_at_rest(history: list[tuple[float, TeleopState]]) -> None:
    person, before = Person(), TeleopState()
    rests_s: list[float] = []
    for passed_s, given_state in history:
        state = person.step(given_state, passed_s)
        if given_state.engaged or given_state.age_s > LOST_S:
            rests_s.clear()
        else:
            rests_s.append(person.clock.t_s - given_state.age_s)
        if before.engaged and not state.engaged:
            assert rests_s[-1] - rests_s[0] >= RELEASE_S
        before = state


@given(st.lists(st.tuples(readings, readings, readings), min_size=1, max_size=40))
def test_one_at_a_time(history: list[tuple[TeleopState, ...]]) -> None:
    devices = [Scripted() for _ in range(3)]
    several, owner = Several(devices), None
    for states in history:
        for device, state in zip(devices, states, strict=True):
            device.state = state
        seen = several.read()
        assert seen.engaged == any(s.engaged for s in states)
        assert seen.buttons == states[0].buttons | states[1].buttons | states[2].buttons
        if owner is not None and states[owner].engaged:
            assert seen.twist_tcp is states[owner].twist_tcp, "it was not let go of"
        elif seen.engaged:
            owner = next(i for i, s in enumerate(states) if s.twist_tcp is seen.twist_tcp)
            assert owner == min(i for i, s in enumerate(states) if s.engaged)
        else:
            owner = None
            assert is_still(seen)
