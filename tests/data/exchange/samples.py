"""Episodes on disk, and foreign data as other programs would have written it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from robot_rl.core.transition import StepRecord
from robot_rl.core.types import Image
from robot_rl.data.episode_log import EpisodeMeta, EpisodeWriter, read_episode
from robot_rl.data.exchange.pictures import encode_png
from tests.data.episodes import META, episode, same

Rows = Mapping[str, Any]


def write(path: Path, records: Sequence[StepRecord], meta: EpisodeMeta = META) -> Path:
    """One episode file; it keeps the name ``.partial`` if the episode has not ended."""
    with EpisodeWriter(path, meta) as writer:
        for record in records:
            writer.append(record)
    return path if path.exists() else writer.partial_path


def write_run(root: Path, *, images: bool = True) -> list[Path]:
    """A small run: one demonstration, a success with help, a time-out and a half-written episode."""
    files = [
        write(root / "demos" / "000000.mcap", episode(0, 3, terminated=True, images=images)),
        write(
            root / "episodes" / "a0" / "000000.mcap", episode(1, 5, terminated=True, interventions=[1], images=images)
        ),
        write(root / "episodes" / "a1" / "000000.mcap", episode(2, 4, images=images)),
    ]
    write(root / "episodes" / "a1" / "000001.mcap", episode(3, 4, ended=False, images=images))
    return files


def assert_same_files(first: Path, second: Path) -> None:
    """Every finished episode of one folder is in the other at the same place and equal to the bit."""
    names = [sorted(p.relative_to(root) for p in root.rglob("*.mcap")) for root in (first, second)]
    assert names[0] == names[1]
    assert names[0]
    for name in names[0]:
        a, b = read_episode(first / name), read_episode(second / name)
        assert a.meta == b.meta
        assert all(same(x, y) for x, y in zip(a.records, b.records, strict=True)), name


def picture(episode_index: int, step: int) -> Image:
    """A picture that says which it is, even after it was compressed with loss."""
    image = np.zeros((16, 32, 3), np.uint8)
    image[:, :, 0], image[:, :, 1] = 40 * episode_index, 20 * step
    return image


def write_foreign(
    root: Path, lengths: Sequence[int], *, without: Sequence[str] = (), extra: Rows | None = None, fps: int = 20
) -> Path:
    """A LeRobotDataset v3.0 as another robot records it: joints, seven actions, rewards, one camera as PNG."""
    columns: dict[str, list[Any]] = {}
    rng = np.random.default_rng(0)
    at = 0
    for e, length in enumerate(lengths):
        for i in range(length):
            png = {"bytes": encode_png(picture(e, i)), "path": f"frame-{i:06d}.png"}
            row = {
                "observation.state": [float(e), float(i), *rng.normal(size=4).tolist()],
                "observation.images.front": png,
                "action": rng.uniform(-1, 1, 7).astype(np.float32).tolist(),
                "next.reward": float(i == length - 1 and e == 0),
                "next.done": i == length - 1,
                "timestamp": i / fps,
                "frame_index": i,
                "episode_index": e,
                "index": at,
                "task_index": 0,
            } | dict(extra or {})
            for name, value in row.items():
                if name not in without:
                    columns.setdefault(name, []).append(value)
            at += 1
    info = {
        "codebase_version": "v3.0",
        "fps": fps,
        "features": {"observation.images.front": {"dtype": "image", "shape": [16, 32, 3]}}
        if "observation.images.front" not in without
        else {},
    }
    ends = np.cumsum(lengths).tolist()
    about = {"episode_index": list(range(len(lengths))), "length": list(lengths), "dataset_to_index": ends}
    for name, table in (("data", columns), ("meta/episodes", about)):
        file = root / name / "chunk-000" / "file-000.parquet"
        file.parent.mkdir(parents=True)
        # groups that end in the middle of an episode
        pq.write_table(pa.table(table), file, row_group_size=3)
    (root / "meta" / "info.json").write_text(json.dumps(info))
    return root


def transitions(lengths: Sequence[int], *, success: bool = True, gripper: bool = True) -> list[dict[str, Any]]:
    """HIL-SERL transitions: stacked observations, an ended episode after each length."""
    out = []
    rng = np.random.default_rng(1)
    for e, length in enumerate(lengths):
        seen = [
            {"state": np.array([[e, i, *rng.normal(size=5)]], np.float32), "wrist_1": picture(e, i)[None]}
            for i in range(length + 1)
        ]
        for i in range(length):
            last = i == length - 1
            reward = float(last and success)
            out.append(
                {
                    "observations": seen[i],
                    "actions": rng.uniform(-1, 1, 7 if gripper else 6).astype(np.float32),
                    "next_observations": seen[i + 1],
                    "rewards": np.float32(reward) if i % 2 else reward,
                    "masks": 1.0 - last,
                    "dones": last,
                    "infos": {"succeed": bool(reward), "grasp_penalty": -0.02 * (i == 1)},
                }
            )
    return out
