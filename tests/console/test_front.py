"""Desk, device and bars together."""

from __future__ import annotations

import pytest

from robot_rl.console.browser import BrowserTeleop
from robot_rl.console.desk import FREE_AFTER_S
from robot_rl.console.door_messages import Act, Bar, Hands, Hello
from robot_rl.console.front import ASK, DECLINE, HAND_OVER, HELD, PAUSED, RELEASE, SAY, TAKE, YOU, Front
from robot_rl.hardware.keyboard.table import TABLE, USE_OF
from tests.console.clock import Clock

ANN, BOB = 3, 4


class House:
    """A front with two who have come."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.teleop = BrowserTeleop(now_s=self.clock)
        self.said: list[tuple[str, str, str]] = []
        self.front = Front(self.teleop, self.clock, lambda *said: self.said.append(said))
        self.come(ANN, "ann")
        self.come(BOB, "bob")

    def come(self, client: int, name: str) -> None:
        self.front.hello(Hello(client, name, f"tab of {name}"))

    def act(self, client: int, what: str) -> Bar:
        self.front.act(client, Act(what))
        return self.bar(client)

    def bar(self, client: int) -> Bar:
        return self.front.bars()[client]

    def hold(self, client: int, *keys: str) -> None:
        self.front.hands(client, Hands(0, keys, False, 0.0))


@pytest.fixture
def house() -> House:
    return House()


def test_taking_and_releasing(house: House) -> None:
    bar = house.bar(ANN)
    assert (bar.name, bar.you, bar.who, bar.state) == (
        "ann",
        False,
        "nobody is in charge",
        "no cell runs",
    )
    assert bar.offers == ((TAKE, "Take charge"),)
    house.hold(ANN, "w")
    assert not house.teleop.read().engaged
    assert house.act(ANN, TAKE).you
    house.hold(ANN, "w")
    assert house.teleop.read().engaged
    assert house.bar(BOB).who == "ann is in charge"
    assert house.act(ANN, RELEASE).who == "nobody is in charge"
    assert not house.teleop.read().engaged


def test_an_explicit_hand_over(house: House) -> None:
    house.act(ANN, TAKE)
    assert house.act(BOB, TAKE).offers == ((ASK, "Ask for it"),)
    assert house.act(BOB, ASK).offers == ()
    bar = house.bar(ANN)
    assert bar.who == "bob asks for the robot"
    assert bar.offers == ((f"{HAND_OVER}:{BOB}", "Hand over to bob"), (DECLINE, "Not now"))
    assert house.act(ANN, DECLINE).offers == ((RELEASE, "Leave the chair"),)
    house.act(BOB, ASK)
    house.hold(ANN, "w")
    house.act(BOB, f"{HAND_OVER}:{BOB}")
    assert not house.bar(BOB).you
    house.act(ANN, f"{HAND_OVER}:{BOB}")
    assert house.bar(BOB).you
    assert not house.teleop.read().engaged
    house.hold(ANN, "w")
    assert not house.teleop.read().engaged


@pytest.mark.parametrize("what", ["", "dance", HAND_OVER, f"{HAND_OVER}:", f"{HAND_OVER}:x", f"{HAND_OVER}:99"])
def test_what_cannot_be_done_is_not_done(house: House, what: str) -> None:
    house.act(ANN, TAKE)
    assert house.act(ANN, what).you


def test_what_the_arm_does(house: House) -> None:
    house.act(ANN, TAKE)
    house.front.show(YOU, "put the peg upright", taken=True)
    assert (house.bar(ANN).state, house.bar(ANN).tone) == ("the arm follows you", "you")
    assert (house.bar(BOB).state, house.bar(BOB).tone) == ("the arm follows ann", "calm")
    assert house.bar(BOB).prompt == "put the peg upright"
    house.front.show(PAUSED)
    assert (house.bar(BOB).state, house.bar(BOB).tone, house.bar(BOB).prompt) == ("paused", "pause", "")
    house.front.show(HELD)
    assert house.bar(BOB).tone == "held"


def test_only_the_one_in_charge_answers_a_question(house: House) -> None:
    house.act(ANN, f"{SAY}:ab-1:left")
    house.act(ANN, TAKE)
    house.act(BOB, f"{SAY}:ab-1:left")
    assert not house.said
    house.act(ANN, f"{SAY}:ab-1:right")
    assert house.said == [("ab-1", "right", "ann")]
    assert house.act(ANN, SAY).you
    house.front.gone(ANN)
    house.front.act(ANN, Act(f"{SAY}:ab-2:left"))
    assert [said[0] for said in house.said] == ["ab-1", ""]


def test_a_notice_stands_back_for_what_is_more_urgent(house: House) -> None:
    house.front.notice = "two clips wait"
    assert house.bar(BOB).prompt == "two clips wait"
    house.front.show(YOU, "put the peg upright")
    assert house.bar(BOB).prompt == "put the peg upright"


def test_who_vanishes_with_a_key_down_is_waited_for(house: House) -> None:
    house.act(ANN, TAKE)
    house.hold(ANN, "w")
    house.front.gone(ANN)
    house.clock.t_s += 10 * FREE_AFTER_S
    assert house.bar(BOB).who == "ann is in charge and has lost the connection"
    assert house.teleop.read().age_s == 10 * FREE_AFTER_S
    house.come(7, "ann")
    assert house.bar(7).you
    assert house.teleop.read().age_s == 0.0
    assert not house.teleop.read().engaged


def test_who_vanishes_in_a_take_over_with_resting_hands_is_waited_for(house: House) -> None:
    house.act(ANN, TAKE)
    house.front.show(YOU, taken=True)
    house.front.gone(ANN)
    house.clock.t_s += 10 * FREE_AFTER_S
    bar = house.bar(BOB)
    assert (bar.tone, bar.state) == ("held", "HELD: the arm waits for its operator")
    assert house.act(BOB, TAKE).you
    assert house.teleop.read().age_s == 0.0


def test_who_vanishes_at_rest_is_not_waited_for_long(house: House) -> None:
    house.act(ANN, TAKE)
    house.front.gone(ANN)
    house.clock.t_s += FREE_AFTER_S
    assert house.bar(BOB).who == "nobody is in charge"
    assert house.teleop.read().age_s == 0.0


def test_what_is_changed_at_the_desk_itself_counts(house: House) -> None:
    house.front.desk.take(BOB)
    house.front.seated()
    house.hold(BOB, "w")
    assert house.teleop.read().engaged


def test_a_guest_without_a_name_gets_one(house: House) -> None:
    house.front.hello(Hello(9, "", "new"))
    assert house.bar(9).name == "operator 9"


def test_every_key_of_the_table_can_be_sent(house: House) -> None:
    assert set(house.front.keys.values()) == {use.does for use in TABLE}
    assert len(house.front.keys) == len(USE_OF)
    house.act(ANN, TAKE)
    for key in house.front.keys:
        house.hold(ANN, key)
        house.clock.t_s += 0.01
        house.hold(ANN)
    said = {use.says for use in TABLE if use.says} - {"open", "close", "faster", "slower"}
    assert house.teleop.read().buttons == said
    house.hold(ANN, "pageup")
    assert house.teleop.read().twist_tcp[2] < 0.0
