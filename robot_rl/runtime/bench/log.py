"""What the log costs: writing steps, reading them back, filling a replay with them; and what a checkpoint weighs."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from robot_rl.core.specs import ACTION_SIZE, ActionSpec, Part, StateSpec
from robot_rl.core.transition import Observation, Source, StepRecord
from robot_rl.data.episode_log import EpisodeMeta, EpisodeWriter, read_episode
from robot_rl.data.replay import ReplayBuffer
from robot_rl.runtime.config import TrainConfig

Row = dict[str, Any]
SPEC = StateSpec((Part("state", 24, ""),))
ACTIONS = ActionSpec(0.02, 0.1)
CAMERAS = {"side": (128, 128, 3), "wrist": (128, 128, 3)}


def log_rates(*, episodes: int = 20, steps: int = 50) -> list[Row]:
    """Processor time a step of episodes with 24 state values, without and with two 128x128 cameras full of noise.

    Args:
        episodes: files written; with cameras a quarter of them.
        steps: of each.

    Returns:
        One row per case with ``case``, ``cpu_ms_per_step`` (median over the files), ``steps_per_s`` (the same by the
        clock) and ``kb_per_step``.
    """
    rows = []
    for name, cameras, n in (("states", {}, episodes), ("two 128x128 cameras", CAMERAS, max(2, episodes // 4))):
        with tempfile.TemporaryDirectory() as folder:
            rows += _rows(name, cameras, Path(folder), n, steps)
    return rows


def _rows(name: str, cameras: dict[str, tuple[int, int, int]], folder: Path, episodes: int, steps: int) -> list[Row]:
    replay = ReplayBuffer(SPEC, episodes * (steps + 1) + 2, camera_shapes=cameras, pinned=0)
    files = [folder / f"{number:06d}.mcap" for number in range(episodes)]
    work: dict[str, Callable[[int], object]] = {
        "append": lambda number: _write(files[number], _records(number, steps, cameras)),
        "read": lambda number: read_episode(files[number]),
        "read and add to the replay": lambda number: [replay.add(r) for r in read_episode(files[number]).records],
    }
    rows = []
    for what, call in work.items():
        cpu, wall = np.array([_timed(call, number) for number in range(episodes)]).T
        size = sum(f.stat().st_size for f in files) / len(files) / steps / 1e3
        rows.append(
            {
                "case": f"{name}, {what}",
                "cpu_ms_per_step": 1e3 * float(np.median(cpu)) / steps,
                "steps_per_s": steps / float(np.median(wall)),
                "kb_per_step": size,
            }
        )
    return rows


def _timed(call: Callable[[int], object], number: int) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    call(number)
    return time.process_time() - cpu, time.perf_counter() - wall


def _write(path: Path, records: Iterator[StepRecord]) -> None:
    with EpisodeWriter(path, EpisodeMeta("bench", SPEC, ACTIONS, versions={})) as writer:
        for record in records:
            writer.append(record)


def _records(number: int, steps: int, cameras: dict[str, tuple[int, int, int]]) -> Iterator[StepRecord]:
    rng = np.random.default_rng(number)
    action = np.zeros(ACTION_SIZE, np.float32)

    def see() -> Observation:
        images = {n: rng.integers(0, 256, shape, np.uint8) for n, shape in cameras.items()}
        return Observation(rng.normal(size=SPEC.size).astype(np.float32), images)

    for i in range(steps):
        last = i == steps - 1
        yield StepRecord(
            f"bench-a0-{number:06d}", i, see(), action, action, {"success": 0.0}, False, last, "", False,
            Source.POLICY, 0, "bench", 0.1 * i, 0.1 * i, final_obs=see() if last else None,
        )  # fmt: skip


def checkpoint_rates(*, rounds: int = 3) -> list[Row]:
    """Milliseconds and bytes of a checkpoint of the default agent, written and flushed to the disk.

    Args:
        rounds: checkpoints written.
    """
    from robot_rl.runtime.learner.checkpoint import load_checkpoint, save_checkpoint
    from robot_rl.runtime.learner.learner import Learner

    learner = Learner(TrainConfig(), SPEC, ACTIONS)
    arrays, state = learner.state()
    saves, loads, size = [], [], 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            start = time.perf_counter()
            path = save_checkpoint(Path(folder), number, agent=arrays, actor=learner.actor_arrays(), state=state)
            saves.append(time.perf_counter() - start)
            start = time.perf_counter()
            load_checkpoint(path)
            loads.append(time.perf_counter() - start)
            size = sum(f.stat().st_size for f in path.rglob("*") if f.is_file())
    return [
        {
            "case": "checkpoint of the default agent",
            "save_ms": 1e3 * float(np.median(saves)),
            "load_ms": 1e3 * float(np.median(loads)),
            "mb": size / 1e6,
        }
    ]
