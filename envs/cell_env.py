"""The robot cell as a gymnasium environment. It knows device protocols and one task, nothing below them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from robot_rl.controllers.safety import limit_target
from robot_rl.controllers.se3 import apply_tool_delta, quat_inverse, quat_rotate, tool_delta
from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.protocols import Cell
from robot_rl.core.specs import ACTION_SIZE, GRIPPER, GRIPPER_THRESHOLD, ActionSpec, Part, StateSpec
from robot_rl.core.types import Array, Float32, Frame, Image
from robot_rl.envs.tasks.base import Snapshot, Start, Task

FORCE_FAULT = "force_limit"
STALE_STATE = "stale_state"
STALE_CAMERA = "stale_camera"
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


@dataclass(frozen=True)
class EnvOptions:
    """How the cell is run as an environment.

    Attributes:
        hz: policy rate.
        dense_reward: add the change of the task's potential to the sparse success reward.
        force_limit_n: a tool force above it, after the 30 Hz filter of the sensor, ends the episode; 0 disables.
        force_penalty: reward lost by such an end. The end is a truncation, whose value is bootstrapped, so without
            a penalty nothing would tell the policy to be gentle.
        max_state_age_s: an older reading of arm or gripper at a control tick ends the episode; 0 disables.
        max_frame_age_s: the same for pictures.
    """

    hz: float = 10.0
    dense_reward: bool = False
    force_limit_n: float = 80.0
    force_penalty: float = 1.0
    max_state_age_s: float = 0.2
    max_frame_age_s: float = 0.5

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: naming the option, its value and what it may be.
        """
        if not 1.0 <= self.hz <= 100.0:
            raise ConfigError(f"hz must lie in [1, 100], got {self.hz}")
        for name in ("force_limit_n", "force_penalty", "max_state_age_s", "max_frame_age_s"):
            if not getattr(self, name) >= 0.0:
                raise ConfigError(f"{name} must be 0 or more, got {getattr(self, name)}")


class CellEnv(gym.Env[dict[str, Any], Float32]):
    """One task on one cell.

    Actions are ``float32[7]`` in [-1, 1]: translation and rotation vector in the tool frame, as a change of the
    measured pose in units of the task's `ActionSpec`, and the gripper (above 0.5 opens, below -0.5 closes, else keeps).
    Observations are ``{"state": float32[n]}``, laid out by `state_spec`, and ``"images"`` by camera if there are any.
    The info of a step holds what the episode log needs: ``action_executed``, ``rewards``, ``success``, ``stop_reason``,
    ``t_control_s`` (since the episode began), ``progress``.

    Args:
        cell: the devices; closed with the environment.
        task: what to do.
        options: rates, rewards, limits.
        renderer: object with ``render() -> uint8[H, W, 3]`` and ``close()`` behind `render()`, or None.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(self, cell: Cell, task: Task, options: EnvOptions | None = None, renderer: Any = None) -> None:
        self.cell, self.task = cell, task
        self.options = options or EnvOptions()
        self.hz = self.options.hz
        self.render_mode = "rgb_array" if renderer is not None else None
        self._renderer = renderer
        gripper = GRIPPER_PARTS if task.action_spec.gripper_active else ()
        self.state_spec = StateSpec(ROBOT_PARTS + gripper + task.parts)
        self.action_spec: ActionSpec = task.action_spec
        self.action_space = gym.spaces.Box(-1.0, 1.0, (ACTION_SIZE,), np.float32)
        self.observation_space = self._make_observation_space()
        self._action_scale = self.action_spec.step
        self._steps, self._began_s, self._tick_s = 0, 0.0, 0.0
        self._now: Snapshot | None = None
        self._frames: dict[str, Frame] = {}
        self._pose_target: Array = task.home_base_tcp
        self._potential = 0.0

    @property
    def task_id(self) -> str:
        """Name of the task."""
        return self.task.id

    @property
    def snapshot(self) -> Snapshot:
        """Readings of the last control tick and where the objects truly are.

        For experts, correctors and tests, never for policies.
        """
        if self._now is None:
            raise DataError("call reset() before asking for the state of an episode")
        return self._now

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Bring the cell to a start state drawn from the seed.

        Args:
            seed: equal seeds give bit-identical episodes for equal actions on a lock-step cell.
            options: ``{"start": Start}`` prescribes the start instead.

        Raises:
            DataError: a reading or a picture is too old, see `EnvOptions`.
        """
        super().reset(seed=seed)
        start: Start = (options or {}).get("start") or self.task.sample_start(self.np_random)
        if self.cell.reseed is not None:
            self.cell.reseed(int(self.np_random.integers(2**63)))
        self.cell.world.reset(start.pose_base_tcp, start.gripper_width_m, start.objects)
        self.cell.gripper.command(start.gripper_width_m)
        self._steps = 0
        self._now = self._read()
        self._began_s = self._tick_s
        stale = self._stale(self._now)
        if stale is not None:
            raise DataError(f"{stale} after a reset: no fresh reading came within the limits of the environment")
        self._pose_target = self._now.arm.pose_base_tcp
        self._potential = self.task.progress(self._now)
        return self._observe(self._now), {"t_control_s": 0.0, "progress": self._potential}

    def step(self, action: npt.ArrayLike) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """One control step: command, wait for the tick, read.

        Raises:
            DataError: the action is not seven finite numbers.
        """
        before = self.snapshot
        tick_s = self._tick_s + 1.0 / self.hz
        executed = self._command(_checked(action), before)
        self.cell.clock.sleep_until(tick_s)
        self._steps += 1
        now = self._now = self._read()
        success = self.task.success(now)
        fault = now.arm.fault or self._overload(now) or self._stale(now)
        time_out = self._steps >= self.task.episode_steps
        truncated = not success and (fault is not None or time_out)
        rewards = self._rewards(before, now, success, executed)
        rewards["force_penalty"] = -self.options.force_penalty if fault == FORCE_FAULT and not success else 0.0
        reward = rewards["success"] + rewards["process"] + rewards["force_penalty"]
        info = {
            "action_executed": executed,
            "rewards": rewards,
            "success": success,
            "stop_reason": "success" if success else (fault or "time_out") if truncated else "",
            "t_control_s": round(self._tick_s - self._began_s, 6),
            "progress": self._potential,
        }
        return self._observe(now), reward, success, truncated, info

    def render(self) -> Image | None:
        """A picture of the cell, if made with ``render_mode="rgb_array"``."""
        return None if self._renderer is None else self._renderer.render()

    def close(self) -> None:
        """Close the cell and the renderer. May be called twice."""
        if self._renderer is not None:
            self._renderer.close()
        self.cell.close()

    def _command(self, action: Float32, now: Snapshot) -> Float32:
        """Send an action through the safety filter; answer what was executed, in the policy's frame."""
        measured = now.arm.pose_base_tcp
        wanted = apply_tool_delta(measured, action[:6] * self._action_scale)
        limited = limit_target(wanted, self._pose_target, measured, self.task.limits)
        self._pose_target = limited.pose
        self.cell.arm.set_target(limited.pose)
        executed = np.empty(ACTION_SIZE, np.float32)
        if limited.active:
            executed[:6] = np.clip(tool_delta(measured, limited.pose) / self._action_scale, -1.0, 1.0)
        else:
            executed[:6] = action[:6]
        executed[GRIPPER] = action[GRIPPER]
        if abs(action[GRIPPER]) > GRIPPER_THRESHOLD:
            self.cell.gripper.command(now.gripper.max_width_m if action[GRIPPER] > 0 else 0.0)
        return executed

    def _rewards(self, before: Snapshot, now: Snapshot, success: bool, executed: Float32) -> dict[str, float]:
        potential = self.task.progress(now)
        process = potential - self._potential if self.options.dense_reward else 0.0
        self._potential = potential
        opened = before.gripper.target_m > 0.5 * before.gripper.max_width_m
        toggled = (executed[GRIPPER] < -GRIPPER_THRESHOLD and opened) or (
            executed[GRIPPER] > GRIPPER_THRESHOLD and not opened
        )
        return {"success": float(success), "process": float(process), "grasp_penalty": -1.0 if toggled else 0.0}

    def _overload(self, now: Snapshot) -> str | None:
        limit = self.options.force_limit_n
        return FORCE_FAULT if 0 < limit < float(np.linalg.norm(now.arm.wrench_tcp[:3])) else None

    def _stale(self, now: Snapshot) -> str | None:
        """What is too old to act on, of what was read at the last tick."""
        for limit_s, fault, taken_s in (
            (self.options.max_state_age_s, STALE_STATE, [now.arm.t_s, now.gripper.t_s]),
            (self.options.max_frame_age_s, STALE_CAMERA, [f.t_s for f in self._frames.values()]),
        ):
            if limit_s > 0 and any(self._tick_s - t_s > limit_s for t_s in taken_s):
                return fault
        return None

    def _read(self) -> Snapshot:
        world = self.cell.world
        # Not the stamp of a reading: a late one would make the next control period shorter.
        self._tick_s = self.cell.clock.now_s()
        self._frames = {name: camera.read() for name, camera in self.cell.cameras.items()}
        return Snapshot(
            self.cell.arm.state(),
            self.cell.gripper.state(),
            {o.name: world.object_pose(o.name) for o in self.task.objects},
        )

    def _observe(self, now: Snapshot) -> dict[str, Any]:
        arm = now.arm
        from_home = tool_delta(self.task.home_base_tcp, arm.pose_base_tcp)
        inverse = quat_inverse(arm.pose_base_tcp[3:])
        values: dict[str, npt.ArrayLike] = {
            "tcp_position": from_home[:3],
            "tcp_rotation": from_home[3:],
            "tcp_velocity": quat_rotate(inverse, arm.twist_base_tcp[:3]),
            "tcp_angular_velocity": quat_rotate(inverse, arm.twist_base_tcp[3:]),
            "tcp_force": arm.wrench_tcp[:3],
            "tcp_torque": arm.wrench_tcp[3:],
        }
        if self.action_spec.gripper_active:
            values |= {"gripper_width": now.gripper.width_m, "gripper_target": now.gripper.target_m}
        obs: dict[str, Any] = {"state": self.state_spec.pack(values | self.task.observe(now))}
        if self._frames:
            obs["images"] = {name: frame.image for name, frame in self._frames.items()}
        return obs

    def _make_observation_space(self) -> gym.spaces.Dict:
        space: dict[str, gym.Space[Any]] = {
            "state": gym.spaces.Box(-np.inf, np.inf, (self.state_spec.size,), np.float32)
        }
        if self.cell.cameras:
            images: dict[str, gym.Space[Any]] = {
                n: gym.spaces.Box(0, 255, c.shape, np.uint8) for n, c in self.cell.cameras.items()
            }
            space["images"] = gym.spaces.Dict(images)
        return gym.spaces.Dict(space)


def _checked(action: npt.ArrayLike) -> Float32:
    array = np.asarray(action, np.float32)
    if array.shape != (ACTION_SIZE,) or not np.isfinite(array).all():
        raise DataError(f"an action is {ACTION_SIZE} finite numbers in [-1, 1], got {np.asarray(action).tolist()}")
    return np.clip(array, -1.0, 1.0)
