"""Pictures are counted once each."""

from __future__ import annotations

import time

import numpy as np

from robot_rl.core.types import Frame
from robot_rl.runtime.doctor import cameras


class Metronome:
    """A camera that exposes at a rate."""

    shape = (16, 16, 3)

    def __init__(self, hz: float) -> None:
        self._hz = hz

    def read(self) -> Frame:
        now_s = time.monotonic()
        return Frame(np.zeros(self.shape, np.uint8), now_s, int(now_s * self._hz))

    def close(self) -> None:
        """Nothing to release."""


def test_the_rate_is_counted() -> None:
    for hz in (20.0, 60.0):
        seen = cameras.picture_rate_hz(Metronome(hz), 0.5)
        assert 0.5 * hz < seen < 1.2 * hz


def test_simulated_cameras_are_not_opened() -> None:
    from robot_rl.hardware.cell.description import CameraConfig, CellConfig

    assert cameras.check_cameras(CellConfig(cameras={"wrist": CameraConfig()})) == []
