"""How punctual an environment over ROS 2 is: its control steps on a running cell with cameras."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from robot_rl.core.config import write_yaml
from robot_rl.hardware.cell.description import CameraConfig, load_cell

Row = dict[str, Any]

TASK = "PickCube"
CAMERAS = {"wrist": CameraConfig(view="wrist"), "side": CameraConfig(view="side")}
# Small wandering motions: the arm moves all the time and touches nothing.
STEP = 0.15


def cell_punctuality(minutes: float = 10.0, *, hz: float = 10.0, cameras: bool = True) -> list[Row]:
    """Step an environment on the simulated cell over ROS 2 at its rate, in real time.

    Args:
        minutes: of control steps, resets not counted.
        hz: control rate.
        cameras: with two cameras of 128x128 pixels at 30 pictures a second, each rendered in a process of its own.

    Returns:
        One row: steps, missed ticks, and in ms the median, the 99th percentile and the worst of: how late a step woke
        up, and the period between two steps.
    """
    from robot_rl.envs import make_env

    with TemporaryDirectory() as folder:
        path = Path(folder) / "bench.yaml"
        sim = load_cell("sim")
        write_yaml(replace(sim, name="bench_cell", cameras=CAMERAS if cameras else {}, task=TASK), path)
        env = make_env(TASK, cell=str(path), cameras=tuple(CAMERAS) if cameras else (), hz=hz)
        try:
            return [_row(_walk(env, round(60.0 * minutes * hz)), f"{len(env.cell.cameras)} cameras, {hz:g} Hz")]
        finally:
            env.close()


def _walk(env: Any, steps: int) -> dict[str, list[float]]:
    """Random small motions; what was measured of each step."""
    rng = np.random.default_rng(0)
    seen: dict[str, list[float]] = {"late": [], "period": [], "missed": []}
    ended, last_s = True, 0.0
    for _ in range(steps):
        if ended:
            env.reset(seed=int(rng.integers(2**31)))
            last_s = 0.0
        action = np.append(rng.uniform(-STEP, STEP, 6), 0.0).astype(np.float32)
        _, _, terminated, truncated, info = env.step(action)
        now_s = time.perf_counter()
        if last_s:
            seen["period"].append(now_s - last_s)
        last_s, ended = now_s, terminated or truncated
        seen["late"].append(info["late_s"])
        seen["missed"].append(float(info["missed"]))
    return seen


def _row(seen: dict[str, list[float]], case: str) -> Row:
    row: Row = {"case": case, "steps": len(seen["late"]), "missed": int(sum(seen["missed"]))}
    for name in ("late", "period"):
        values = 1e3 * np.array(seen[name])
        row[f"{name} p50 ms"] = float(np.median(values))
        row[f"{name} p99 ms"] = float(np.quantile(values, 0.99))
        row[f"{name} worst ms"] = float(values.max())
    return row
