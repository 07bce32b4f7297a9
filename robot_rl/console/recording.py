"""A logged episode as what there was to see, step by step: the form in which the running cell is shown too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from robot_rl.controllers.se3 import apply_tool_delta
from robot_rl.core.errors import ConfigError, DataError, DeviceError, unknown_name
from robot_rl.core.specs import StateSpec
from robot_rl.core.transition import Observation
from robot_rl.core.types import Array
from robot_rl.data.episode_log import Episode, EpisodeMeta, read_episode
from robot_rl.envs.tasks import TASKS, make_task, task_options
from robot_rl.envs.tasks.base import Start, Task
from robot_rl.evaluation.run_record import read_config
from robot_rl.hardware.mujoco import ik, panda
from robot_rl.hardware.mujoco.scene import build_model
from robot_rl.runtime.attend.view import View
from robot_rl.runtime.repeat import read_repeat_facts

CONFIG = "config.yaml"
# An episode lies in RUN/demos or in RUN/episodes/ACTOR.
_FOLDERS_UP = 3


@dataclass(frozen=True)
class Recording:
    """One episode to look at.

    Attributes:
        episode: as it was read, with its header and step records.
        task: with the options of the recording.
        options_known: False where neither the file nor its run says them, so that they are the task's defaults.
        t_s: time of each frame since the episode began ``[frames]``.
        frames: what there was to see before each step, and after the last; the action and the rewards of a frame are
            those of the step that led to it.
        unreached: frames whose joint positions are those of the frame before, because none were found for their pose.
    """

    episode: Episode
    task: Task
    options_known: bool
    t_s: Array
    frames: tuple[View, ...]
    unreached: int = 0

    @property
    def duration_s(self) -> float:
        """Time of the last frame."""
        return float(self.t_s[-1])

    def index_at(self, t_s: float) -> int:
        """Number of the frame that was newest at a time; the first before it, the last after it."""
        return int(np.clip(np.searchsorted(self.t_s, t_s, side="right") - 1, 0, len(self.frames) - 1))


def load_recording(path: str | Path) -> Recording:
    """Read an episode for showing; of one that is cut or still being written, its complete steps.

    Poses are exact to what float32 keeps. Joint positions are not logged: they are found again for each pose, near
    those of the frame before. So the robot has its tool where it was, and its elbow about where it was.

    Args:
        path: ``*.mcap`` or ``*.mcap.partial``.

    Raises:
        DataError: the file is absent, is no episode, holds no complete step, or its state lacks the pose of the tool.
        ConfigError: its task is not one of this program's.
        StorageError: the disk does not give the file away.
    """
    episode = read_episode(path, strict=False)
    if not episode.records:
        why = episode.problem or "it has only begun"
        raise DataError(f"{episode.path} holds no complete step to show ({why}): choose another episode")
    options = _task_options(episode)
    task = make_task(episode.meta.task, **(options or {}))
    return _Replay(episode, task).recording(options is not None)


class _Replay:
    """Turns the state rows of one episode into views."""

    def __init__(self, episode: Episode, task: Task) -> None:
        spec = episode.meta.state_spec
        missing = {"tcp_position", "tcp_rotation"} - set(spec.slices)
        if missing:
            raise DataError(f"the state in {episode.path} has no {' and no '.join(sorted(missing))}: nothing to show")
        self._episode, self._task, self._spec = episode, task, spec
        self._start = _known_start(episode.meta, task)
        self._locatable = all(_same_part(spec, part.name, part.size) for part in task.parts)
        self._model = build_model(task.objects)
        self._q_rad, self._unreached = panda.Q_HOME_RAD, 0
        self._fixed: dict[str, Array] = {}

    def recording(self, options_known: bool) -> Recording:
        records = self._episode.records
        seen = [r.obs for r in records] + [r.final_obs for r in records if r.final_obs is not None]
        frames: list[View] = []
        for k, obs in enumerate(seen):
            frames.append(self._frame(k, obs, frames[-1] if frames else None))
        t_s = np.array([0.0, *(r.t_control_s for r in records)])[: len(seen)]
        return Recording(self._episode, self._task, options_known, t_s, tuple(frames), self._unreached)

    def _frame(self, k: int, obs: Observation, before: View | None) -> View:
        values = {name: value.astype(np.float64) for name, value in self._spec.unpack(obs.state).items()}
        from_home = np.concatenate([values["tcp_position"], values["tcp_rotation"]])
        pose_base_tcp = apply_tool_delta(self._task.home_base_tcp, from_home)
        last = self._episode.records[k - 1] if k else None
        action = np.zeros(7) if last is None else last.action_executed.astype(np.float64)
        step = self._episode.meta.action_spec.step
        return View(
            episode_id=self._episode.records[0].episode_id,
            step_index=k,
            q_rad=self._joints(pose_base_tcp),
            pose_base_tcp=pose_base_tcp,
            pose_base_target=pose_base_tcp
            if before is None
            else apply_tool_delta(before.pose_base_tcp, action[:6] * step),
            wrench_tcp=np.concatenate([values.get("tcp_force", np.zeros(3)), values.get("tcp_torque", np.zeros(3))]),
            gripper_width_m=float(values["gripper_width"][0])
            if "gripper_width" in values
            else self._start.gripper_width_m,
            action=action,
            objects=self._objects(values, pose_base_tcp),
            rewards={} if last is None else last.rewards,
            intervention=last is not None and last.intervention,
            policy_version=-1 if last is None else last.policy_version,
            images=obs.images,
        )

    def _joints(self, pose_base_tcp: Array) -> Array:
        try:
            self._q_rad = ik.solve(self._model, panda.TCP_SITE, pose_base_tcp, self._q_rad)
        except DeviceError:
            self._unreached += 1
        return self._q_rad

    def _objects(self, values: Mapping[str, Array], pose_base_tcp: Array) -> dict[str, Array]:
        found = self._task.locate(values, pose_base_tcp) if self._locatable else {}
        for item in self._task.objects:
            # A fixture stays where it stood first; later sightings of it depend on how a held object leans.
            if item.mount == "fixture" and item.name in found:
                self._fixed.setdefault(item.name, found[item.name])
        return {**self._start.objects, **found, **self._fixed}


def _known_start(meta: EpisodeMeta, task: Task) -> Start:
    """What is certain of an episode's start beyond its states: the gripper's width, and fixtures if it has a seed."""
    try:
        seed, _ = read_repeat_facts(meta)
    except DataError:
        return Start(task.home_base_tcp, task.sample_start(np.random.default_rng(0)).gripper_width_m)
    start = task.sample_start(gym.utils.seeding.np_random(seed)[0])
    fixtures = {o.name for o in task.objects if o.mount == "fixture"}
    return Start(start.pose_base_tcp, start.gripper_width_m, {n: p for n, p in start.objects.items() if n in fixtures})


def _task_options(episode: Episode) -> dict[str, Any] | None:
    """Options of the task at the time: from the file, else from the run it lies in; None where neither says."""
    task = episode.meta.task
    if task not in TASKS:
        raise ConfigError(unknown_name("task", task, TASKS))
    told = _told_options(episode)
    # The others are those of the environment and of the imperfections of its devices.
    return None if told is None else {name: told[name] for name in task_options(TASKS[task]) if name in told}


def _told_options(episode: Episode) -> Mapping[str, Any] | None:
    try:
        return read_repeat_facts(episode.meta)[1]
    except DataError:
        pass
    for folder in list(episode.path.absolute().parents)[:_FOLDERS_UP]:
        config, _ = read_config(folder / CONFIG)
        if config.get("task") == episode.meta.task and isinstance(config.get("task_options"), dict):
            return dict(config["task_options"])
    return None


def _same_part(spec: StateSpec, name: str, size: int) -> bool:
    return name in spec.slices and spec.slices[name].stop - spec.slices[name].start == size
