"""What a look of the success classifier costs on one core, beside half a control period."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import numpy as np

from robot_rl.core.types import ArmState, Frame, GripperState
from robot_rl.rewards.classifier import Classifier
from robot_rl.rewards.cnn import CHANNELS, HIDDEN
from robot_rl.rewards.detector import SuccessDetector
from robot_rl.rewards.drift import make_watch
from robot_rl.rewards.model_file import CameraInfo, ModelInfo
from robot_rl.vision.preprocess import PreprocessSpec

LOOKS = 300
CONTROL_HZ = 10.0
MEMBERS = 3
FRAME_PX, SEEN_PX = 128, 64


def reward_latency(looks: int = LOOKS) -> list[dict[str, Any]]:
    """Time of a look through one and two cameras, three networks each, camera watch and gate included.

    Wall times, and the time that the processor was at it, which other programs do not lengthen.

    Args:
        looks: how many are timed.
    """
    return [_row(cameras, looks) for cameras in (("side",), ("wrist", "side"))]


def _row(cameras: tuple[str, ...], looks: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    detector = SuccessDetector(_classifier(cameras, rng))
    frames = [
        {c: Frame(rng.integers(0, 256, (FRAME_PX, FRAME_PX, 3)).astype(np.uint8), 0.0, k) for c in cameras}
        for k in range(32)
    ]
    pose = np.array([0.5, 0.0, 0.2, 1.0, 0.0, 0.0, 0.0])
    wall_ms, cpu_ms = np.empty(looks), np.empty(looks)
    for k in range(-10, looks):
        arm = ArmState(np.zeros(7), np.zeros(7), pose, np.zeros(6), np.zeros(6), 0.1 * k)
        began, began_cpu = time.perf_counter(), time.thread_time()
        detector.judge(arm, GripperState(0.04, 0.0, 0.08, 0.1 * k), frames[k % 32], 0.1 * k)
        if k >= 0:
            wall_ms[k], cpu_ms[k] = 1e3 * (time.perf_counter() - began), 1e3 * (time.thread_time() - began_cpu)
    budget_ms = 0.5e3 / CONTROL_HZ
    return {
        "views": len(cameras),
        "p50 (ms)": float(np.percentile(wall_ms, 50)),
        "p99 (ms)": float(np.percentile(wall_ms, 99)),
        "processor p50 (ms)": float(np.percentile(cpu_ms, 50)),
        "processor p99 (ms)": float(np.percentile(cpu_ms, 99)),
        "budget (ms)": budget_ms,
        "in time": f"{(wall_ms <= budget_ms).mean():.1%}",
    }


def _classifier(cameras: tuple[str, ...], rng: np.random.Generator) -> Classifier:
    """A classifier of the usual size with weights of chance."""
    arrays: dict[str, Any] = {}
    for camera in cameras:
        for member in range(MEMBERS):
            prefix, channels, side = f"{camera}/{member}/", 3, SEEN_PX
            for k, out in enumerate(CHANNELS):
                arrays[f"{prefix}conv{k}.weight"] = rng.normal(0.0, 0.1, (9 * channels, out)).astype(np.float32)
                arrays[f"{prefix}conv{k}.bias"] = np.zeros(out, np.float32)
                channels, side = out, -(-side // 2)
            sizes = (side * side * channels, HIDDEN, 1)
            for k, (before, after) in enumerate(pairwise(sizes)):
                arrays[f"{prefix}dense{k}.weight"] = rng.normal(0.0, 0.05, (before, after)).astype(np.float32)
                arrays[f"{prefix}dense{k}.bias"] = np.zeros(after, np.float32)
        pictures = rng.integers(0, 256, (300, FRAME_PX, FRAME_PX, 3)).astype(np.uint8)
        arrays |= make_watch(pictures, rng).to_arrays(f"{camera}/")
    seen = {camera: CameraInfo((FRAME_PX, FRAME_PX), PreprocessSpec(SEEN_PX)) for camera in cameras}
    settings = {"members": MEMBERS, "offset": 0.0, "temperature": dict.fromkeys(cameras, 1.0)}
    return Classifier(ModelInfo("cnn", "PickCube", seen, settings=settings), arrays)
