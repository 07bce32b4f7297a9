"""What a policy sees of a cell: one packed state row and pictures, and the space they live in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from robot_rl.controllers.se3 import quat_inverse, quat_rotate, tool_delta
from robot_rl.core.protocols import Camera
from robot_rl.core.specs import Part, StateSpec
from robot_rl.core.types import Frame
from robot_rl.envs.tasks.base import Snapshot, Task

ROBOT_PARTS = (
    Part("tcp_position", 3, "m", "home", scale=0.1),
    Part("tcp_rotation", 3, "rad", "home", scale=0.3),
    Part("tcp_velocity", 3, "m/s", "tcp", scale=0.1),
    Part("tcp_angular_velocity", 3, "rad/s", "tcp", scale=0.5),
    Part("tcp_force", 3, "N", "tcp", scale=10.0),
    Part("tcp_torque", 3, "Nm", "tcp", scale=1.0),
)
GRIPPER_PARTS = (
    Part("gripper_width", 1, "m", scale=0.04, center=0.04),
    Part("gripper_target", 1, "m", scale=0.04, center=0.04),
)


def make_state_spec(task: Task, *, objects: bool = True) -> StateSpec:
    """Layout of the state row: the robot's parts, the gripper's where it may be commanded, the task's if wanted."""
    gripper = GRIPPER_PARTS if task.action_spec.gripper_active else ()
    return StateSpec(ROBOT_PARTS + gripper + (task.parts if objects else ()))


def make_observation_space(spec: StateSpec, cameras: Mapping[str, Camera]) -> gym.spaces.Dict:
    """The gymnasium space of what `observe` answers."""
    space: dict[str, gym.Space[Any]] = {"state": gym.spaces.Box(-np.inf, np.inf, (spec.size,), np.float32)}
    if cameras:
        images: dict[str, gym.Space[Any]] = {n: gym.spaces.Box(0, 255, c.shape, np.uint8) for n, c in cameras.items()}
        space["images"] = gym.spaces.Dict(images)
    return gym.spaces.Dict(space)


def observe(now: Snapshot, task: Task, spec: StateSpec, frames: Mapping[str, Frame]) -> dict[str, Any]:
    """The observation at a control tick.

    Args:
        now: readings.
        task: adds its parts if the layout has them.
        spec: of `make_state_spec`.
        frames: by camera.

    Returns:
        ``{"state": float32[n]}``, and ``"images"`` by camera if there are any.

    Raises:
        DataError: a value is not finite.
    """
    arm = now.arm
    from_home = tool_delta(task.home_base_tcp, arm.pose_base_tcp)
    inverse = quat_inverse(arm.pose_base_tcp[3:])
    values: dict[str, npt.ArrayLike] = {
        "tcp_position": from_home[:3],
        "tcp_rotation": from_home[3:],
        "tcp_velocity": quat_rotate(inverse, arm.twist_base_tcp[:3]),
        "tcp_angular_velocity": quat_rotate(inverse, arm.twist_base_tcp[3:]),
        "tcp_force": arm.wrench_tcp[:3],
        "tcp_torque": arm.wrench_tcp[3:],
    }
    if task.action_spec.gripper_active:
        values |= {"gripper_width": now.gripper.width_m, "gripper_target": now.gripper.target_m}
    told = task.observe(now)
    obs: dict[str, Any] = {"state": spec.pack(values | {n: v for n, v in told.items() if n in spec.slices})}
    if frames:
        obs["images"] = {name: frame.image for name, frame in frames.items()}
    return obs
