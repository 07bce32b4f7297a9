"""What a task is. Copy `reach.py` to write a new one; `tests/envs/test_tasks.py` runs over every task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from robot_rl.controllers.impedance import ImpedanceParams
from robot_rl.controllers.safety import TargetLimits
from robot_rl.controllers.se3 import pose_compose, pose_inverse, rotvec_to_quat
from robot_rl.core.scene import SceneObject
from robot_rl.core.specs import ActionSpec, Part
from robot_rl.core.types import ArmState, Array, GripperState


@dataclass(frozen=True)
class Snapshot:
    """Everything true about the cell at one control tick; policies see only what the task makes of it.

    Attributes:
        arm: reading of the arm.
        gripper: reading of the gripper.
        objects: `pose_base_object` by name.
    """

    arm: ArmState
    gripper: GripperState
    objects: dict[str, Array]

    def pose_tcp_object(self, name: str) -> Array:
        """Pose of an object in the tool frame ``[7]``."""
        return pose_compose(pose_inverse(self.arm.pose_base_tcp), self.objects[name])


@dataclass(frozen=True)
class Start:
    """Where an episode begins.

    Attributes:
        pose_base_tcp: tool centre point ``[7]``.
        gripper_width_m: opening.
        objects: `pose_base_object` by name.
    """

    pose_base_tcp: Array
    gripper_width_m: float
    objects: dict[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Waypoint:
    """What the scripted expert wants next.

    Attributes:
        pose_base_tcp: where the tool should be ``[7]``.
        gripper: +1 open, -1 close, 0 keep.
        phase: the expert's memory, handed back at the next step.
        speed: share of full speed that a careful person would use here.
    """

    pose_base_tcp: Array
    gripper: float
    phase: int
    speed: float = 1.0


class Task(ABC):
    """A task of the cell; implementations are frozen dataclasses whose fields are its options.

    Attributes:
        action_spec: meaning of the action.
        episode_steps: time limit in control steps; reaching it truncates.
        home_base_tcp: nominal pose, origin of the position the policy sees ``[7]``.
        limits: where the tool may be sent.
        impedance: of the arm during the task.
    """

    action_spec: ActionSpec
    episode_steps: int
    home_base_tcp: Array
    limits: TargetLimits
    impedance: ImpedanceParams

    @property
    def id(self) -> str:
        """Name by which the task is known."""
        return type(self).__name__

    @property
    @abstractmethod
    def objects(self) -> tuple[SceneObject, ...]:
        """What stands in the cell."""

    @property
    @abstractmethod
    def parts(self) -> tuple[Part, ...]:
        """State parts beyond those of the robot."""

    @abstractmethod
    def sample_start(self, rng: np.random.Generator) -> Start:
        """Draw the start of an episode."""

    @abstractmethod
    def observe(self, now: Snapshot) -> dict[str, npt.ArrayLike]:
        """Values of `parts`."""

    def locate(self, values: Mapping[str, Array], pose_base_tcp: Array) -> dict[str, Array]:
        """Where the objects are, from what the policy saw: `observe` of the answer gives the same values.

        For showing recorded episodes. What the state leaves open is taken to be usual: objects stand upright, and of
        several poses that look alike any will do.

        Args:
            values: of `parts`, by name.
            pose_base_tcp: tool centre point ``[7]``.

        Returns:
            `pose_base_object` ``[7]`` by name, without those that the state does not determine; by default none.
        """
        return {}

    @property
    def request(self) -> str:
        """What a person is asked to do where no program can put the objects back: a sentence without its end."""
        names = [o.name for o in self.objects if o.mount == "free"]
        return f"Put {' and '.join(names)} where an episode of {self.id} may begin"

    def misplaced(self, now: Snapshot) -> str:
        """What is wrong, for the start of an episode, with where the objects lie; empty if nothing is."""
        return ""

    @abstractmethod
    def success(self, now: Snapshot) -> bool:
        """Whether the task is done; ends the episode."""

    def arrived(self, now: Snapshot) -> bool:
        """Whether the objects are where the task takes them, so that only the task that undoes it can go on."""
        return self.success(now)

    @abstractmethod
    def progress(self, now: Snapshot) -> float:
        """Privileged potential in [0, 1], 1 at success: drives the dense reward and the scripted corrector."""

    @abstractmethod
    def plan(self, now: Snapshot, phase: int) -> Waypoint:
        """The scripted expert's next waypoint, from privileged state. Phase 0 begins; must cope with any state."""


def down_pose(position_m: npt.ArrayLike, yaw_rad: float = 0.0) -> Array:
    """`pose_base_tcp` with the tool pointing down, turned by `yaw_rad` about the base's z axis."""
    half = 0.5 * yaw_rad
    return np.concatenate([np.asarray(position_m, np.float64), [np.cos(half), np.sin(half), 0.0, 0.0]])


def flat_pose(position_m: npt.ArrayLike, yaw_rad: float = 0.0) -> Array:
    """Pose of an object that stands upright, turned by `yaw_rad` about the base's z axis."""
    return np.concatenate([np.asarray(position_m, np.float64), rotvec_to_quat(np.array([0.0, 0.0, yaw_rad]))])


def yaw_of(pose: Array) -> float:
    """Heading of an upright object's x axis about the base's z axis, in (-pi, pi]."""
    x, y, z, w = pose[3:]
    return float(np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)))


def outside(position_m: npt.ArrayLike, low_m: npt.ArrayLike, high_m: npt.ArrayLike) -> float:
    """How far a point is outside a box, both with the same number of coordinates: 0 inside, metres."""
    p = np.asarray(position_m, np.float64)
    return float(np.linalg.norm(p - np.clip(p, low_m, high_m)))


def square_yaw(yaw_rad: float) -> float:
    """The equal yaw of a square in [-pi/4, pi/4)."""
    return float((yaw_rad + np.pi / 4) % (np.pi / 2) - np.pi / 4)


def tilt_of(pose: Array) -> float:
    """Angle between an object's z axis and the vertical, up or down alike, in radians."""
    x, y = pose[3], pose[4]
    return float(np.arccos(min(1.0, abs(1 - 2 * (x * x + y * y)))))


def seen_from_tool(pose_base_tcp: Array, position_tcp: npt.ArrayLike) -> Array:
    """A position ``[3]`` in the base frame that was given in the tool frame, in float64."""
    return pose_compose(pose_base_tcp, np.concatenate([np.asarray(position_tcp, np.float64), [0.0, 0.0, 0.0, 1.0]]))[:3]


def workspace(
    low_m: tuple[float, float, float], high_m: tuple[float, float, float], tilt_rad: float = 0.25
) -> TargetLimits:
    """Limits of a table-top task: a box in the base frame, a cone around the tool pointing down, some wrist."""
    return TargetLimits(low_m, high_m, max_tilt_rad=tilt_rad, max_spin_rad=0.9)
