"""Grasp a cube that lies somewhere on the table and lift it."""

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
    workspace,
    yaw_of,
)

HALF_M = 0.02
CUBE = SceneObject("cube", (Box((HALF_M, HALF_M, HALF_M), rgba=(0.83, 0.24, 0.18, 1)),), mass_kg=0.06, friction=0.8)


@dataclass(frozen=True)
class PickCube(Task):
    """Lift a 4 cm cube.

    Attributes:
        lift_m: height gained that counts as success.
        spread_m: half width of the square in which the cube lies.
        yaw_rad: the cube is turned by up to this.
        episode_steps: time limit.
    """

    lift_m: float = 0.08
    spread_m: float = 0.1
    yaw_rad: float = 0.4
    episode_steps: int = 80
    action_spec: ActionSpec = ActionSpec(position_m=0.02, rotation_rad=0.1, active=(0, 1, 2, 5, 6))
    home_base_tcp: Array = field(default_factory=lambda: down_pose((0.5, 0.0, 0.18)))
    limits: TargetLimits = field(default_factory=lambda: workspace((0.33, -0.2, 0.012), (0.67, 0.2, 0.35)))
    impedance: ImpedanceParams = field(default_factory=lambda: ImpedanceParams().with_clip(0.01, 0.1))

    @property
    def objects(self) -> tuple[SceneObject, ...]:
        """The cube."""
        return (CUBE,)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Where the cube is."""
        return (
            Part("cube_position", 3, "m", "tcp", scale=0.05),
            Part("cube_yaw", 1, "rad", "tcp", scale=0.3),
            Part("cube_height", 1, "m", "base", scale=0.05),
        )

    def sample_start(self, rng: np.random.Generator) -> Start:
        """Cube on the table, tool above with open fingers."""
        s = self.spread_m
        cube = flat_pose((*rng.uniform((0.5 - s, -s), (0.5 + s, s)), HALF_M), rng.uniform(-self.yaw_rad, self.yaw_rad))
        tool = rng.uniform((0.46, -0.04, 0.15), (0.54, 0.04, 0.21))
        return Start(down_pose(tool), 0.08, {"cube": cube})

    def observe(self, now: Snapshot) -> dict[str, npt.ArrayLike]:
        """Cube in the tool frame; its yaw as that of a square."""
        cube = now.objects["cube"]
        return {
            "cube_position": now.pose_tcp_object("cube")[:3],
            "cube_yaw": square_yaw(yaw_of(cube) - yaw_of(now.arm.pose_base_tcp)),
            "cube_height": cube[2] - HALF_M,
        }

    def locate(self, values: Mapping[str, Array], pose_base_tcp: Array) -> dict[str, Array]:
        """The cube, lying flat."""
        yaw = yaw_of(pose_base_tcp) + values["cube_yaw"].item()
        return {"cube": flat_pose(seen_from_tool(pose_base_tcp, values["cube_position"]), yaw)}

    @property
    def request(self) -> str:
        """The square in which the cube may lie."""
        return (
            f"Put the cube anywhere in the marked square of {200 * self.spread_m:.0f} cm, flat and square to the robot"
        )

    def misplaced(self, now: Snapshot) -> str:
        """Outside the square, not flat on the table, or turned too far; a centimetre and 0.1 rad are forgiven."""
        cube, s = now.objects["cube"], self.spread_m + 0.01
        away_m = outside(cube[:2], (0.5 - s, -s), (0.5 + s, s))
        turned_rad = abs(square_yaw(yaw_of(cube)))
        if away_m > 0.0:
            return f"the cube is {100 * away_m:.0f} cm outside the square"
        if abs(cube[2] - HALF_M) > 0.005:
            return f"the cube is {100 * (cube[2] - HALF_M):.0f} cm above the table"
        if turned_rad > self.yaw_rad + 0.1:
            return f"the cube is turned by {turned_rad:.1f} rad"
        return ""

    def success(self, now: Snapshot) -> bool:
        """Lifted, and still between the fingers."""
        return now.objects["cube"][2] - HALF_M > self.lift_m and self._in_fingers(now)

    def progress(self, now: Snapshot) -> float:
        """Approach counts 0.4, the grasp 0.2, the lift the rest."""
        if self.success(now):
            return 1.0
        distance = float(np.linalg.norm(now.objects["cube"][:3] - now.arm.pose_base_tcp[:3]))
        closing = now.gripper.target_m < HALF_M
        held = self._in_fingers(now) and closing and now.gripper.width_m < 2 * HALF_M + 0.004
        lift = np.clip((now.objects["cube"][2] - HALF_M) / self.lift_m, 0.0, 1.0) if held else 0.0
        return float(0.4 * np.exp(-8.0 * distance) + 0.2 * held + 0.35 * lift)

    def plan(self, now: Snapshot, phase: int) -> Waypoint:
        """0 above the cube, 1 down, 2 close, 3 and later lift; back to 0 when the cube is lost."""
        cube, tool = now.objects["cube"], now.arm.pose_base_tcp
        yaw = yaw_of(tool) + square_yaw(yaw_of(cube) - yaw_of(tool))
        above = down_pose((cube[0], cube[1], cube[2] + 0.07), yaw)
        off = float(np.hypot(*(cube[:2] - tool[:2])))
        turned = abs(square_yaw(yaw_of(cube) - yaw_of(tool)))
        if phase >= 2 and not self._in_fingers(now):
            phase = 0
        if phase == 0 and off < 0.012 and turned < 0.12 and now.gripper.width_m > 0.06:
            phase = 1
        if phase == 1 and off > 0.03:
            phase = 0
        if phase == 1 and tool[2] - cube[2] < 0.01:
            phase = 2
        if phase >= 2:
            closed = now.gripper.width_m < 2 * HALF_M + 0.003
            goal = down_pose((cube[0], cube[1], HALF_M + self.lift_m + 0.06), yaw) if closed else tool
            return Waypoint(goal, -1.0, 2, speed=0.9)
        return Waypoint(above if phase == 0 else down_pose(cube[:3], yaw), 1.0, phase, speed=0.8)

    def _in_fingers(self, now: Snapshot) -> bool:
        return bool(np.linalg.norm(now.objects["cube"][:3] - now.arm.pose_base_tcp[:3]) < 0.025)
