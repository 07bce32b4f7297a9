"""One chair, and an explicit hand-over."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.console.desk import FREE_AFTER_S, Desk, Seating
from tests.console.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def desk(clock: Clock) -> Desk:
    desk = Desk(clock)
    for client, name in enumerate(("ann", "bob", "cem")):
        desk.join(client, name, f"tab of {name}")
    return desk


def test_nobody_is_in_charge_who_did_not_take_the_chair(desk: Desk) -> None:
    assert [guest.name for guest in desk.seating.guests] == ["ann", "bob", "cem"]
    assert desk.seating.holder is None
    assert desk.seating.in_charge is None


def test_the_chair_is_taken_once(desk: Desk) -> None:
    assert desk.take(1)
    assert desk.take(1)
    assert not desk.take(0)
    assert desk.seating.in_charge == 1


def test_only_who_is_there_takes_it(desk: Desk) -> None:
    assert not desk.take(7)
    assert desk.seating.holder is None


def test_asking_and_handing_over(desk: Desk) -> None:
    assert not desk.ask(1)  # there is nobody to ask: the chair is free
    desk.take(0)
    assert not desk.ask(0)
    assert desk.ask(1)
    assert not desk.ask(2)  # one question at a time
    asked_by = desk.seating.asked_by
    assert asked_by is not None
    assert asked_by.name == "bob"
    assert not desk.hand_over(1, 1)
    assert desk.hand_over(0, 1)
    assert desk.seating.in_charge == 1
    assert desk.seating.asked_by is None


def test_handing_over_to_somebody_else_leaves_the_question_for_him(desk: Desk) -> None:
    desk.take(0)
    desk.ask(1)
    assert desk.hand_over(0, 2)
    assert desk.seating.asked_by == desk.seating.guests[1]


def test_nobody_is_handed_over_to_who_is_not_there(desk: Desk) -> None:
    desk.take(0)
    assert not desk.hand_over(0, 9)
    assert desk.seating.in_charge == 0


def test_declining(desk: Desk) -> None:
    desk.take(0)
    assert not desk.decline(0)
    desk.ask(1)
    assert not desk.decline(1)
    assert desk.decline(0)
    assert desk.seating.asked_by is None
    assert desk.ask(2)


def test_releasing(desk: Desk) -> None:
    desk.take(0)
    desk.ask(1)
    assert not desk.release(1)
    assert desk.release(0)
    assert desk.seating == Seating(desk.seating.guests)
    assert not desk.release(0)


def test_who_vanishes_at_rest_keeps_the_chair_for_a_while(desk: Desk, clock: Clock) -> None:
    desk.take(0)
    desk.leave(0, engaged=False)
    assert desk.seating.away
    assert desk.seating.in_charge is None
    clock.t_s += FREE_AFTER_S - 0.01
    assert desk.seating.away
    clock.t_s += 0.02
    assert desk.seating.holder is None
    desk.join(4, "ann", "tab of ann")
    assert desk.seating.holder is None


def test_who_loads_the_page_anew_is_in_charge_still(desk: Desk, clock: Clock) -> None:
    desk.take(0)
    desk.leave(0, engaged=False)
    clock.t_s += FREE_AFTER_S / 2
    desk.join(4, "ann", "tab of ann")
    assert desk.seating.in_charge == 4
    clock.t_s += 2 * FREE_AFTER_S
    assert desk.seating.in_charge == 4


def test_who_vanishes_in_a_take_over_keeps_the_chair(desk: Desk, clock: Clock) -> None:
    desk.take(0)
    desk.leave(0, engaged=True)
    clock.t_s += 1e4
    assert desk.seating.away
    desk.join(4, "somebody", "tab of ann")
    assert desk.seating.in_charge == 4


@pytest.mark.parametrize("engaged", [False, True])
def test_a_successor_takes_the_chair_of_who_has_vanished(desk: Desk, engaged: bool) -> None:
    desk.take(0)
    desk.leave(0, engaged=engaged)
    assert not desk.ask(1)
    assert desk.take(1)
    desk.join(4, "ann", "tab of ann")
    assert desk.seating.in_charge == 1


def test_a_copy_of_a_tab_replaces_it(desk: Desk) -> None:
    desk.take(0)
    desk.join(5, "ann", "tab of ann")
    assert desk.seating.in_charge == 5
    assert [guest.client for guest in desk.seating.guests] == [1, 2, 5]


def test_a_question_goes_with_who_asked_it(desk: Desk) -> None:
    desk.take(0)
    desk.ask(1)
    desk.leave(1, engaged=True)
    assert desk.seating.asked_by is None
    assert desk.seating.in_charge == 0


def test_names_differ(desk: Desk) -> None:
    assert desk.join(4, "ann", "x").name == "ann 2"
    assert desk.join(5, "ann", "y").name == "ann 3"
    desk.take(1)
    desk.leave(1, engaged=True)
    assert desk.join(6, "bob", "z").name == "bob 2"  # he may come back
    assert desk.join(7, "bob", "tab of bob").name == "bob"


CLIENTS = st.integers(0, 3)
ACTS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["join", "leave", "vanish", "take", "ask", "decline", "release", "wait"]), CLIENTS),
        st.tuples(st.just("hand over"), CLIENTS, CLIENTS),
    ),
    max_size=40,
)


@given(ACTS)
def test_nobody_loses_the_chair_unasked(acts: list[tuple[str, int] | tuple[str, int, int]]) -> None:
    """Whoever is there and in charge stays it until he himself gives it away or vanishes."""
    clock = Clock()
    desk = Desk(clock)
    for act in acts:
        before = desk.seating
        what, client = act[0], act[1]
        do: dict[str, Callable[[], object]] = {
            "join": lambda client=client: desk.join(client, "x", str(client)),
            "leave": lambda client=client: desk.leave(client, engaged=False),
            "vanish": lambda client=client: desk.leave(client, engaged=True),
            "take": lambda client=client: desk.take(client),
            "ask": lambda client=client: desk.ask(client),
            "decline": lambda client=client: desk.decline(client),
            "release": lambda client=client: desk.release(client),
            "hand over": lambda act=act: desk.hand_over(act[1], act[-1]),
            "wait": lambda: setattr(clock, "t_s", clock.t_s + 2.0),
        }
        do[what]()
        after = desk.seating
        clients = [guest.client for guest in after.guests]
        assert len({guest.name for guest in after.guests}) == len(after.guests)
        assert after.in_charge is None or after.in_charge in clients
        assert after.asked_by is None or (after.asked_by in after.guests and after.holder is not None)
        assert after.asked_by is None or after.asked_by != after.holder
        if before.in_charge not in (None, after.in_charge):
            assert client == before.in_charge
            assert what in ("leave", "vanish", "release", "hand over")
