"""What the panel offers: entries of a list, and buttons that start and stop programs."""

from __future__ import annotations

from collections.abc import Callable

import viser

from robot_rl.core.errors import RobotRlError

Press = viser.GuiEvent[viser.GuiButtonHandle]


def offer(dropdown: viser.GuiDropdownHandle[str], options: tuple[str, ...]) -> None:
    """Offer these, which must be at least one; sent only if they are not those of before."""
    if dropdown.options != options:
        dropdown.options = options


def guarded(may: Callable[[int], bool], act: Callable[[], str]) -> Callable[[Press], None]:
    """What a button does: act for the one in charge, and tell whoever pressed what came of it.

    Args:
        may: whether a client may start and stop programs now.
        act: does it and says what was done.
    """

    def press(event: Press) -> None:
        if event.client is None or event.client_id is None:
            return
        if not may(event.client_id):
            event.client.add_notification("Take charge first", "Only who is in charge starts and stops programs.")
            return
        try:
            event.client.add_notification("Done", act(), auto_close_seconds=8.0)
        except RobotRlError as e:
            event.client.add_notification("That did not work", str(e), color="red")

    return press
