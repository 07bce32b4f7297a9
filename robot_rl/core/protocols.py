"""What a robot cell is made of. `robot_rl.envs.CellEnv` knows these protocols and nothing below them.

Every implementation passes the contract suites of `robot_rl.testing`; run them over your own drivers.
All calls are non-blocking unless their docstring says otherwise, and `close()` may be called twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from robot_rl.core.transition import Observation
from robot_rl.core.types import ArmState, Array, Float32, Frame, GripperState, TeleopState


@runtime_checkable
class Clock(Protocol):
    """The cell's time: simulated in lock-step, or the wall clock."""

    def now_s(self) -> float:
        """Time since the cell started, or Unix time; never runs backwards."""
        ...

    def sleep_until(self, t_s: float) -> None:
        """Block until `t_s`; returns at once if it has passed. A simulated clock advances the physics."""
        ...


@runtime_checkable
class Arm(Protocol):
    """A torque- or impedance-controlled arm with seven joints."""

    def state(self) -> ArmState:
        """The newest reading."""
        ...

    def set_target(self, pose_base_tcp: Array) -> None:
        """Track this pose with the impedance law until another target comes.

        Whoever has set a target on a cell that is not in lock-step keeps setting targets or calls `hold`: an arm whose
        commander falls silent may freeze and latch a fault.

        Raises:
            DeviceError: the pose is not finite or its quaternion is not of unit length, and the target stays as it was;
                or the arm cannot be reached.
            SafetyFault: a fault is latched; `SafetyFault.fault` is its name.
        """
        ...

    def hold(self) -> None:
        """Stay at the measured pose until the next target, however long nothing is heard from the commander.

        Raises:
            DeviceError: the arm cannot be reached.
        """
        ...

    def move_joints(self, q_rad: Array, duration_s: float) -> None:
        """Move to a joint configuration along a minimum-jerk path. Blocks until it arrived."""
        ...

    def recover(self) -> None:
        """Clear a latched fault; the arm then holds."""
        ...

    def close(self) -> None:
        """Release the device. May be called twice."""
        ...


@runtime_checkable
class Gripper(Protocol):
    """A parallel gripper."""

    def state(self) -> GripperState:
        """The newest reading."""
        ...

    def command(self, width_m: float) -> None:
        """Move towards this opening and keep the grasp force when something is in between."""
        ...

    def close(self) -> None:
        """Release the device. May be called twice."""
        ...


@runtime_checkable
class Camera(Protocol):
    """A colour camera."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, 3) of every frame."""
        ...

    def read(self) -> Frame:
        """The newest frame."""
        ...

    def close(self) -> None:
        """Release the device. May be called twice."""
        ...


@runtime_checkable
class Teleop(Protocol):
    """An operator's device, or the scripted stand-in for a person."""

    def read(self) -> TeleopState:
        """The newest input."""
        ...

    def close(self) -> None:
        """Release the device. May be called twice."""
        ...


@runtime_checkable
class World(Protocol):
    """Where the task's objects are: the simulator's truth, a tracker, or a person asked to put them there."""

    def object_pose(self, name: str) -> Array:
        """`pose_base_object` of a named object ``[7]``.

        Raises:
            DeviceError: no object of that name; the message lists the names.
        """
        ...

    def place(self, name: str, pose_base_object: Array) -> None:
        """Put an object at rest at a pose."""
        ...

    def reset(self, pose_base_tcp: Array, gripper_width_m: float, object_poses: dict[str, Array]) -> None:
        """Bring arm, gripper and objects to the start of an episode, at rest. Blocks.

        Raises:
            SafetyFault: a fault is latched that may not be recovered without a person.
            DeviceError: arm, gripper or objects are not where they belong, or nobody came to see to it.
        """
        ...


@runtime_checkable
class Policy(Protocol):
    """Observation in, action out."""

    @property
    def version(self) -> int:
        """Which published parameters it runs."""
        ...

    def act(self, obs: Observation, rng: np.random.Generator, *, deterministic: bool = False) -> Float32:
        """Action ``float32[7]`` in [-1, 1] for what is seen now: the packed state, and the views it was trained on."""
        ...


@runtime_checkable
class RewardModel(Protocol):
    """Judges what it sees: the task's own rules, or a learned detector of success."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the components that `evaluate` answers with."""
        ...

    @property
    def cameras(self) -> tuple[str, ...]:
        """Whose pictures it needs."""
        ...

    def evaluate(
        self, arm: ArmState, gripper: GripperState, objects: Mapping[str, Array], frames: Mapping[str, Frame]
    ) -> dict[str, float]:
        """Components by name, all of `names`, each finite; may take as long as a step.

        Args:
            arm: reading of the arm.
            gripper: reading of the gripper.
            objects: `pose_base_object` by name, as far as anybody knows it.
            frames: newest picture of each of `cameras`.

        Raises:
            DataError: something that it needs is missing.
        """
        ...


@dataclass(frozen=True)
class Verdict:
    """What a detector of success says of one control tick.

    Attributes:
        success: the task is done.
        p_success: calibrated probability in [0, 1] that this tick alone speaks for; None if it abstains.
        reason: why it does not say more than it does, in a few words; empty if nothing keeps it.
    """

    success: bool
    p_success: float | None
    reason: str = ""


@runtime_checkable
class Detector(Protocol):
    """Decides from what can be seen and felt whether the task is done, tick after tick of an episode."""

    @property
    def cameras(self) -> tuple[str, ...]:
        """Whose pictures it needs."""
        ...

    def reset(self) -> None:
        """A new episode begins: forget the one before."""
        ...

    def judge(self, arm: ArmState, gripper: GripperState, frames: Mapping[str, Frame], t_s: float) -> Verdict:
        """Judge one control tick; called once for each, in order, and may take as long as half a step.

        Args:
            arm: reading of the arm.
            gripper: reading of the gripper.
            frames: newest picture of each of `cameras`.
            t_s: time of the tick on the cell's clock.

        Raises:
            DataError: it has not been able to judge for so long that the episode cannot be trusted, or a picture has
                not the size that it was made for.
        """
        ...


@dataclass(frozen=True)
class Cell:
    """The devices of one robot cell.

    Attributes:
        arm: the arm.
        gripper: on it.
        clock: of all stamps.
        world: where the objects are.
        cameras: by name.
        reseed: told a non-negative seed before each reset of the world, by a cell that has randomness of its own.
        lockstep: the clock stands still between two calls of `Clock.sleep_until`, so that nothing is ever late; False
            where time passes by itself.
        placed_by_person: nothing in the cell can move an object, so a person puts them where an episode may begin.
        unseen: names of objects whose pose was written down and is not looked at.
    """

    arm: Arm
    gripper: Gripper
    clock: Clock
    world: World
    cameras: dict[str, Camera] = field(default_factory=dict)
    reseed: Callable[[int], None] | None = None
    lockstep: bool = True
    placed_by_person: bool = False
    unseen: frozenset[str] = frozenset()

    def close(self) -> None:
        """Close every device."""
        devices: list[Arm | Gripper | Camera] = [self.arm, self.gripper, *self.cameras.values()]
        for device in devices:
            device.close()
