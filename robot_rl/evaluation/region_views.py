"""What cameras see of a task, of recorded episodes or of a cell, for choosing a region."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from robot_rl.controllers.se3 import quat_to_matrix
from robot_rl.core.crops import CROP_HEIGHT, CROP_WIDTH, CROPS, Crop
from robot_rl.core.errors import DataError, unknown_name
from robot_rl.core.protocols import Camera
from robot_rl.core.types import Array, Image
from robot_rl.data.episode_log import Episode
from robot_rl.envs import CellEnv, make_env, make_expert
from robot_rl.envs.tasks.base import Snapshot
from robot_rl.hardware.cameras.make import make_camera
from robot_rl.hardware.cell.description import CameraConfig
from robot_rl.hardware.imperfect.devices import ImperfectCamera
from robot_rl.hardware.mujoco.devices import SimCamera
from robot_rl.runtime.repeat import command, read_repeat_facts

# Corners of what fingers and hand take up around the tool centre point.
_TOOL_M = np.array([[x, y, z] for x in (-0.02, 0.02) for y in (-0.05, 0.05) for z in (-0.06, 0.01)])
_SHOWN_OF_SIM: Crop = ((CROP_WIDTH - CROP_HEIGHT) // 2, 0, CROP_HEIGHT, CROP_HEIGHT)


class Sight(NamedTuple):
    """What one camera saw.

    Attributes:
        frames: ``uint8[H, W, 3]`` each, in their order in time; at least one.
        pixels: columns and rows ``[n, 2]`` of tool and objects in all of them; None where they are not known.
        usual: what a policy sees of a frame without a region.
    """

    frames: list[Image]
    pixels: Array | None
    usual: Crop


def sights_of_task(
    task: str, options: Mapping[str, Any], cameras: tuple[str, ...], *, episodes: int, seed: int
) -> dict[str, Sight]:
    """Let the task's scripted expert act in simulation.

    Raises:
        ConfigError: unknown task or option.
        DeviceError: unknown camera, or nothing can be rendered.
    """
    rng = np.random.default_rng(seed)
    with closing(_open(task, options, cameras)) as env:
        gathered = _Gathered(env)
        for n in range(episodes):
            gathered.look(env.reset(seed=seed + n)[0])
            expert, ended = make_expert(env, rng), False
            while not ended:
                obs, _, terminated, truncated, _ = env.step(expert.act())
                ended = terminated or truncated
                gathered.look(obs)
        return gathered.sights()


def sights_of_repetition(episodes: Sequence[Episode], cameras: tuple[str, ...]) -> dict[str, Sight]:
    """Take the actions of recorded episodes of one task again in simulation, with larger pictures.

    Raises:
        DataError: an episode cannot be repeated.
    """
    _, options = read_repeat_facts(episodes[0].meta)
    with closing(_open(episodes[0].meta.task, options, cameras)) as env:
        gathered = _Gathered(env)
        for episode in episodes:
            gathered.look(env.reset(seed=read_repeat_facts(episode.meta)[0])[0])
            for record in episode.records:
                obs, _, terminated, truncated, _ = env.step(command(record))
                gathered.look(obs)
                if terminated or truncated:
                    break
        return gathered.sights()


def sights_of_records(episodes: Iterable[Episode], cameras: tuple[str, ...]) -> dict[str, Sight]:
    """The pictures that were recorded.

    Raises:
        DataError: there is no picture of a camera.
    """
    frames: dict[str, list[Image]] = {}
    for episode in episodes:
        for record in episode.records:
            for name, image in record.obs.images.items():
                frames.setdefault(name, []).append(image)
    for name in cameras:
        if name not in frames:
            raise DataError(unknown_name("camera with recorded pictures", name, frames))
    wanted = cameras or tuple(sorted(frames))
    if not wanted:
        raise DataError("the episodes hold no pictures")
    return {n: Sight(frames[n], None, (0, 0, frames[n][0].shape[1], frames[n][0].shape[0])) for n in wanted}


def sights_of_devices(cameras: Mapping[str, CameraConfig], seconds: float) -> dict[str, Sight]:
    """Watch the real cameras of a cell one after the other, without their crops.

    Raises:
        ConfigError: a camera is simulated, or what it needs is missing.
        DeviceError: one is not there or gives no picture.
    """
    found = {}
    for name, config in cameras.items():
        with closing(make_camera(replace(config, crop=None, image_size=None))) as camera:
            frames = [camera.read()]
            until_s = time.monotonic() + seconds
            while time.monotonic() < until_s:
                time.sleep(0.5 / config.hz)
                frame = camera.read()
                if frame.sequence != frames[-1].sequence:
                    frames.append(frame)
        height, width, _ = frames[0].image.shape
        found[name] = Sight([f.image for f in frames], None, (0, 0, width, height))
    return found


def _open(task: str, options: Mapping[str, Any], cameras: tuple[str, ...]) -> CellEnv:
    uncropped = {name: value for name, value in options.items() if name != CROPS}
    return make_env(task, cameras=cameras, image_size=(CROP_HEIGHT, CROP_WIDTH), **uncropped)


class _Gathered:
    """Pictures of an environment's cameras, and where in them tool and objects are."""

    def __init__(self, env: CellEnv) -> None:
        self._env = env
        self._cameras = {name: _simulated(camera) for name, camera in env.cell.cameras.items()}
        self._frames: dict[str, list[Image]] = {name: [] for name in self._cameras}
        self._pixels: dict[str, list[Array]] = {name: [] for name in self._cameras}

    def look(self, obs: Mapping[str, Any]) -> None:
        points = _points(self._env, self._env.snapshot)
        for name, camera in self._cameras.items():
            self._frames[name].append(obs["images"][name])
            self._pixels[name].append(camera.pixels_of(points))

    def sights(self) -> dict[str, Sight]:
        return {n: Sight(self._frames[n], np.concatenate(self._pixels[n]), _SHOWN_OF_SIM) for n in self._cameras}


def _simulated(camera: Camera) -> SimCamera:
    inner = camera.camera if isinstance(camera, ImperfectCamera) else camera
    assert isinstance(inner, SimCamera)
    return inner


def _points(env: CellEnv, now: Snapshot) -> Array:
    """Corners ``[n, 3]`` of the tool and of the objects in the base frame."""
    found = [_moved(now.arm.pose_base_tcp, _TOOL_M)]
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    for item in env.task.objects:
        corners = [np.asarray(b.position_m) + signs * np.asarray(b.half_size_m) for b in item.boxes]
        found.append(_moved(now.objects[item.name], np.concatenate(corners)))
    return np.concatenate(found)


def _moved(pose: Array, points_m: Array) -> Array:
    return np.asarray(points_m @ quat_to_matrix(pose[3:]).T + pose[:3], np.float64)
