"""Bring the tool to a marker in free space: the smallest task, for tests and first steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from robot_rl.controllers.impedance import ImpedanceParams
from robot_rl.controllers.safety import TargetLimits
from robot_rl.core.scene import Box, SceneObject
from robot_rl.core.specs import ActionSpec, Part
from robot_rl.core.types import Array
from robot_rl.envs.tasks.base import Snapshot, Start, Task, Waypoint, down_pose, flat_pose, seen_from_tool, workspace

MARKER = SceneObject(
    "marker", (Box((0.012, 0.012, 0.012), rgba=(0.2, 0.75, 0.35, 0.6), collides=False),), mount="fixture"
)


@dataclass(frozen=True)
class Reach(Task):
    """Reach a marker.

    Attributes:
        tolerance_m: how near is near enough.
        episode_steps: time limit.
    """

    tolerance_m: float = 0.015
    episode_steps: int = 50
    action_spec: ActionSpec = ActionSpec(position_m=0.03, rotation_rad=0.1, active=(0, 1, 2))
    home_base_tcp: Array = field(default_factory=lambda: down_pose((0.5, 0.0, 0.2)))
    limits: TargetLimits = field(default_factory=lambda: workspace((0.3, -0.25, 0.03), (0.7, 0.25, 0.45)))
    impedance: ImpedanceParams = field(default_factory=lambda: ImpedanceParams().with_clip(0.015, 0.1))

    @property
    def objects(self) -> tuple[SceneObject, ...]:
        """The marker; nothing can touch it."""
        return (MARKER,)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Where the marker is."""
        return (Part("marker_position", 3, "m", "tcp", scale=0.1),)

    def sample_start(self, rng: np.random.Generator) -> Start:
        """Tool near home, marker anywhere in a 20 x 30 x 20 cm box."""
        x, y, z = rng.uniform((-0.03, -0.03, -0.03), (0.03, 0.03, 0.03))
        marker = rng.uniform((0.4, -0.15, 0.08), (0.6, 0.15, 0.28))
        return Start(down_pose((0.5 + x, y, 0.2 + z)), 0.04, {"marker": flat_pose(marker)})

    def observe(self, now: Snapshot) -> dict[str, npt.ArrayLike]:
        """Marker position in the tool frame."""
        return {"marker_position": now.pose_tcp_object("marker")[:3]}

    def locate(self, values: Mapping[str, Array], pose_base_tcp: Array) -> dict[str, Array]:
        """The marker."""
        return {"marker": flat_pose(seen_from_tool(pose_base_tcp, values["marker_position"]))}

    def success(self, now: Snapshot) -> bool:
        """Within tolerance."""
        return self._distance_m(now) < self.tolerance_m

    def progress(self, now: Snapshot) -> float:
        """One at the marker, falling with distance."""
        return 1.0 if self.success(now) else float(np.exp(-5.0 * self._distance_m(now)))

    def plan(self, now: Snapshot, phase: int) -> Waypoint:
        """Straight to the marker."""
        goal = np.concatenate([now.objects["marker"][:3], self.home_base_tcp[3:]])
        return Waypoint(goal, 0.0, phase)

    def _distance_m(self, now: Snapshot) -> float:
        return float(np.linalg.norm(now.objects["marker"][:3] - now.arm.pose_base_tcp[:3]))
