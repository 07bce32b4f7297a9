"""What a list in the panel offers."""

from __future__ import annotations

import viser


def offer(dropdown: viser.GuiDropdownHandle[str], options: tuple[str, ...]) -> None:
    """Offer these, which must be at least one; sent only if they are not those of before."""
    if dropdown.options != options:
        dropdown.options = options
