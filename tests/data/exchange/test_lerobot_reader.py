"""LeRobot itself opens what is exported, and what LeRobot writes is imported.

Runs where ``ROBOT_RL_LEROBOT_PYTHON`` names an interpreter that can import ``lerobot.datasets``; LeRobot's own
requirements do not fit into this environment.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from robot_rl.core.transition import StepRecord
from robot_rl.data.episode_log import read_episode
from robot_rl.data.exchange.foreign import ImportMapping
from robot_rl.data.exchange.lerobot_in import import_lerobot
from robot_rl.data.exchange.lerobot_out import export_lerobot
from tests.data.episodes import TASK, episode
from tests.data.exchange.samples import picture, write, write_run

PYTHON = os.environ.get("ROBOT_RL_LEROBOT_PYTHON", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="ROBOT_RL_LEROBOT_PYTHON names no interpreter with LeRobot"),
]


def lerobot(tmp_path: Path, *arguments: object) -> None:
    """Run the script beside this file, without any network."""
    script = Path(__file__).with_name("lerobot_reader.py")
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    env |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf"), "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    done = subprocess.run(
        [PYTHON, str(script), *map(str, arguments)], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_lerobot_reads_what_is_exported(tmp_path: Path) -> None:
    files = write_run(tmp_path / "run")
    export_lerobot(tmp_path / "run", tmp_path / "dataset")
    lerobot(tmp_path, "read", tmp_path / "dataset", tmp_path / "seen.npz")
    records = [r for file in files for r in read_episode(file).records]
    with np.load(tmp_path / "seen.npz", allow_pickle=False) as seen:
        assert json.loads(str(seen["about"])) == {"episodes": 3, "frames": 12, "fps": 10}
        assert np.array_equal(seen["observation.state"], [r.obs.state for r in records])
        assert np.array_equal(seen["action"], [r.action_executed for r in records])
        assert np.array_equal(seen["next.done"], [r.last for r in records])
        assert np.array_equal(seen["next.truncated"], [r.truncated for r in records])
        assert np.array_equal(seen["complementary_info.is_intervention"], [r.intervention for r in records])
        assert np.array_equal(seen["robot_rl.source"], [r.source.name.lower() for r in records])
        assert np.array_equal(seen["episode_index"], np.repeat([0, 1, 2], [3, 5, 4]))
        assert set(seen["task"]) == {TASK}
        for camera in ("side", "wrist"):
            pixels = np.moveaxis(seen[f"observation.images.{camera}"], 1, -1)
            ours = np.stack([r.obs.images[camera] for r in records])
            assert np.array_equal(np.rint(pixels * 255).astype(np.uint8), ours)
        second = [r.action_executed for r in records if r.policy_version == 1]
        assert np.array_equal(seen["chunk"][:-1, 1], second[1:]), "action chunks look ahead within the episode"


def test_lerobot_reads_videos(tmp_path: Path) -> None:
    def shown(r: StepRecord) -> StepRecord:
        final = None if r.final_obs is None else replace(r.final_obs, images={"front": picture(0, 9)})
        return replace(
            r, obs=replace(r.obs, images={"front": picture(r.policy_version, r.step_index)}), final_obs=final
        )

    for i, steps in enumerate((5, 4)):
        write(tmp_path / "in" / f"{i:06d}.mcap", [shown(r) for r in episode(i, steps)])
    export_lerobot(tmp_path / "in", tmp_path / "dataset", video=True)
    lerobot(tmp_path, "read", tmp_path / "dataset", tmp_path / "seen.npz")
    ours = np.stack([picture(e, i) for e, n in ((0, 5), (1, 4)) for i in range(n)])
    with np.load(tmp_path / "seen.npz", allow_pickle=False) as seen:
        pixels = np.moveaxis(seen["observation.images.front"], 1, -1) * 255
    assert np.abs(pixels - ours).max() <= 6, "one step is 20 levels: a frame of another step would show"


def test_what_lerobot_writes_is_imported(tmp_path: Path) -> None:
    lerobot(tmp_path, "write", tmp_path / "dataset")
    mapping = ImportMapping(TASK, position_m=0.02, rotation_rad=0.1)
    report = import_lerobot(tmp_path / "dataset", tmp_path / "out", mapping)
    assert (report.episodes, report.steps) == (2, 6)
    won = read_episode(tmp_path / "out" / "000000.mcap")
    assert won.success
    for i, r in enumerate(won.records):
        assert r.obs.state[:2].tolist() == [0.0, i]
        assert np.array_equal(r.obs.images["front"], picture(0, i))
        assert r.action_executed.tolist() == [np.float32(i / 10)] * 7
