"""The robot cell as a gymnasium environment. It knows device protocols and one task, nothing below them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from robot_rl.controllers.safety import limit_target
from robot_rl.controllers.se3 import apply_tool_delta, tool_delta
from robot_rl.core.errors import DataError, DeviceError, SafetyFault
from robot_rl.core.protocols import Cell, Detector, RewardModel
from robot_rl.core.specs import ACTION_SIZE, GRIPPER, GRIPPER_THRESHOLD, ActionSpec, StateSpec
from robot_rl.core.types import Array, CellReadings, Float32, Frame, Image
from robot_rl.envs.judging import Judgement, Judging
from robot_rl.envs.observation import make_observation_space, make_state_spec, observe
from robot_rl.envs.options import EnvOptions
from robot_rl.envs.preparation import Preparation
from robot_rl.envs.tasks.base import Snapshot, Start, Task
from robot_rl.envs.ticks import ControlTicks

FORCE_FAULT = "force_limit"
STALE_STATE = "stale_state"
STALE_CAMERA = "stale_camera"
DEVICE_ERROR = "device_error"


class Closeable(Protocol):
    """Something that an environment was given for life."""

    def close(self) -> None:
        """Release it."""
        ...


class CellEnv(gym.Env[dict[str, Any], Float32]):
    """One task on one cell.

    Actions are ``float32[7]`` in [-1, 1]: translation and rotation vector in the tool frame, as a change of the
    measured pose in units of the task's `ActionSpec`, and the gripper (above 0.5 opens, below -0.5 closes, else keeps).
    Observations are ``{"state": float32[n]}``, laid out by `state_spec`, and ``"images"`` by camera if there are any.
    The info of a step holds what the episode log needs: ``action_executed``, ``rewards``, ``success``, ``stop_reason``,
    ``t_control_s`` (since the episode began), ``progress``; and ``late_s``, how long after its tick the step woke up,
    ``missed``, whether it was commanded too late for its tick (`robot_rl.envs.ticks`), and ``problem``, what a device
    said that refused the command.

    When an episode ends, the arm holds where it is.

    Args:
        cell: the devices; closed with the environment.
        task: what to do.
        options: rates, rewards, limits.
        renderer: object with ``render() -> uint8[H, W, 3]`` and ``close()`` behind `render()`, or None.
        resources: what the cell needs besides; closed after it, in this order.
        detector: decides on success in place of the task's rules, which are then only told as ``rewards["truth"]``
            where the cell knows its objects, beside its probability as ``rewards["p_success"]``.
        progress: a model whose answer to every tick is told as ``rewards["progress"]``, also by `reset`.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(
        self,
        cell: Cell,
        task: Task,
        options: EnvOptions | None = None,
        renderer: Any = None,
        *,
        resources: Sequence[Closeable] = (),
        detector: Detector | None = None,
        progress: RewardModel | None = None,
    ) -> None:
        self.cell, self.task = cell, task
        self._judging = Judging(cell, task, detector, progress)
        self.options = options or EnvOptions()
        self.hz = self.options.hz
        self.render_mode = "rgb_array" if renderer is not None else None
        self._renderer, self._resources = renderer, tuple(resources)
        self.state_spec: StateSpec = make_state_spec(task, objects=self.options.observe_objects)
        self.action_spec: ActionSpec = task.action_spec
        self.action_space = gym.spaces.Box(-1.0, 1.0, (ACTION_SIZE,), np.float32)
        self.observation_space = make_observation_space(self.state_spec, cell.cameras)
        self._action_scale = self.action_spec.step
        self._preparation = Preparation(cell, task, self.options)
        self._ticks = ControlTicks(cell.clock, self.hz, lockstep=cell.lockstep)
        self._steps, self._began_s = 0, 0.0
        self._closed = False
        self._now: Snapshot | None = None
        self._frames: dict[str, Frame] = {}
        self._pose_target: Array = task.home_base_tcp
        self._potential = 0.0

    @property
    def task_id(self) -> str:
        """Name of the task."""
        return self.task.id

    @property
    def lockstep(self) -> bool:
        """Whether time stands still between two steps."""
        return self.cell.lockstep

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
        """Bring the cell to a start state drawn from the seed. What only a person can do is left: see `wanted`.

        Args:
            seed: equal seeds give bit-identical episodes for equal actions on a lock-step cell.
            options: ``{"start": Start}`` prescribes the start instead, ``{"reset_by": NAME}`` who puts them back.

        Raises:
            DataError: a reading or a picture is too old, something is not at its start, see `EnvOptions`, or a model
                cannot answer.
            SafetyFault: a latched fault keeps the cell from its start state.
            DeviceError: a device is gone, or the cell could not be brought there.
        """
        super().reset(seed=seed)
        told = options or {}
        start: Start = told.get("start") or self.task.sample_start(self.np_random)
        if self.cell.reseed is not None:
            self.cell.reseed(int(self.np_random.integers(2**63)))
        self._preparation.begin(start, told.get("reset_by", ""))
        self.cell.gripper.command(start.gripper_width_m)
        self._steps = 0
        self._ticks.start()
        self._now = self._read()
        self._began_s = self._ticks.now_s
        stale = self._stale(self._now)
        if stale is not None:
            raise DataError(f"{stale} after a reset: no fresh reading came within the limits of the environment")
        self._pose_target = self._now.arm.pose_base_tcp
        self._potential = self.task.progress(self._now)
        return observe(self._now, self.task, self.state_spec, self._frames), {
            "t_control_s": 0.0,
            "progress": self._potential,
            "rewards": self._judging.begin(self._now, self._frames).watched,
        }

    def step(self, action: npt.ArrayLike) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """One control step: command, wait for the tick, read.

        A fault, also one that refuses the command, ends the episode as truncated.

        Raises:
            DataError: the action is not seven finite numbers, a device gives no reading, or a detector cannot judge.
        """
        before, wanted = self.snapshot, _checked(action)
        self._ticks.plan()
        executed, refusal = self._command(wanted, before)
        self._ticks.wait()
        self._steps += 1
        now = self._now = self._read_or_complain()
        judgement = self._judging.judge(now, self._frames, self._ticks.now_s)
        success = judgement.success
        refused = None if refusal is None else getattr(refusal, "fault", DEVICE_ERROR)
        fault = refused or now.arm.fault or self._overload(now) or self._stale(now)
        time_out = self._steps >= self.task.episode_steps
        truncated = not success and (fault is not None or time_out)
        rewards = self._rewards(before, now, judgement, executed)
        rewards["force_penalty"] = -self.options.force_penalty if fault == FORCE_FAULT and not success else 0.0
        reward = rewards["success"] + rewards["process"] + rewards["force_penalty"]
        info = {
            "action_executed": executed,
            "rewards": rewards,
            "success": success,
            "stop_reason": "success" if success else (fault or "time_out") if truncated else "",
            "t_control_s": round(self._ticks.now_s - self._began_s, 6),
            "progress": self._potential,
            "late_s": self._ticks.late_s,
            "missed": self._ticks.missed,
            "problem": "" if refusal is None else str(refusal),
        }
        if success or truncated:
            self._stand_still()
        return observe(now, self.task, self.state_spec, self._frames), reward, success, truncated, info

    def render(self) -> Image | None:
        """A picture of the cell, if made with ``render_mode="rgb_array"``."""
        return None if self._renderer is None else self._renderer.render()

    def wanted(self) -> str:
        """What a person has to see to before the first step, as one sentence; empty when nothing is left.

        To be asked again and again while the arm holds; `look` afterwards.
        """
        return self._preparation.wanted()

    def confirm(self) -> None:
        """A person says that he has done what was `wanted`.

        Raises:
            SafetyFault: as `reset`.
            DeviceError: as `reset`.
        """
        self._preparation.confirm()

    def give_up(self) -> None:
        """The policy cannot go on from where the objects lie: the next `reset` has them put back, whoever resets."""
        self._preparation.give_up()

    @property
    def put_back(self) -> int:
        """How often an object had to be put back by somebody since the environment was made."""
        return self._preparation.put_back

    def look(self) -> dict[str, Any]:
        """A new observation without a step, for example after a wait in which a person moved something.

        What he moved is no progress of the policy's, and what passed before the first step no time of the episode's.

        Raises:
            DataError: a device gave no reading.
        """
        self._now = self._read_or_complain()
        self._potential = self.task.progress(self._now)
        if self._steps == 0:
            self._ticks.start()
            self._began_s = self._ticks.now_s
        return observe(self._now, self.task, self.state_spec, self._frames)

    def readings(self) -> CellReadings | None:
        """What is known about the cell, for people who watch; None before the first reset."""
        now = self._now
        return None if now is None else CellReadings(now.arm, now.gripper, now.objects, self._pose_target)

    def hold(self) -> None:
        """Have the arm stay where it is because the next step may be long in coming; it will not count as late.

        Does nothing in lock-step, where nothing moves between two steps.
        """
        if not self.cell.lockstep:
            self._stand_still()
            self._ticks.begin_anew()

    def close(self) -> None:
        """Hold the arm, close the cell, the renderer and what else was given. May be called twice."""
        if self._closed:
            return
        self._closed = True
        self.hold()
        if self._renderer is not None:
            self._renderer.close()
        with ExitStack() as stack:
            for resource in reversed(self._resources):
                stack.callback(resource.close)
            self.cell.close()

    def _stand_still(self) -> None:
        # An arm that cannot be told to hold says why when it is told anything else.
        with suppress(SafetyFault, DeviceError):
            self.cell.arm.hold()

    def _command(self, action: Float32, now: Snapshot) -> tuple[Float32, SafetyFault | DeviceError | None]:
        """Send an action through the safety filter.

        Returns:
            What was executed, in the policy's frame, and what refused the rest of it.
        """
        executed = np.zeros(ACTION_SIZE, np.float32)
        try:
            executed[:6] = self._command_arm(action, now)
            if abs(action[GRIPPER]) > GRIPPER_THRESHOLD:
                self.cell.gripper.command(now.gripper.max_width_m if action[GRIPPER] > 0 else 0.0)
            executed[GRIPPER] = action[GRIPPER]
        except SafetyFault as e:
            return executed, e
        except DeviceError as e:
            if self.cell.lockstep:
                raise
            return executed, e
        return executed, None

    def _command_arm(self, action: Float32, now: Snapshot) -> Float32:
        measured = now.arm.pose_base_tcp
        wanted = apply_tool_delta(measured, action[:6] * self._action_scale)
        limited = limit_target(wanted, self._pose_target, measured, self.task.limits)
        self.cell.arm.set_target(limited.pose)
        self._pose_target = limited.pose
        if limited.active:
            return np.clip(tool_delta(measured, limited.pose) / self._action_scale, -1.0, 1.0).astype(np.float32)
        return action[:6]

    def _rewards(self, before: Snapshot, now: Snapshot, judgement: Judgement, executed: Float32) -> dict[str, float]:
        potential = self.task.progress(now)
        process = potential - self._potential if self.options.dense_reward else 0.0
        self._potential = potential
        opened = before.gripper.target_m > 0.5 * before.gripper.max_width_m
        toggled = (executed[GRIPPER] < -GRIPPER_THRESHOLD and opened) or (
            executed[GRIPPER] > GRIPPER_THRESHOLD and not opened
        )
        own = {"success": float(judgement.success), "process": process, "grasp_penalty": -1.0 if toggled else 0.0}
        return {**own, **judgement.watched}

    def _overload(self, now: Snapshot) -> str | None:
        limit = self.options.force_limit_n
        return FORCE_FAULT if 0 < limit < float(np.linalg.norm(now.arm.wrench_tcp[:3])) else None

    def _stale(self, now: Snapshot) -> str | None:
        """What is too old to act on, of what was read at the last tick."""
        for limit_s, fault, taken_s in (
            (self.options.max_state_age_s, STALE_STATE, [now.arm.t_s, now.gripper.t_s]),
            (self.options.max_frame_age_s, STALE_CAMERA, [f.t_s for f in self._frames.values()]),
        ):
            if limit_s > 0 and any(self._ticks.now_s - t_s > limit_s for t_s in taken_s):
                return fault
        return None

    def _read_or_complain(self) -> Snapshot:
        try:
            return self._read()
        except DeviceError as e:
            if self.cell.lockstep:
                raise
            raise DataError(f"no reading at the end of a step: {e}") from e

    def _read(self) -> Snapshot:
        world = self.cell.world
        self._frames = {name: camera.read() for name, camera in self.cell.cameras.items()}
        return Snapshot(
            self.cell.arm.state(),
            self.cell.gripper.state(),
            {o.name: world.object_pose(o.name) for o in self.task.objects},
        )


def _checked(action: npt.ArrayLike) -> Float32:
    array = np.asarray(action, np.float32)
    if array.shape != (ACTION_SIZE,) or not np.isfinite(array).all():
        raise DataError(f"an action is {ACTION_SIZE} finite numbers in [-1, 1], got {np.asarray(action).tolist()}")
    return np.clip(array, -1.0, 1.0)
