"""Key, finger and pointer in a real browser, through the door, to the device that the robot follows."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("viser", reason="needs the extra console")

import viser

from robot_rl.console.browser import BrowserTeleop
from robot_rl.console.door import Door
from robot_rl.console.front import PAUSED, YOU, Front
from robot_rl.hardware.takeover import LOST, TakeOver
from tests.console.chromium import launched, open_console, until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TOKEN = "open sesame"


class House:
    """A console with an empty view."""

    def __init__(self, token: str | None = None) -> None:
        self.viewer = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
        self.viewer.on_client_connect(_mark)
        self.typed: list[str] = []
        self.text = self.viewer.gui.add_text("a field", "")
        self.text.on_update(lambda event: self.typed.append(event.target.value))
        self.teleop = BrowserTeleop()
        self.take_over = TakeOver(self.teleop)
        self.front = Front(self.teleop)
        self.door = Door(self.viewer.get_port(), self.front, port=0, token=token)

    def close(self) -> None:
        self.door.close()
        self.viewer.stop()


def _mark(client: viser.ClientHandle) -> None:
    client.gui.add_html(f'<span data-rrl-client="{client.client_id}"></span>')


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    house.close()


def take(page: Page) -> None:
    page.get_by_role("button", name="Take charge").click()
    page.wait_for_selector("#rrl .who:text('you are in charge')")


def test_a_key_moves_and_stops(browser: Browser, house: House) -> None:
    page = open_console(browser, house.door.url)
    page.keyboard.down("w")
    page.keyboard.up("w")
    take(page)
    assert not house.teleop.read().engaged
    page.keyboard.down("w")
    page.keyboard.down("ArrowUp")
    until(page, lambda: np.count_nonzero(house.teleop.read().twist_tcp) == 2)
    page.wait_for_timeout(500)
    assert house.teleop.read().age_s < 0.25
    page.keyboard.up("w")
    page.keyboard.up("ArrowUp")
    until(page, lambda: not house.teleop.read().engaged)
    page.keyboard.press("1")
    until(page, lambda: "success" in house.teleop.read().buttons)
    page.context.close()


@pytest.mark.slow
def test_keys_are_the_pages_own_again_without_the_chair(browser: Browser, house: House) -> None:
    """While somebody is in charge, neither the view nor the browser takes a key from the robot."""
    page = open_console(browser, house.door.url)
    page.evaluate("() => { window.heard = []; addEventListener('keydown', (e) => heard.push(e.key)); }")
    page.keyboard.press("w")
    take(page)
    for key in ("w", "Space", "Tab", "Backspace", "Control+d", "Control+k"):
        page.keyboard.press(key)
    page.get_by_role("button", name="Leave the chair").click()
    page.wait_for_selector("#rrl .who:text('nobody is in charge')")
    page.keyboard.press("q")
    assert [key for key in page.evaluate("() => heard") if key != "Control"] == ["w", "q"]
    page.context.close()


def test_what_is_typed_into_a_field_moves_nothing(browser: Browser, house: House) -> None:
    page = open_console(browser, house.door.url)
    take(page)
    page.keyboard.down("w")
    until(page, lambda: house.teleop.read().engaged)
    page.get_by_role("textbox").first.click()
    until(page, lambda: not house.teleop.read().engaged)
    page.keyboard.up("w")
    page.keyboard.type("was")
    until(page, lambda: house.typed and house.typed[-1] == "was")
    assert not house.teleop.read().engaged
    page.context.close()


@pytest.mark.slow
def test_a_page_that_is_left_lets_go(browser: Browser, house: House) -> None:
    page = open_console(browser, house.door.url)
    take(page)
    page.keyboard.down("w")
    until(page, lambda: house.teleop.read().engaged)
    page.evaluate("() => window.dispatchEvent(new Event('blur'))")
    until(page, lambda: not house.teleop.read().engaged)
    page.context.close()


@pytest.mark.slow
def test_the_arm_is_held_when_the_page_dies_in_a_take_over(browser: Browser, house: House) -> None:
    page, other = open_console(browser, house.door.url), open_console(browser, house.door.url)
    take(page)
    page.keyboard.down("w")
    until(page, lambda: house.take_over.read().engaged)
    page.context.close()
    until(other, lambda: LOST in house.take_over.read().buttons)
    other.wait_for_selector("#rrl .who:text('has lost the connection')")
    state = house.take_over.read()
    assert state.engaged
    assert not state.twist_tcp.any()
    take(other)
    until(other, lambda: not house.take_over.read().engaged)
    other.context.close()


@pytest.mark.slow
def test_the_arm_is_held_while_the_page_hangs(browser: Browser, house: House) -> None:
    """Its connection is there, and it would not notice that a key goes up."""
    page = open_console(browser, house.door.url)
    take(page)
    page.keyboard.down("w")
    until(page, lambda: house.take_over.read().engaged)
    page.evaluate("() => setTimeout(() => { const t = performance.now(); while (performance.now() < t + 2000); }, 0)")
    until(page, lambda: LOST in house.take_over.read().buttons)
    until(page, lambda: house.take_over.read().twist_tcp.any())  # the key is down still
    page.context.close()


@pytest.mark.slow
def test_who_loads_the_page_anew_is_in_charge_still(browser: Browser, house: House) -> None:
    page = open_console(browser, house.door.url)
    take(page)
    page.keyboard.down("w")
    until(page, lambda: house.take_over.read().engaged)
    page.reload()
    page.wait_for_selector("#rrl .who:text('you are in charge')")
    until(page, lambda: not house.take_over.read().engaged)
    page.keyboard.up("w")
    page.keyboard.down("w")
    until(page, lambda: house.take_over.read().engaged)
    page.context.close()


@pytest.mark.slow
def test_a_door_that_comes_back(browser: Browser, house: House) -> None:
    page = open_console(browser, house.door.url)
    port = house.door.port
    house.door.close()
    page.wait_for_selector("#rrl[data-tone=lost] .state:text('CONNECTION LOST')")
    house.door = Door(house.viewer.get_port(), house.front, port=port)
    page.wait_for_selector("#rrl[data-tone=calm] .state:text('no cell runs')")
    page.context.close()


@pytest.mark.slow
def test_a_hand_over_between_two(browser: Browser, house: House) -> None:
    one, two = open_console(browser, house.door.url), open_console(browser, house.door.url)
    take(one)
    two.on("dialog", lambda dialog: dialog.accept("Bea"))
    two.locator("#rrl .name").click()
    two.wait_for_selector("#rrl .name:text('Bea')")
    two.get_by_role("button", name="Ask for it").click()
    one.get_by_role("button", name="Hand over to Bea").click()
    two.wait_for_selector("#rrl .who:text('you are in charge')")
    one.wait_for_selector("#rrl .who:text('Bea is in charge')")
    one.keyboard.down("w")
    two.keyboard.down("s")
    until(two, lambda: house.teleop.read().twist_tcp[0] < 0.0)
    house.front.show(YOU, "put the peg upright", taken=True)
    one.wait_for_selector("#rrl .state:text('the arm follows Bea')")
    two.wait_for_selector("#rrl[data-tone=you] .prompt:text('put the peg upright')")
    house.front.show(PAUSED)
    two.wait_for_selector("#rrl[data-tone=pause] .state:text('paused')")
    one.context.close()
    two.context.close()


def test_fingers_on_a_tablet(browser: Browser, house: House) -> None:
    page = open_console(browser, house.door.url, width=1024, height=768, touch=True)
    page.get_by_role("button", name="Take charge").tap()
    forward = page.locator("#rrl .pad button[data-key=w]")
    forward.wait_for()
    edges = "() => ['#root', '#rrl .line'].map((name) => document.querySelector(name).getBoundingClientRect())"
    root, line = page.evaluate(edges)
    assert root["bottom"] <= line["top"] + 1.0  # the bar hides nothing
    box = forward.bounding_box()
    assert box is not None
    session = page.context.new_cdp_session(page)
    at = [{"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}]
    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": at})
    until(page, lambda: house.teleop.read().twist_tcp[0] > 0.0)
    page.wait_for_timeout(400)
    assert house.teleop.read().engaged
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    until(page, lambda: not house.teleop.read().engaged)
    page.context.close()


@pytest.mark.slow
def test_a_held_button_of_the_view_jogs_until_it_is_let_go_of(browser: Browser, house: House) -> None:
    button = house.viewer.gui.add_button("Forward")
    button.on_hold(lambda event: house.teleop.jog(event.client_id, 0, 1.0), callback_hz=20.0)
    page = open_console(browser, house.door.url)
    take(page)
    page.get_by_role("button", name="Forward").hover()
    page.mouse.down()
    until(page, lambda: house.teleop.read().twist_tcp[0] > 0.0)
    page.wait_for_timeout(500)
    assert house.teleop.read().engaged
    page.mouse.up()
    until(page, lambda: not house.teleop.read().engaged)
    page.context.close()


@pytest.mark.slow
def test_the_login(browser: Browser) -> None:
    house = House(TOKEN)
    page = browser.new_page()
    try:
        page.goto(house.door.url)
        page.get_by_label("Token").fill("guess")
        page.get_by_role("button").click()
        page.get_by_text("That is not the token.").wait_for()
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button").click()
        page.wait_for_selector("#rrl .name:not(:empty)", timeout=30_000)
        assert page.evaluate("() => document.cookie") == ""
        take(page)
    finally:
        page.close()
        house.close()
    assert not [t for t in threading.enumerate() if t.name == "console-door"]
