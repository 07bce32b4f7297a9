"""Buttons for what an operator says about an episode."""

from __future__ import annotations

from collections.abc import Callable

import viser

from robot_rl.console.browser import BrowserTeleop
from robot_rl.core.marks import ABORT, DISCARD, END, FAILURE, PAUSE, READY, SUCCESS

MARK_BUTTONS: tuple[tuple[str, str, viser.IconName, str], ...] = (
    (SUCCESS, "Success", viser.Icon.CHECK, "green"),
    (FAILURE, "Failure", viser.Icon.X, "red"),
    (PAUSE, "Pause / go on", viser.Icon.PLAYER_PAUSE, "yellow"),
    (READY, "Ready", viser.Icon.THUMB_UP, "blue"),
    (ABORT, "Start over", viser.Icon.ROTATE, "gray"),
    (DISCARD, "Discard", viser.Icon.TRASH, "gray"),
    (END, "End the recording", viser.Icon.PLAYER_STOP, "gray"),
)


class MarksPanel:
    """Puts its buttons where the gui is open; only those of the one in charge count.

    Args:
        gui: of the viser server.
        device: that reports them.
    """

    def __init__(self, gui: viser.GuiApi, device: BrowserTeleop) -> None:
        self._device = device
        self._buttons = {}
        for mark, label, icon, color in MARK_BUTTONS:
            button = gui.add_button(label, icon=icon, color=color)  # type: ignore[arg-type]
            button.on_click(self._press(mark))
            self._buttons[mark] = button
        self.show(records=False, prompts=False)

    def show(self, *, records: bool, prompts: bool) -> None:
        """Offer what fits.

        Args:
            records: demonstrations are recorded, which the button `END` ends.
            prompts: a person is asked to do something.
        """
        for mark, wanted in ((END, records), (READY, prompts)):
            if self._buttons[mark].visible != wanted:
                self._buttons[mark].visible = wanted

    def _press(self, mark: str) -> Callable[[viser.GuiEvent[viser.GuiButtonHandle]], None]:
        def press(event: viser.GuiEvent[viser.GuiButtonHandle]) -> None:
            if event.client_id is not None:
                self._device.press(event.client_id, mark)

        return press
