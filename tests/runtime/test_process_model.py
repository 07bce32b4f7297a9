"""The progress model that a configuration names reaches the records of the run and of its demonstrations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from robot_rl.agents.config import SacConfig
from robot_rl.core.errors import DataError
from robot_rl.data.demos import load_demos
from robot_rl.rewards.process_config import ProcessConfig
from robot_rl.runtime.config import DemoConfig, TrainConfig
from robot_rl.runtime.gathering import gather_demos
from robot_rl.runtime.learner.learner import Learner
from robot_rl.runtime.process_model import open_progress
from robot_rl.runtime.tasks import open_env, open_simulation

CONFIG = TrainConfig(
    task="Reach",
    task_options={"hz": 5.0, "tolerance_m": 0.03},
    demos=DemoConfig(n=1),
    process=ProcessConfig(form="potential"),
    agent=SacConfig(hidden=(8,), q_range=(-0.2, 1.0)),
)


def test_the_tasks_own_potential_is_told_at_every_step() -> None:
    for opened in (open_env, open_simulation):
        env = opened(CONFIG)
        _, told = env.reset(seed=0)
        assert 0.0 < told["rewards"]["progress"] < 1.0
        info = env.step(np.zeros(7, np.float32))[-1]
        assert info["rewards"]["progress"] == pytest.approx(info["progress"])
        env.close()


def test_demonstrations_of_the_run_can_be_learnt_from(tmp_path: Path) -> None:
    env = open_simulation(CONFIG)
    gather_demos(CONFIG, tmp_path, env, lambda line: None)
    (demo,) = load_demos(tmp_path, env.state_spec, "Reach")
    assert demo[-1].rewards["progress"] == 1.0
    learner = Learner(CONFIG, env.state_spec, env.action_spec, env.hz)
    assert learner.add_demos([demo]) == len(demo)
    assert learner.replay.reward_version(demo[0].episode_id) == 1
    env.close()


def test_no_form_needs_no_model() -> None:
    assert open_progress(replace(CONFIG, process=ProcessConfig(model="nowhere"))) is None


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    config = replace(CONFIG, process=ProcessConfig(form="potential", model=str(tmp_path)))
    with pytest.raises(DataError, match="there is no reward model at"):
        open_progress(config)
