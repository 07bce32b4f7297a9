"""The contract of `robot_rl.core.protocols.Arm`."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import pytest

from robot_rl.core.errors import DeviceError, SafetyFault
from robot_rl.core.protocols import Arm
from robot_rl.core.types import Array
from robot_rl.testing.subject import DeviceContract


def shifted(pose_base_tcp: Array, offset_base_m: Array) -> Array:
    """The pose moved by a translation expressed in the base frame ``[3]``."""
    pose = pose_base_tcp.copy()
    pose[:3] += offset_base_m
    return pose


class ArmContract(DeviceContract[Arm]):
    """Readings are whole and private, targets are tracked, bad targets change nothing.

    Attributes:
        step_base_m: free motion that the tests make, in the base frame; it must stay inside every limit of the arm.
        step_q_rad: joint motion that the tests make.
        settle_s: time within which both have ended.
        tolerance_m: how near to the target the tool must come, and how far it may drift while it holds.
        tolerance_rad: the same for joints.
    """

    step_base_m: tuple[float, float, float] = (0.0, 0.0, 0.02)
    step_q_rad: float = 0.05
    settle_s: float = 2.0
    tolerance_m: float = 0.005
    tolerance_rad: float = 0.02

    def distance_m(self, device: Arm, pose_base_tcp: Array) -> float:
        """From the measured tool position to a pose."""
        return float(np.linalg.norm(device.state().pose_base_tcp[:3] - pose_base_tcp[:3]))

    def stepped(self, device: Arm) -> Array:
        """The pose one test motion away from the measured one."""
        return shifted(device.state().pose_base_tcp, np.array(self.step_base_m))

    def test_is_an_arm(self, device: Arm) -> None:
        """All methods are there."""
        assert isinstance(device, Arm)

    def test_reading_is_complete(self, device: Arm) -> None:
        """Sizes, types and units that can be checked without moving."""
        s = device.state()
        sizes = {"q_rad": 7, "dq_rad_s": 7, "pose_base_tcp": 7, "twist_base_tcp": 6, "wrench_tcp": 6}
        for name, size in sizes.items():
            value = getattr(s, name)
            assert value.shape == (size,), name
            assert value.dtype == np.float64, name
            assert np.isfinite(value).all(), name
        assert np.linalg.norm(s.pose_base_tcp[3:]) == pytest.approx(1.0, abs=1e-6)
        assert s.fault is None

    def test_time_does_not_run_backwards(self, device: Arm) -> None:
        """Readings are stamped on the cell's clock."""
        before = device.state().t_s
        self.wait(0.05)
        assert device.state().t_s > before

    def test_readings_are_snapshots(self, device: Arm) -> None:
        """A reading keeps its values while the arm moves on."""
        device.set_target(self.stepped(device))
        first = device.state()
        kept = first.pose_base_tcp.copy()
        self.wait(self.settle_s)
        np.testing.assert_array_equal(first.pose_base_tcp, kept)
        assert not np.array_equal(device.state().pose_base_tcp, kept)

    def test_writing_into_a_reading_does_not_reach_the_device(self, device: Arm) -> None:
        """Either the arrays are read-only or they are copies."""
        s = device.state()
        if s.q_rad.flags.writeable:
            s.q_rad[:] = 9.0
        assert not (device.state().q_rad == 9.0).any()

    def test_tracks_a_target(self, device: Arm) -> None:
        """The tool arrives and stays."""
        target = self.stepped(device)
        device.set_target(target)
        self.wait(self.settle_s)
        assert self.distance_m(device, target) < self.tolerance_m
        assert np.linalg.norm(device.state().twist_base_tcp[:3]) < 0.01

    def test_target_is_copied(self, device: Arm) -> None:
        """The caller may reuse the array."""
        target = self.stepped(device)
        given = target.copy()
        device.set_target(given)
        given[:3] += 0.05
        self.wait(self.settle_s)
        assert self.distance_m(device, target) < self.tolerance_m

    @pytest.mark.parametrize("index", range(7))
    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_refuses_a_target_that_is_not_finite(self, device: Arm, index: int, value: float) -> None:
        """No part of a command may be missing."""
        bad = device.state().pose_base_tcp.copy()
        bad[index] = value
        with pytest.raises(DeviceError):
            device.set_target(bad)

    def test_refuses_a_quaternion_that_is_not_of_unit_length(self, device: Arm) -> None:
        """A scaled rotation is a mistake upstream, not something to normalise in silence."""
        bad = device.state().pose_base_tcp.copy()
        bad[3:] *= 1.1
        with pytest.raises(DeviceError):
            device.set_target(bad)

    def test_keeps_its_target_when_it_refuses_one(self, device: Arm) -> None:
        """A refused command changes nothing."""
        target = self.stepped(device)
        device.set_target(target)
        with pytest.raises(DeviceError):
            device.set_target(np.full(7, np.nan))
        self.wait(self.settle_s)
        assert self.distance_m(device, target) < self.tolerance_m

    def test_holds(self, device: Arm) -> None:
        """`hold` drops the target and stays where the arm is."""
        device.set_target(self.stepped(device))
        device.hold()
        here = device.state().pose_base_tcp
        self.wait(self.settle_s)
        assert self.distance_m(device, here) < self.tolerance_m

    def test_moves_its_joints_and_then_takes_targets(self, device: Arm) -> None:
        """A joint motion blocks until it arrived and leaves the arm ready."""
        q_rad = device.state().q_rad.copy()
        q_rad[3] += self.step_q_rad
        device.move_joints(q_rad, duration_s=self.settle_s)
        np.testing.assert_allclose(device.state().q_rad, q_rad, atol=self.tolerance_rad)
        target = self.stepped(device)
        device.set_target(target)
        self.wait(self.settle_s)
        assert self.distance_m(device, target) < self.tolerance_m

    def test_recovering_without_a_fault_holds(self, device: Arm) -> None:
        """Operators press the button twice."""
        here = device.state().pose_base_tcp
        device.recover()
        self.wait(0.2)
        assert device.state().fault is None
        assert self.distance_m(device, here) < self.tolerance_m


class ArmFaultContract(ArmContract):
    """In addition, for arms whose faults a test can provoke: a fault latches until `recover`."""

    @abstractmethod
    def latch_fault(self, device: Arm) -> None:
        """Bring the arm into any fault."""

    def test_fault_is_named_and_blocks_targets(self, device: Arm) -> None:
        """The fault has a name, which the refusal says too, and motion needs an explicit recovery."""
        self.latch_fault(device)
        fault = device.state().fault
        assert fault
        with pytest.raises(SafetyFault) as refusal:
            device.set_target(device.state().pose_base_tcp)
        assert refusal.value.fault == fault

    def test_fault_latches(self, device: Arm) -> None:
        """It does not go away by itself."""
        self.latch_fault(device)
        self.wait(1.0)
        assert device.state().fault

    def test_recovers_where_it_stands(self, device: Arm) -> None:
        """After recovery the arm holds, then moves again."""
        self.latch_fault(device)
        here = device.state().pose_base_tcp
        device.recover()
        assert device.state().fault is None
        self.wait(0.5)
        assert self.distance_m(device, here) < self.tolerance_m
        target = self.stepped(device)
        device.set_target(target)
        self.wait(self.settle_s)
        assert self.distance_m(device, target) < self.tolerance_m
