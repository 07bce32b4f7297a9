"""The contract of `robot_rl.core.protocols.World`, checked on a whole cell."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import pytest

from robot_rl.core.errors import DeviceError
from robot_rl.core.protocols import Cell, World
from robot_rl.core.types import Array
from robot_rl.testing.subject import DeviceContract


class WorldContract(DeviceContract[Cell]):
    """Objects are where they were put, and an episode starts where it was told to.

    Attributes:
        tolerance_m: of positions of the tool and the objects, and of the gripper's width.
    """

    tolerance_m: float = 0.002

    @abstractmethod
    def start(self) -> tuple[Array, float, dict[str, Array]]:
        """A start of an episode: ``pose_base_tcp[7]``, gripper width in m, resting ``pose_base_object[7]`` by name."""

    def test_is_a_world(self, device: Cell) -> None:
        """All methods are there."""
        assert isinstance(device.world, World)

    def test_reset_brings_everything_to_the_start(self, device: Cell) -> None:
        """Arm, gripper and objects."""
        pose_base_tcp, width_m, poses = self.start()
        device.world.reset(pose_base_tcp, width_m, poses)
        state = device.arm.state()
        np.testing.assert_allclose(state.pose_base_tcp[:3], pose_base_tcp[:3], atol=self.tolerance_m)
        assert abs(state.pose_base_tcp[3:] @ pose_base_tcp[3:]) > 0.9999, (
            "the orientation is off by more than 1.6 degrees"
        )
        np.testing.assert_allclose(state.twist_base_tcp, 0.0, atol=0.01)
        assert device.gripper.state().width_m == pytest.approx(width_m, abs=self.tolerance_m)
        for name, pose in poses.items():
            np.testing.assert_allclose(device.world.object_pose(name)[:3], pose[:3], atol=self.tolerance_m)

    def test_reset_forgets_what_was_before(self, device: Cell) -> None:
        """The second start equals the first, whatever happened in between."""
        device.world.reset(*self.start())
        first = device.arm.state()
        target = first.pose_base_tcp.copy()
        target[2] += 0.02
        device.arm.set_target(target)
        self.wait(0.5)
        device.world.reset(*self.start())
        second = device.arm.state()
        np.testing.assert_allclose(second.pose_base_tcp[:3], first.pose_base_tcp[:3], atol=self.tolerance_m)
        self.wait(0.5)
        np.testing.assert_allclose(
            device.arm.state().pose_base_tcp[:3], second.pose_base_tcp[:3], atol=self.tolerance_m
        )

    def test_places_an_object(self, device: Cell) -> None:
        """At rest where it was put; unit quaternion; the pose belongs to the caller."""
        device.world.reset(*self.start())
        for name in self.start()[2]:
            pose = device.world.object_pose(name).copy()
            pose[0] += 0.01
            device.world.place(name, pose)
            placed = device.world.object_pose(name)
            np.testing.assert_allclose(placed[:3], pose[:3], atol=self.tolerance_m)
            assert np.linalg.norm(placed[3:]) == pytest.approx(1.0, abs=1e-6)
            kept = placed.copy()
            pose[0] += 0.01
            device.world.place(name, pose)
            np.testing.assert_array_equal(placed, kept)

    def test_unknown_object_is_refused_with_the_names(self, device: Cell) -> None:
        """The message says what there is."""
        names = self.start()[2]
        with pytest.raises(DeviceError) as info:
            device.world.object_pose("no such object")
        assert all(name in str(info.value) for name in names)
