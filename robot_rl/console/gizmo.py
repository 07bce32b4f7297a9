"""The handle in the 3-D view by which the one in charge drags the tool."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import viser

from robot_rl.console.browser import BrowserTeleop
from robot_rl.core.types import Array

SCALE_M = 0.13


class Gizmo:
    """Lies at the tool until it is grabbed.

    Args:
        scene: of the viser server.
        device: told about drags.
        motion: axes of the tool that the task uses, of six.
    """

    def __init__(self, scene: viser.SceneApi, device: BrowserTeleop, motion: Sequence[int]) -> None:
        self._device = device
        self._dragged_by: int | None = None
        turns = any(axis >= 3 for axis in motion)
        self._handle = scene.add_transform_controls(
            "/gizmo", scale=SCALE_M, disable_sliders=True, disable_rotations=not turns, depth_test=False, visible=False
        )
        self._handle.on_update(self._dragged)

    @property
    def visible(self) -> bool:
        """Whether it can be grabbed."""
        return self._handle.visible

    @visible.setter
    def visible(self, value: bool) -> None:
        if value != self._handle.visible:
            self._handle.visible = value
        if not value:
            self._dragged_by = None

    def follow(self, pose_base_tcp: Array) -> None:
        """Lie at the tool, unless somebody drags it.

        Args:
            pose_base_tcp: ``[7]``.
        """
        if self._handle.visible and self._dragged_by is None:
            self._handle.position = pose_base_tcp[:3]
            self._handle.wxyz = pose_base_tcp[[6, 3, 4, 5]]

    def close(self) -> None:
        """Take it out of the scene."""
        self._handle.remove()

    def _pose(self) -> Array:
        return np.concatenate([self._handle.position, np.roll(self._handle.wxyz, -1)])

    async def _dragged(self, event: viser.TransformControlsEvent) -> None:
        client = event.client_id
        if client is None or self._dragged_by not in (None, client):
            return
        if event.phase == "start":
            self._dragged_by = client
            self._device.drag_begin(client, self._pose())
        elif self._dragged_by == client and event.phase == "update":
            self._device.drag_to(client, self._pose())
        elif self._dragged_by == client:
            self._dragged_by = None
            self._device.drag_end(client)
