"""Insert a square peg, held in the closed hand, into a socket whose pose changes from episode to episode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from robot_rl.controllers.impedance import ImpedanceParams
from robot_rl.controllers.safety import TargetLimits
from robot_rl.controllers.se3 import pose_compose
from robot_rl.core.scene import Box, SceneObject
from robot_rl.core.specs import ActionSpec, Part
from robot_rl.core.types import Array
from robot_rl.envs.tasks import socket as sk
from robot_rl.envs.tasks.base import (
    Snapshot,
    Start,
    Task,
    Waypoint,
    down_pose,
    flat_pose,
    seen_from_tool,
    square_yaw,
    workspace,
    yaw_of,
)

TIP_M = 0.045
PEG = SceneObject(
    "peg",
    (Box((sk.PLUG_HALF_M, sk.PLUG_HALF_M, sk.PLUG_LENGTH_M / 2), (0.0, 0.0, TIP_M - sk.PLUG_LENGTH_M / 2), sk.BRASS),),
    mass_kg=0.05,
    mount="hand",
    friction=0.3,
)


@dataclass(frozen=True)
class PegInsert(Task):
    """Insert a 20 mm square peg 25 mm deep.

    Attributes:
        clearance_mm: hole width minus peg width; 1, 0.5, 0.2 and 0.1 are the usual grades.
        spread_m: the socket lies in a square of this half width.
        yaw_rad: the socket is turned by up to this.
        start_spread_m: the tool starts this far off, sideways.
        episode_steps: time limit.
    """

    clearance_mm: float = 0.5
    spread_m: float = 0.03
    yaw_rad: float = 0.25
    start_spread_m: float = 0.03
    episode_steps: int = 100
    action_spec: ActionSpec = ActionSpec(position_m=0.012, rotation_rad=0.06, active=(0, 1, 2, 5))
    home_base_tcp: Array = field(default_factory=lambda: down_pose((0.5, 0.0, 0.13)))
    limits: TargetLimits = field(
        default_factory=lambda: workspace((0.43, -0.07, 0.05), (0.57, 0.07, 0.18), tilt_rad=0.1)
    )
    impedance: ImpedanceParams = field(default_factory=lambda: ImpedanceParams().with_clip(0.006, 0.1))

    @property
    def objects(self) -> tuple[SceneObject, ...]:
        """The peg in the hand and the socket on the table."""
        return (PEG, sk.socket("socket", self.clearance_mm))

    @property
    def parts(self) -> tuple[Part, ...]:
        """Where the socket's rim is, seen from the peg's tip."""
        return (Part("socket_position", 3, "m", "tcp", scale=0.02), Part("socket_yaw", 1, "rad", "tcp", scale=0.1))

    def sample_start(self, rng: np.random.Generator) -> Start:
        """Socket somewhere on the table, peg a few centimetres above it."""
        place = rng.uniform(-self.spread_m, self.spread_m, 2)
        yaw = rng.uniform(-self.yaw_rad, self.yaw_rad)
        s = self.start_spread_m
        offset = rng.uniform((-s, -s, -0.01), (s, s, 0.02))
        tool = down_pose(self.home_base_tcp[:3] + offset, rng.uniform(-0.1, 0.1))
        return Start(tool, 2 * sk.PLUG_HALF_M, {"socket": flat_pose((0.5 + place[0], place[1], 0.0), yaw)})

    def observe(self, now: Snapshot) -> dict[str, npt.ArrayLike]:
        """The rim's centre in the tool frame, from the tip."""
        rim = pose_compose(now.objects["socket"], flat_pose((0.0, 0.0, sk.SOCKET_HEIGHT_M)))
        in_tool = Snapshot(now.arm, now.gripper, {"rim": rim}).pose_tcp_object("rim")[:3]
        return {"socket_position": in_tool - [0.0, 0.0, TIP_M], "socket_yaw": self._yaw_error(now)}

    def locate(self, values: Mapping[str, Array], pose_base_tcp: Array) -> dict[str, Array]:
        """The socket, standing upright, and the peg in the hand."""
        rim = seen_from_tool(pose_base_tcp, values["socket_position"] + np.array([0.0, 0.0, TIP_M]))
        foot = rim - np.array([0.0, 0.0, sk.SOCKET_HEIGHT_M])
        yaw = yaw_of(pose_base_tcp) + values["socket_yaw"].item()
        return {"peg": pose_base_tcp.copy(), "socket": flat_pose(foot, yaw)}

    def success(self, now: Snapshot) -> bool:
        """Seated."""
        return sk.depth_m(self._tip(now), now.objects["socket"]) > sk.SEATED_M

    def progress(self, now: Snapshot) -> float:
        """Nearing the hole, then depth."""
        if self.success(now):
            return 1.0
        return sk.insertion_progress(self._tip(now), now.objects["socket"], self._yaw_error(now))

    def plan(self, now: Snapshot, phase: int) -> Waypoint:
        """Hover, lower, feel."""
        return sk.plan_insertion(now, self._tip(now), now.objects["socket"], phase, first=0)

    def _tip(self, now: Snapshot) -> Array:
        return sk.tip_of(now.arm.pose_base_tcp, TIP_M)

    def _yaw_error(self, now: Snapshot) -> float:
        return square_yaw(yaw_of(now.objects["socket"]) - yaw_of(now.arm.pose_base_tcp))
