"""Pull a plug out of its holder, carry it over and insert it into a socket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from robot_rl.controllers.impedance import ImpedanceParams
from robot_rl.controllers.safety import TargetLimits
from robot_rl.controllers.se3 import pose_compose, quat_multiply, quat_rotate, rotvec_to_quat
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
    tilt_of,
    workspace,
    yaw_of,
)

HOLDER_DEPTH_M = 0.02
HALF_LENGTH_M = sk.PLUG_LENGTH_M / 2
# Fingers hold the plug's upper third.
GRASP_ABOVE_CENTRE_M = 0.016
PLUG = SceneObject(
    "plug", (Box((sk.PLUG_HALF_M, sk.PLUG_HALF_M, HALF_LENGTH_M), rgba=sk.BRASS),), mass_kg=0.05, friction=0.5
)


@dataclass(frozen=True)
class GraspInsert(Task):
    """Pick the plug from a holder, then insert it 25 mm deep.

    Attributes:
        clearance_mm: socket width minus plug width.
        spread_m: holder and socket each lie in a square of this half width.
        yaw_rad: both are turned by up to this.
        episode_steps: time limit.
    """

    clearance_mm: float = 1.0
    spread_m: float = 0.015
    yaw_rad: float = 0.15
    episode_steps: int = 160
    action_spec: ActionSpec = ActionSpec(position_m=0.02, rotation_rad=0.1, active=(0, 1, 2, 5, 6))
    home_base_tcp: Array = field(default_factory=lambda: down_pose((0.5, 0.0, 0.16)))
    limits: TargetLimits = field(default_factory=lambda: workspace((0.38, -0.16, 0.02), (0.62, 0.16, 0.24)))
    impedance: ImpedanceParams = field(default_factory=lambda: ImpedanceParams().with_clip(0.008, 0.1))

    @property
    def objects(self) -> tuple[SceneObject, ...]:
        """Plug, holder, socket."""
        holder = sk.socket("holder", 2.0, sk.BLUE, depth_m=HOLDER_DEPTH_M)
        return (PLUG, holder, sk.socket("socket", self.clearance_mm))

    @property
    def parts(self) -> tuple[Part, ...]:
        """Where the plug is, and where the socket's rim is, seen from the plug's tip."""
        return (
            Part("plug_position", 3, "m", "tcp", scale=0.05),
            Part("plug_yaw", 1, "rad", "tcp", scale=0.3),
            Part("plug_height", 1, "m", "base", scale=0.05),
            Part("plug_tilt", 1, "rad", "base", scale=0.1),
            Part("socket_position", 3, "m", "base", scale=0.03),
            Part("socket_yaw", 1, "rad", "tcp", scale=0.1),
        )

    def sample_start(self, rng: np.random.Generator) -> Start:
        """Holder to one side, socket to the other, the plug standing in the holder."""
        s = self.spread_m
        (hx, hy), (gx, gy) = rng.uniform(-s, s, (2, 2))
        holder_yaw, socket_yaw = rng.uniform(-self.yaw_rad, self.yaw_rad, 2)
        tool = rng.uniform((0.48, -0.06, 0.14), (0.52, -0.02, 0.18))
        objects = {
            "holder": flat_pose((0.5 + hx, -0.07 + hy, 0.0), holder_yaw),
            "plug": flat_pose((0.5 + hx, -0.07 + hy, HALF_LENGTH_M), holder_yaw),
            "socket": flat_pose((0.5 + gx, 0.07 + gy, 0.0), socket_yaw),
        }
        return Start(down_pose(tool), 0.08, objects)

    def observe(self, now: Snapshot) -> dict[str, npt.ArrayLike]:
        """Plug in the tool frame, socket relative to the plug's tip."""
        plug, target = now.objects["plug"], now.objects["socket"]
        rim = target[:3] + np.array([0.0, 0.0, sk.SOCKET_HEIGHT_M])
        return {
            "plug_position": now.pose_tcp_object("plug")[:3],
            "plug_yaw": square_yaw(yaw_of(plug) - yaw_of(now.arm.pose_base_tcp)),
            "plug_height": plug[2] - HALF_LENGTH_M,
            "plug_tilt": tilt_of(plug),
            "socket_position": rim - self._tip(now),
            "socket_yaw": square_yaw(yaw_of(target) - yaw_of(now.arm.pose_base_tcp)),
        }

    def locate(self, values: Mapping[str, Array], pose_base_tcp: Array) -> dict[str, Array]:
        """Plug and socket; of the holder the state says nothing.

        A tilted plug leans over one of its four faces, the one that leans most as the tool does.
        """
        heading = yaw_of(pose_base_tcp)
        quat = _leaning(heading + values["plug_yaw"].item(), values["plug_tilt"].item(), pose_base_tcp)
        plug = np.concatenate([seen_from_tool(pose_base_tcp, values["plug_position"]), quat])
        rim = sk.tip_of(plug, -HALF_LENGTH_M) + values["socket_position"]
        foot = rim - np.array([0.0, 0.0, sk.SOCKET_HEIGHT_M])
        return {"plug": plug, "socket": flat_pose(foot, heading + values["socket_yaw"].item())}

    def success(self, now: Snapshot) -> bool:
        """Seated and upright."""
        return sk.depth_m(self._tip(now), now.objects["socket"]) > sk.SEATED_M and tilt_of(now.objects["plug"]) < 0.2

    def progress(self, now: Snapshot) -> float:
        """Approach 0.15, grasp 0.15, lift 0.1, insertion the rest."""
        if self.success(now):
            return 1.0
        plug, target = now.objects["plug"], now.objects["socket"]
        if not self._held(now):
            return float(0.15 * np.exp(-8.0 * np.linalg.norm(self._grasp_point(plug) - now.arm.pose_base_tcp[:3])))
        lift = float(np.clip((plug[2] - HALF_LENGTH_M) / 0.03, 0.0, 1.0))
        yaw = square_yaw(yaw_of(target) - yaw_of(plug))
        return 0.3 + 0.1 * lift + 0.58 * sk.insertion_progress(self._tip(now), target, yaw)

    def plan(self, now: Snapshot, phase: int) -> Waypoint:
        """0 above the plug, 1 down, 2 close and pull, 3 carry, 4 and later insert; 0 again when the plug is lost."""
        plug, target, tool = now.objects["plug"], now.objects["socket"], now.arm.pose_base_tcp
        yaw = yaw_of(tool) + square_yaw(yaw_of(plug) - yaw_of(tool))
        grasp = self._grasp_point(plug)
        off = float(np.hypot(*(grasp[:2] - tool[:2])))
        near = np.linalg.norm(grasp - tool[:3]) < 0.02
        if phase >= 2 and not near:
            phase = 0
        if (
            phase == 0
            and off < 0.006
            and abs(square_yaw(yaw_of(plug) - yaw_of(tool))) < 0.06
            and now.gripper.width_m > 0.06
        ):
            phase = 1
        if phase == 1 and tool[2] - grasp[2] < 0.006:
            phase = 2
        if phase == 0:
            return Waypoint(down_pose((grasp[0], grasp[1], max(grasp[2] + 0.05, 0.1)), yaw), 1.0, 0, speed=0.8)
        if phase == 1:
            return Waypoint(down_pose(grasp, yaw), 1.0, 1, speed=0.7)
        if not self._held(now):
            return Waypoint(tool, -1.0, 2)
        tip = self._tip(now)
        above_rim = tip[2] - sk.SOCKET_HEIGHT_M
        over = np.hypot(*(tip[:2] - target[:2])) < 0.02
        if phase == 2 and above_rim > 0.01:
            phase = 3
        if phase == 2:
            return Waypoint(down_pose((*tool[:2], tool[2] + 0.02), yaw_of(tool)), -1.0, 2, speed=0.8)
        if phase == 3 and not over:
            lateral = tool[:2] + target[:2] - tip[:2]
            goal_yaw = yaw_of(tool) + square_yaw(yaw_of(target) - yaw_of(plug))
            return Waypoint(down_pose((*lateral, tool[2] + 0.015 - above_rim), goal_yaw), -1.0, 3, speed=0.8)
        insert = sk.plan_insertion(now, tip, target, max(phase, 4), first=4)
        return Waypoint(insert.pose_base_tcp, -1.0, insert.phase, insert.speed)

    def _grasp_point(self, plug: Array) -> Array:
        point: Array = pose_compose(plug, flat_pose((0.0, 0.0, GRASP_ABOVE_CENTRE_M)))[:3]
        return point

    def _tip(self, now: Snapshot) -> Array:
        return sk.tip_of(now.objects["plug"], -HALF_LENGTH_M)

    def _held(self, now: Snapshot) -> bool:
        near = np.linalg.norm(self._grasp_point(now.objects["plug"]) - now.arm.pose_base_tcp[:3]) < 0.02
        width = now.gripper.width_m
        return bool(near and now.gripper.target_m < 0.01 and width < 2 * sk.PLUG_HALF_M + 0.003)


def _leaning(yaw_rad: float, tilt_rad: float, pose_base_tcp: Array) -> Array:
    """Orientation of a square plug with a heading, up to quarter turns, and an angle to the vertical."""
    # Turning about the x axis leaves its heading alone. In the hand a plug turns about the axis on which the fingers
    # close, so that it leans towards the tool's x axis when the tool itself is upright.
    lean = quat_rotate(pose_base_tcp[3:], [0.01, 0.0, -1.0])
    quarters = (yaw_rad + 0.5 * np.pi * k for k in range(4))
    fall = rotvec_to_quat(np.array([tilt_rad, 0.0, 0.0]))
    poses = [quat_multiply(rotvec_to_quat(np.array([0.0, 0.0, yaw])), fall) for yaw in quarters]
    return max(poses, key=lambda quat: float(quat_rotate(quat, [0.0, 0.0, 1.0]) @ lean))
