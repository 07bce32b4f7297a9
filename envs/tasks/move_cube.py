"""Carry a cube from one marked field to the other, and back: two tasks that undo each other, so that nobody resets."""

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
from robot_rl.envs.tasks.base import (
    Snapshot,
    Start,
    Task,
    Waypoint,
    down_pose,
    flat_pose,
    outside,
    seen_from_tool,
    square_yaw,
    tilt_of,
    workspace,
    yaw_of,
)
from robot_rl.envs.tasks.pick_cube import CUBE, HALF_M

CENTRES_M = (np.array([0.5, -0.08]), np.array([0.5, 0.08]))
"""Of the two fields, base frame: the robot's right, and its left."""
FIELD_M = 0.04
"""Half width of a field; the cube lies in it if its centre does."""
REACH_M = 0.03
"""How far beyond the fields the cube may lie for an episode to begin."""
STRAY_SHARE = 0.25
"""Share of starts with the cube anywhere within reach, where a failure of either task may have left it."""
LIFTED_M = 0.07
RELEASED_M = 0.06


def _pad(name: str, rgba: tuple[float, float, float, float]) -> SceneObject:
    half = (FIELD_M + HALF_M, FIELD_M + HALF_M, 0.0005)
    return SceneObject(name, (Box(half, rgba=rgba, collides=False),), mount="fixture")


PADS = (_pad("field_right", (0.25, 0.45, 0.75, 1)), _pad("field_left", (0.9, 0.7, 0.25, 1)))


@dataclass(frozen=True)
class MoveCubeOut(Task):
    """Carry a 4 cm cube from the right field to the left one and let go of it there.

    Attributes:
        yaw_rad: the cube is turned by up to this.
        episode_steps: time limit.
    """

    yaw_rad: float = 0.4
    episode_steps: int = 100
    action_spec: ActionSpec = ActionSpec(position_m=0.02, rotation_rad=0.1, active=(0, 1, 2, 5, 6))
    home_base_tcp: Array = field(default_factory=lambda: down_pose((0.5, 0.0, 0.14)))
    limits: TargetLimits = field(default_factory=lambda: workspace((0.36, -0.22, 0.012), (0.64, 0.22, 0.25)))
    impedance: ImpedanceParams = field(default_factory=lambda: ImpedanceParams().with_clip(0.01, 0.1))

    @property
    def source_m(self) -> Array:
        """Centre ``[2]`` of the field where the cube begins."""
        return CENTRES_M[0]

    @property
    def goal_m(self) -> Array:
        """Centre ``[2]`` of the field where it ends."""
        return CENTRES_M[1]

    @property
    def objects(self) -> tuple[SceneObject, ...]:
        """The cube and the two marked fields."""
        return (CUBE, *PADS)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Where the cube is, and how far it has to go."""
        return (
            Part("cube_position", 3, "m", "tcp", scale=0.05),
            Part("cube_yaw", 1, "rad", "tcp", scale=0.3),
            Part("cube_height", 1, "m", "base", scale=0.05),
            Part("cube_to_goal", 2, "m", "base", scale=0.05),
        )

    def sample_start(self, rng: np.random.Generator) -> Start:
        """Cube in its field, now and then elsewhere within reach; tool above the middle with open fingers."""
        cube = self.source_m + rng.uniform(-FIELD_M, FIELD_M, 2)
        if rng.random() < STRAY_SHARE:
            cube = rng.uniform(*_reach())
            while np.abs(cube - self.goal_m).max() < FIELD_M:
                cube = rng.uniform(*_reach())
        tool = rng.uniform((0.47, -0.03, 0.11), (0.53, 0.03, 0.16))
        objects = {pad.name: flat_pose((*at, 0.0)) for pad, at in zip(PADS, CENTRES_M, strict=True)}
        objects["cube"] = flat_pose((*cube, HALF_M), rng.uniform(-self.yaw_rad, self.yaw_rad))
        return Start(down_pose(tool), 0.08, objects)

    def observe(self, now: Snapshot) -> dict[str, npt.ArrayLike]:
        """Cube in the tool frame, its yaw as that of a square; the way to the goal's centre in the base frame."""
        cube = now.objects["cube"]
        return {
            "cube_position": now.pose_tcp_object("cube")[:3],
            "cube_yaw": square_yaw(yaw_of(cube) - yaw_of(now.arm.pose_base_tcp)),
            "cube_height": cube[2] - HALF_M,
            "cube_to_goal": self.goal_m - cube[:2],
        }

    def locate(self, values: Mapping[str, Array], pose_base_tcp: Array) -> dict[str, Array]:
        """The cube, lying flat, and the fields, which stay."""
        yaw = yaw_of(pose_base_tcp) + values["cube_yaw"].item()
        pads = {pad.name: flat_pose((*at, 0.0)) for pad, at in zip(PADS, CENTRES_M, strict=True)}
        return {"cube": flat_pose(seen_from_tool(pose_base_tcp, values["cube_position"]), yaw), **pads}

    @property
    def request(self) -> str:
        """Into the field where it begins."""
        return f"Put the cube flat into the {'right' if self.source_m[1] < 0 else 'left'} field, as seen by the robot"

    def misplaced(self, now: Snapshot) -> str:
        """Out of reach, tipped over or not on the table. It may lie anywhere between and around the fields."""
        cube = now.objects["cube"]
        away_m = outside(cube[:2], *_reach())
        if away_m > 0.0:
            return f"the cube is {100 * away_m:.0f} cm out of reach"
        if abs(cube[2] - HALF_M) > 0.005 or tilt_of(cube) > 0.2:
            return "the cube does not lie flat on the table"
        return ""

    def arrived(self, now: Snapshot) -> bool:
        """Whether the cube lies flat in the goal's field, whoever holds it."""
        cube = now.objects["cube"]
        flat = abs(cube[2] - HALF_M) < 0.004 and tilt_of(cube) < 0.2
        return bool(flat and np.abs(cube[:2] - self.goal_m).max() < FIELD_M)

    def success(self, now: Snapshot) -> bool:
        """Arrived, and let go of."""
        return self.arrived(now) and now.gripper.width_m > RELEASED_M

    def progress(self, now: Snapshot) -> float:
        """Approach counts 0.3, the grasp 0.2, the way to the goal the rest."""
        if self.success(now):
            return 1.0
        cube = now.objects["cube"]
        distance_m = float(np.linalg.norm(cube[:3] - now.arm.pose_base_tcp[:3]))
        held = self._in_fingers(now) and now.gripper.target_m < HALF_M and now.gripper.width_m < 2 * HALF_M + 0.004
        way_m = float(np.linalg.norm(cube[:2] - self.goal_m))
        return float(
            0.3 * np.exp(-8.0 * distance_m) + 0.2 * held + 0.45 * np.exp(-10.0 * way_m) * (held or way_m < 0.05)
        )

    def plan(self, now: Snapshot, phase: int) -> Waypoint:
        """0 above the cube, 1 down, 2 close and lift, 3 across, 4 down and open; back to 0 when the cube is lost."""
        cube, tool = now.objects["cube"], now.arm.pose_base_tcp
        yaw = yaw_of(tool) + square_yaw(yaw_of(cube) - yaw_of(tool))
        off_m = float(np.hypot(*(cube[:2] - tool[:2])))
        turned_rad = abs(square_yaw(yaw_of(cube) - yaw_of(tool)))
        if phase >= 2 and not self._in_fingers(now):
            phase = 0
        if phase == 0 and off_m < 0.012 and turned_rad < 0.12 and now.gripper.width_m > RELEASED_M:
            phase = 1
        if phase == 1 and off_m > 0.03:
            phase = 0
        if phase == 1 and tool[2] - cube[2] < 0.01:
            phase = 2
        if phase == 2 and cube[2] > LIFTED_M - 0.02:
            phase = 3
        if phase == 3 and np.linalg.norm(cube[:2] - self.goal_m) < 0.02:
            phase = 4
        if phase < 2:
            at = down_pose((*cube[:2], cube[2] + (0.07 if phase == 0 else 0.0)), yaw)
            return Waypoint(at, 1.0, phase, speed=0.8)
        return self._carry(now, phase, yaw)

    def _carry(self, now: Snapshot, phase: int, yaw: float) -> Waypoint:
        cube, tool = now.objects["cube"], now.arm.pose_base_tcp
        if phase == 2:
            closed = now.gripper.width_m < 2 * HALF_M + 0.003
            return Waypoint(down_pose((*tool[:2], LIFTED_M + 0.03), yaw) if closed else tool, -1.0, 2, speed=0.9)
        if phase == 3:
            return Waypoint(down_pose((*self.goal_m, LIFTED_M + 0.01), yaw), -1.0, 3, speed=0.9)
        down = cube[2] - HALF_M < 0.006
        return Waypoint(tool if down else down_pose((*self.goal_m, HALF_M), yaw), 1.0 if down else -1.0, 4, speed=0.7)

    def _in_fingers(self, now: Snapshot) -> bool:
        return bool(np.linalg.norm(now.objects["cube"][:3] - now.arm.pose_base_tcp[:3]) < 0.025)


def _reach() -> tuple[Array, Array]:
    """Corners ``[2]`` of the rectangle in which the cube may lie, base frame."""
    margin = FIELD_M + REACH_M
    return CENTRES_M[0] - margin, CENTRES_M[1] + margin


@dataclass(frozen=True)
class MoveCubeBack(MoveCubeOut):
    """The same from the left field to the right one."""

    @property
    def source_m(self) -> Array:
        """Centre ``[2]`` of the field where the cube begins."""
        return CENTRES_M[1]

    @property
    def goal_m(self) -> Array:
        """Centre ``[2]`` of the field where it ends."""
        return CENTRES_M[0]
