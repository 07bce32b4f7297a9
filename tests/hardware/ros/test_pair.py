"""Two learners and one actor train a pair of tasks on one cell of real ROS 2 nodes, in real time."""

from __future__ import annotations

from pathlib import Path

import pytest

from robot_rl.agents.config import SacConfig
from robot_rl.core.config import write_yaml
from robot_rl.data.episode_log import read_episode
from robot_rl.runtime.config import DemoConfig, EvalConfig, PaceConfig, TrainConfig
from robot_rl.runtime.episode_files import episode_files
from robot_rl.runtime.pair import PAIR_RUN
from robot_rl.runtime.run_folder import open_run
from robot_rl.runtime.train import train
from tests.hardware.ros.conftest import test_cell
from tests.runtime.runs import archived, rows


@pytest.mark.slow
def test_one_set_of_nodes_serves_both_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    write_yaml(test_cell("sim", task="MoveCubeBack"), tmp_path / "mine.yaml")
    config = TrainConfig(
        task="MoveCubeOut",
        pair="MoveCubeBack",
        cell=str(tmp_path / "mine.yaml"),
        env_steps=120,
        corrections="scripted",
        demos=DemoConfig(n=0),
        agent=SacConfig(hidden=(8,), batch_size=8, utd=1),
        pace=PaceConfig(learning_starts=10, utd_floor=0.0),
        evaluation=EvalConfig(every=0, final_episodes=0),
        out_dir=tmp_path / "runs",
        report=False,
    )
    result = train(config)
    assert result.finished
    first = result.run
    second = open_run(first.path.parent / first.info()[PAIR_RUN])
    logged = [archived(run) for run in (first, second)]
    assert 240 <= sum(map(len, logged)) <= 241 and all(set(log.values()) == {1} for log in logged)
    for run in (first, second):
        for path in episode_files(run.episodes / "a0").values():
            assert read_episode(path, images=False).meta.task == run.config().task
        assert float(rows(run.path / "actors.csv")[-1]["late_p50_ms"]) < 1000.0, "its steps were taken in real time"
