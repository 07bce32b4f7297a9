"""The pictures of cameras in the panel: a folder that is there as long as there are any."""

from __future__ import annotations

from collections.abc import Mapping

import viser

from robot_rl.core.types import Image


class Pictures:
    """Puts its folder where the gui is open.

    Args:
        gui: of the viser server.
        label: of the folder.
    """

    def __init__(self, gui: viser.GuiApi, label: str) -> None:
        self._gui = gui
        self._folder = gui.add_folder(label, visible=False)
        self._shown: dict[str, viser.GuiImageHandle] = {}

    def show(self, images: Mapping[str, Image]) -> None:
        """Show these by camera, and no others."""
        for gone in set(self._shown) - set(images):
            self._shown.pop(gone).remove()
        if self._folder.visible != bool(images):
            self._folder.visible = bool(images)
        for name, image in images.items():
            if name in self._shown:
                self._shown[name].image = image
            else:
                with self._folder:
                    self._shown[name] = self._gui.add_image(image, label=name)
