"""Two clips to compare, in a real browser: who sees them, who answers, by which hand."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("viser", reason="needs the extra console")

import viser

from robot_rl.console.app import mark_page
from robot_rl.console.browser import BrowserTeleop
from robot_rl.console.door import Door
from robot_rl.console.front import Front
from robot_rl.console.panel_preferences import PreferencesPanel
from robot_rl.console.questions import Questions
from robot_rl.rewards.preferences import PreferenceStore
from tests.console.asking import PAIRS, asking, turned
from tests.console.chromium import launched, open_console, until

if TYPE_CHECKING:
    from playwright.sync_api import Page

PATIENCE_S = 60.0


class House:
    """A console with an empty view and two tabs."""

    def __init__(self, folder: Path) -> None:
        self.viewer = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
        self.viewer.on_client_connect(mark_page)
        self.viewer.gui.main_panel.dock_right()
        self.teleop, self.questions = BrowserTeleop(), Questions()
        self.front = Front(self.teleop, say=self.questions.say)
        tabs = self.viewer.gui.add_tab_group()
        with tabs.add_tab("Live"):
            self.viewer.gui.add_markdown("the cell")
        with tabs.add_tab("Preferences"):
            self.panel = PreferencesPanel(self.viewer.gui, folder, self.questions, lambda client: True)
        self.door = Door(self.viewer.get_port(), self.front, port=0)

    def close(self) -> None:
        self.door.close()
        self.questions.close()
        self.viewer.stop()


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    with tempfile.TemporaryDirectory(prefix="rrl") as short:  # the names of sockets are
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        house = House(tmp_path)
        yield house
        house.close()


def test_the_one_in_charge_compares_by_keys_and_buttons(house: House, tmp_path: Path) -> None:
    with asking(tmp_path / "prefs") as store, launched() as browser:
        page = open_console(browser, house.door.url)

        def see(condition: Callable[[], Any]) -> None:
            def turn() -> Any:
                house.panel.turn()
                return condition()

            until(page, turn, PATIENCE_S)

        see(lambda: house.questions.asked)
        page.keyboard.press("v")
        page.get_by_role("tab", name="Preferences").click()
        page.wait_for_selector(".rrlq[data-rrl-may=no]")
        assert page.get_by_text("Whoever is in charge answers.").is_visible()
        page.get_by_role("button", name="The left one").click()
        page.get_by_role("button", name="Take charge").click()
        page.wait_for_selector(".rrlq[data-rrl-may=yes]")
        assert not store.labelled, "whoever only looks on does not answer"
        lies_beside_the_panel(page)
        page.keyboard.press("n")
        see(lambda: len(store.labelled) == 1 and page.locator(".rrlq", has_text="1 of 6").count())
        page.get_by_role("button", name="About the same").click()
        see(lambda: len(store.labelled) == 2 and page.locator(".rrlq", has_text="2 of 6").count())
        page.keyboard.press("u")
        see(lambda: len(store.labelled) == 3 and page.locator(".rrlq", has_text="1 of 6").count())
        page.get_by_role("tab", name="Live").click()
        page.locator(".rrlq").wait_for(state="hidden")
        page.keyboard.press("v")
        page.keyboard.press("1")
        until(page, lambda: "success" in house.teleop.read().buttons)
        page.wait_for_timeout(500)
        check(store)


def lies_beside_the_panel(page: Page) -> None:
    """Over the view, not over the panel or the bar, with both clips in sight."""
    edges = "(name) => document.querySelector(name).getBoundingClientRect().toJSON()"
    question, bar = page.evaluate(edges, ".rrlq"), page.evaluate(edges, "#rrl .line")
    panel = page.get_by_role("tab", name="Preferences").bounding_box()
    assert panel is not None
    assert question["right"] <= panel["x"] and question["bottom"] <= bar["top"] + 1.0
    for k in range(2):
        clip = page.locator(".rrlq img").nth(k).bounding_box()
        assert clip is not None and clip["width"] > 100 and clip["height"] > 100
        assert clip["y"] + clip["height"] < question["bottom"]


def check(store: PreferenceStore) -> None:
    """What was pressed, by whom; what was pressed out of sight of the question is not there."""
    outcomes = [x.answer.outcome for x in store.labelled]
    assert outcomes == ["first" if turned(PAIRS[0]) else "second", "equal", "withdrawn"]
    assert all(x.by.startswith("person:operator") for x in store.labelled)
