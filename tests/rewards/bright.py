"""A success classifier whose weights are written down: it takes a bright picture for success."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from robot_rl.core.types import Image
from robot_rl.rewards.drift import make_watch
from robot_rl.rewards.gate import GateSpec
from robot_rl.rewards.model_file import CameraInfo, ModelInfo, write_model
from robot_rl.vision.preprocess import PreprocessSpec

SHAPE = (24, 32)
SIZE = 8
SPEC = PreprocessSpec(SIZE, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
HOME = (0.5, 0.0, 0.18, 1.0, 0.0, 0.0, 0.0)


def picture(level: float, seed: int = 0, shape: tuple[int, int] = SHAPE) -> Image:
    """A noisy picture of a brightness in [0, 1]."""
    noise = np.random.default_rng(seed).normal(0.0, 12.0, (*shape, 3))
    return np.clip(255.0 * level + noise, 0, 255).astype(np.uint8)


def bright_arrays(cameras: tuple[str, ...], *, watched: bool = True) -> dict[str, Any]:
    """Logit 40 (mean - 0.5): a level of 0.6 is a probability of 0.98, one of 0.4 of 0.02."""
    inputs = SIZE * SIZE * 3
    out: dict[str, Any] = {}
    for camera in cameras:
        out[f"{camera}/0/dense0.weight"] = np.full((inputs, 1), 1.0 / inputs, np.float32)
        out[f"{camera}/0/dense0.bias"] = np.zeros(1, np.float32)
        out[f"{camera}/0/dense1.weight"] = np.full((1, 1), 40.0, np.float32)
        out[f"{camera}/0/dense1.bias"] = np.full(1, -20.0, np.float32)
        if watched:
            frames = np.stack([picture(level, k) for k, level in enumerate(np.linspace(0.2, 0.8, 60))])
            out |= make_watch(frames, np.random.default_rng(0)).to_arrays(f"{camera}/")
    return out


def bright_info(cameras: tuple[str, ...] = ("side",), **changes: Any) -> ModelInfo:
    """What is known about it."""
    known: Mapping[str, Any] = {
        "kind": "cnn",
        "task": "PickCube",
        "cameras": {camera: CameraInfo(SHAPE, SPEC) for camera in cameras},
        "gate": GateSpec(on=0.7, off=0.5, k_on=3),
        "home_base_tcp": HOME,
        "settings": {"members": 1, "offset": 0.0, "temperature": dict.fromkeys(cameras, 1.0)},
        "card": {"episodes": ["seen-000001"]},
    }
    return ModelInfo(**{**known, **changes})


def bright_model(folder: Path, cameras: tuple[str, ...] = ("side",), *, watched: bool = True, **changes: Any) -> Path:
    """The model in a folder."""
    write_model(folder, bright_info(cameras, **changes), bright_arrays(cameras, watched=watched))
    return folder
