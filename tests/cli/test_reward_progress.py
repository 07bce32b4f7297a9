"""``robot-rl reward progress``: from recorded episodes to a model that a training can be told to use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from robot_rl.cli.main import main
from robot_rl.core.transition import Observation, Source, StepRecord
from robot_rl.data.episode_log import EpisodeMeta, EpisodeWriter
from robot_rl.envs.observation import make_state_spec
from robot_rl.envs.tasks import make_task
from robot_rl.rewards.model_file import read_info
from robot_rl.rewards.progress import open_seen_progress

pytest.importorskip("torch")

TASK = make_task("Reach")
SPEC = make_state_spec(TASK)
STEPS = 8


def seen(k: int, row: int) -> Observation:
    """A bright square that moves to the right."""
    image = np.full((24, 24, 3), 30, np.uint8)
    image[row : row + 5, 2 * k : 2 * k + 5] = 220
    return Observation(np.zeros(SPEC.size, np.float32), {"side": image})


def record(folder: Path, number: int, *, success: bool) -> None:
    meta = EpisodeMeta("Reach", SPEC, TASK.action_spec)
    row = 4 + number if success else 18
    with EpisodeWriter(folder / f"{number:06d}.mcap", meta) as writer:
        for k in range(STEPS):
            last = k == STEPS - 1
            writer.append(
                StepRecord(
                    episode_id=f"demo-{number:06d}",
                    step_index=k,
                    obs=seen(k, row),
                    action_executed=np.zeros(7, np.float32),
                    action_policy=np.zeros(7, np.float32),
                    rewards={"success": float(success and last)},
                    terminated=success and last,
                    truncated=last and not success,
                    stop_reason=("success" if success else "time_out") if last else "",
                    intervention=False,
                    source=Source.DEMO,
                    policy_version=-1,
                    task="Reach",
                    t_wall_s=float(k),
                    t_control_s=0.1 * (k + 1),
                    final_obs=seen(STEPS, row) if last else None,
                )
            )


def test_a_model_from_recorded_episodes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for number in range(12):
        record(data, number, success=number < 8)
    told = ["--size", "24", "--fit.updates", "60", "--fit.members", "2"]
    assert main(["reward", "progress", str(data), "--out", str(tmp_path / "model"), *told]) == 0
    out = capsys.readouterr().out
    assert "version 1, side, from 6 successes" in out
    assert "failures that end above 0.8" in out
    info = read_info(tmp_path / "model")
    assert (info.kind, info.task) == ("progress", "Reach") and info.card["episodes"]
    assert open_seen_progress(tmp_path / "model", "Reach").cameras == ("side",)


def test_too_few_successes_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(tmp_path, 0, success=True)
    assert main(["reward", "progress", str(tmp_path), "--out", str(tmp_path / "model")]) == 2
    assert "1 of 1 episodes succeed, a progress model needs at least 4" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()
