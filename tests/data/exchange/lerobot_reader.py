"""Run by an interpreter that has LeRobot: writes what its reader gives for a dataset to a file of arrays, or makes one.

Usage: ``python lerobot_reader.py read DATASET OUT.npz`` or ``python lerobot_reader.py write DATASET``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset  # type: ignore[import-not-found]


def read(root: str, out: str) -> None:
    """Every frame as the reader gives it, and the same frames through its reinforcement learning buffer."""
    dataset = LeRobotDataset("local/exported", root=root)
    arrays: dict[str, list[object]] = {}
    for i in range(len(dataset)):
        for name, value in dataset[i].items():
            arrays.setdefault(name, []).append(value if isinstance(value, str) else value.numpy())
    about = {"episodes": dataset.num_episodes, "frames": dataset.num_frames, "fps": dataset.fps}
    chunk = LeRobotDataset("local/exported", root=root, episodes=[1], delta_timestamps={"action": [0.0, 0.1]})
    arrays["chunk"] = [chunk[i]["action"].numpy() for i in range(len(chunk))]
    np.savez(out, about=json.dumps(about), **{k: np.array(v) for k, v in arrays.items()})


def write(root: str) -> None:
    """A dataset made with LeRobot's own writer: joints, seven actions, rewards, one camera as pictures."""
    features = {
        "observation.state": {"dtype": "float32", "shape": (6,), "names": [f"joint_{i}" for i in range(6)]},
        "observation.images.front": {"dtype": "image", "shape": (16, 32, 3), "names": ["height", "width", "channels"]},
        "action": {"dtype": "float32", "shape": (7,), "names": None},
        "next.reward": {"dtype": "float32", "shape": (1,), "names": None},
        "next.done": {"dtype": "bool", "shape": (1,), "names": None},
    }
    dataset = LeRobotDataset.create("local/made", fps=20, features=features, root=Path(root), use_videos=False)
    for episode, length in enumerate((4, 3)):
        for i in range(length):
            image = np.zeros((16, 32, 3), np.uint8)
            image[..., 0], image[..., 1] = 40 * episode, 20 * i
            done = i == length - 1
            dataset.add_frame(
                {
                    "observation.state": np.array([episode, i, 0, 0, 0, 0], np.float32),
                    "observation.images.front": image,
                    "action": np.full(7, i / 10, np.float32),
                    "next.reward": np.array([float(done and episode == 0)], np.float32),
                    "next.done": np.array([done]),
                    "task": "pick the cube",
                }
            )
        dataset.save_episode()
    dataset.finalize()


if __name__ == "__main__":
    {"read": read, "write": write}[sys.argv[1]](*sys.argv[2:])
