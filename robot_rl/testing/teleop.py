"""The contract of `robot_rl.core.protocols.Teleop`."""

from __future__ import annotations

import numpy as np

from robot_rl.core.protocols import Teleop
from robot_rl.testing.subject import DeviceContract


class TeleopContract(DeviceContract[Teleop]):
    """Whatever the operator does, the input is finite, bounded and fresh or known to be old."""

    readings: int = 20
    interval_s: float = 0.02

    def test_is_a_teleop(self, device: Teleop) -> None:
        """All methods are there."""
        assert isinstance(device, Teleop)

    def test_input_is_bounded(self, device: Teleop) -> None:
        """Motion in the policy's units."""
        for _ in range(self.readings):
            s = device.read()
            assert s.twist_tcp.shape == (6,)
            assert np.isfinite(s.twist_tcp).all()
            assert (np.abs(s.twist_tcp) <= 1.0).all()
            assert -1.0 <= s.gripper <= 1.0
            assert s.age_s >= 0.0
            assert all(isinstance(b, str) and b for b in s.buttons)
            self.wait(self.interval_s)

    def test_readings_are_snapshots(self, device: Teleop) -> None:
        """A reading keeps its values when the next one is taken."""
        first = device.read()
        kept = first.twist_tcp.copy()
        for _ in range(self.readings):
            self.wait(self.interval_s)
            device.read()
        np.testing.assert_array_equal(first.twist_tcp, kept)
