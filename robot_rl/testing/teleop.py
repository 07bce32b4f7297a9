"""The contracts of `robot_rl.core.protocols.Teleop`."""

from __future__ import annotations

from abc import abstractmethod

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
            assert isinstance(s.buttons, frozenset)
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


class TeleopPressContract(TeleopContract):
    """In addition, for devices whose buttons a test can press: no tap is lost, and each is told once."""

    release_s: float = 0.2
    """How long the device may count a button as down that was tapped."""

    @abstractmethod
    def tap(self, device: Teleop) -> str:
        """Press and release a button before anybody reads again.

        Returns:
            Its name in `robot_rl.core.types.TeleopState.buttons`.
        """

    def test_a_tap_between_two_readings_is_in_the_next(self, device: Teleop) -> None:
        """Although the button is up again by then."""
        device.read()
        name = self.tap(device)
        self.wait(self.release_s + self.interval_s)
        assert name in device.read().buttons

    def test_a_tap_is_told_once(self, device: Teleop) -> None:
        """It is one press, however often the device is read after it."""
        device.read()
        name = self.tap(device)
        self.wait(self.release_s + self.interval_s)
        device.read()
        for _ in range(self.readings):
            assert name not in device.read().buttons
            self.wait(self.interval_s)

    def test_a_second_tap_is_a_second_press(self, device: Teleop) -> None:
        """Once the first was told."""
        for _ in range(3):
            name = self.tap(device)
            self.wait(self.release_s + self.interval_s)
            assert name in device.read().buttons
            assert name not in device.read().buttons


class TeleopUnplugContract(TeleopContract):
    """In addition, for devices that a test can unplug: that is seen from the readings, and from nothing else."""

    notice_s: float = 1.0
    """How long the device may take to notice."""

    @abstractmethod
    def engage(self, device: Teleop) -> None:
        """Have the operator move something, and keep on."""

    @abstractmethod
    def unplug(self, device: Teleop) -> None:
        """Take the device away."""

    def test_an_unplugged_device_grows_old(self, device: Teleop) -> None:
        """Nothing is raised, nobody is engaged, and the age grows."""
        self.engage(device)
        self.wait(self.notice_s)
        assert device.read().engaged
        self.unplug(device)
        self.wait(self.notice_s)
        first = device.read()
        self.wait(self.interval_s)
        for state in (first, second := device.read()):
            assert not state.engaged
            assert not state.twist_tcp.any()
            assert state.gripper == 0.0
        assert second.age_s > first.age_s >= self.notice_s / 2
