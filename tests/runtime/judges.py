"""Classifiers of both tasks with a cube, fitted in seconds: a linear map on small pictures of the side camera.

What the two see comes from a few scripted episodes, which go on after success; nothing here is told where the cube is.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import numpy.typing as npt

from robot_rl.envs import make_env, make_expert
from robot_rl.envs.judging import NeverDone
from robot_rl.envs.tasks import make_task
from robot_rl.rewards.gate import Bound, GateSpec
from robot_rl.rewards.model_file import CameraInfo, ModelInfo, write_model
from robot_rl.vision.preprocess import PreprocessSpec, preprocess

TASKS = ("MoveCubeOut", "MoveCubeBack")
SHAPE = (64, 64)
SPEC = PreprocessSpec(32, crop=(0.1, 0.3, 0.9, 0.85), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
GATE = GateSpec(on=0.7, off=0.5, k_on=3, require=(Bound("gripper_width_m", 0.07, 0.09),))
EPISODES, STEPS, AFTER = 6, 80, 5
RIDGE = 1.0
# Keeps the hidden unit above zero, where its rectifier changes nothing.
LIFT = 10.0
STEEPNESS = 12.0


def judge_pair(folder: Path) -> tuple[Path, Path]:
    """A model of each task in a folder of its name."""
    frames = [film(task) for task in TASKS]
    pictures = np.concatenate([p for p, _ in frames])
    none = [np.zeros(len(done), bool) for _, done in frames]
    first = _write(folder / TASKS[0], TASKS[0], pictures, np.concatenate([frames[0][1], none[1]]))
    return first, _write(folder / TASKS[1], TASKS[1], pictures, np.concatenate([none[0], frames[1][1]]))


def film(task: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Pictures ``uint8[N, *SHAPE, 3]``, and whether the task was done in each."""
    pictures: list[npt.NDArray[np.uint8]] = []
    done: list[bool] = []
    with closing(make_env(task, cameras=("side",), image_size=SHAPE, detector=NeverDone())) as env:
        for seed in range(EPISODES):
            env.reset(seed=seed)
            expert, after = make_expert(env, np.random.default_rng(seed)), 0
            while after < AFTER and len(pictures) < (seed + 1) * STEPS:
                obs, *_ = env.step(expert.act())
                pictures.append(obs["images"]["side"])
                done.append(env.task.success(env.snapshot))
                after += done[-1]
    return np.stack(pictures), np.array(done)


def _write(folder: Path, task: str, pictures: npt.NDArray[np.uint8], done: npt.NDArray[np.bool_]) -> Path:
    inputs = preprocess(pictures, SPEC).reshape(len(pictures), -1).astype(np.float64)
    sure = np.where(done, len(done) / max(1, done.sum()), 1.0)  # few frames show success
    scaled = inputs * np.sqrt(sure)[:, None]
    weights = np.linalg.solve(scaled @ scaled.T + RIDGE * np.eye(len(done)), np.where(done, 1.0, -1.0) * np.sqrt(sure))
    arrays = {
        "side/0/dense0.weight": (scaled.T @ weights)[:, None].astype(np.float32),
        "side/0/dense0.bias": np.full(1, LIFT, np.float32),
        "side/0/dense1.weight": np.full((1, 1), STEEPNESS, np.float32),
        "side/0/dense1.bias": np.full(1, -STEEPNESS * LIFT, np.float32),
    }
    info = ModelInfo(
        "cnn",
        task,
        {"side": CameraInfo(SHAPE, SPEC)},
        GATE,
        tuple(make_task(task).home_base_tcp.tolist()),
        {"members": 1, "offset": 0.0, "temperature": {"side": 1.0}},
        {"episodes": []},
    )
    write_model(folder, info, arrays)
    return folder
