"""The contract of `robot_rl.core.protocols.Gripper`, with nothing between the fingers."""

from __future__ import annotations

import pytest

from robot_rl.core.errors import DeviceError
from robot_rl.core.protocols import Gripper
from robot_rl.testing.subject import DeviceContract


class GripperContract(DeviceContract[Gripper]):
    """Opens, closes, and says how wide it is.

    Attributes:
        settle_s: time for a full stroke.
        tolerance_m: how near to a commanded opening it must come.
    """

    settle_s: float = 2.0
    tolerance_m: float = 0.002

    def test_is_a_gripper(self, device: Gripper) -> None:
        """All methods are there."""
        assert isinstance(device, Gripper)

    def test_reading_is_in_range(self, device: Gripper) -> None:
        """Widths are metres between the pads."""
        s = device.state()
        assert 0.0 < s.max_width_m < 0.5
        assert -self.tolerance_m <= s.width_m <= s.max_width_m + self.tolerance_m
        assert 0.0 <= s.target_m <= s.max_width_m

    def test_time_does_not_run_backwards(self, device: Gripper) -> None:
        """Readings are stamped on the cell's clock."""
        before = device.state().t_s
        self.wait(0.05)
        assert device.state().t_s > before

    @pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
    def test_reaches_a_width(self, device: Gripper, share: float) -> None:
        """From closed to open."""
        width_m = share * device.state().max_width_m
        device.command(width_m)
        assert device.state().target_m == pytest.approx(width_m)
        self.wait(self.settle_s)
        assert device.state().width_m == pytest.approx(width_m, abs=self.tolerance_m)

    @pytest.mark.parametrize("share", [-0.5, 1.5])
    def test_impossible_widths_are_clipped(self, device: Gripper, share: float) -> None:
        """A policy may ask for more than there is."""
        widest = device.state().max_width_m
        device.command(share * widest)
        assert device.state().target_m == pytest.approx(min(max(share, 0.0), 1.0) * widest)

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_refuses_a_width_that_is_not_finite(self, device: Gripper, value: float) -> None:
        """And keeps the command it had."""
        before = device.state().target_m
        with pytest.raises(DeviceError):
            device.command(value)
        assert device.state().target_m == before

    def test_last_command_wins(self, device: Gripper) -> None:
        """A command replaces the one under way."""
        widest = device.state().max_width_m
        device.command(0.0)
        self.wait(0.05)
        device.command(widest)
        self.wait(self.settle_s)
        assert device.state().width_m == pytest.approx(widest, abs=self.tolerance_m)
