"""Two tasks on one robot, rewarded by two classifiers alone: in lock-step, and as the actor's process opens them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from robot_rl.agents.config import SacConfig
from robot_rl.core.transition import StepRecord
from robot_rl.envs.experts import CorrectorStyle, ScriptedCorrector
from robot_rl.rewards.detector_config import DetectorConfig
from robot_rl.runtime.config import DemoConfig, EvalConfig, PaceConfig, TrainConfig
from robot_rl.runtime.episode_files import read_records
from robot_rl.runtime.learner.resets import RESETS
from robot_rl.runtime.pair import train_pair
from robot_rl.runtime.run_folder import RunFolder
from robot_rl.runtime.tasks import open_pair
from tests.runtime.judges import GATE, SHAPE, judge_pair

pytestmark = pytest.mark.gl


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return judge_pair(tmp_path_factory.mktemp("judges"))


def config(folder: Path, models: tuple[Path, Path], **changes: object) -> TrainConfig:
    values: dict[str, object] = {
        "task": "MoveCubeOut",
        "pair": "MoveCubeBack",
        "detector": DetectorConfig(*models, veto_s=0.0),
        "env_steps": 110,
        "lockstep": True,
        "demos": DemoConfig(n=0),
        "agent": SacConfig(hidden=(8,), batch_size=8, utd=1),
        "pace": PaceConfig(learning_starts=50, env_steps_per_update=10),
        "evaluation": EvalConfig(every=0, final_episodes=1),
        "out_dir": folder,
        "report": False,
    }
    return TrainConfig(**{**values, **changes})  # type: ignore[arg-type]


def steps_of(run: RunFolder) -> list[StepRecord]:
    return list(read_records(run.episodes / "a0"))


def ends_in_order(runs: tuple[RunFolder, ...]) -> list[tuple[str, StepRecord]]:
    """The task and the last step of each episode of both, in order of time."""
    ends = [(r.t_wall_s, run.config().task, r) for run in runs for r in steps_of(run) if r.last]
    return [(task, last) for _, task, last in sorted(ends, key=lambda end: end[0])]


def check_judged(runs: tuple[RunFolder, ...]) -> None:
    """Success is the classifier's word, which its pictures are kept for; the truth is only watched."""
    for run in runs:
        for record in steps_of(run):
            assert record.obs.images["side"].shape == (*SHAPE, 3)
            assert record.rewards["success"] <= (record.rewards["p_success"] >= GATE.on)
            assert record.rewards["truth"] in (0.0, 1.0)


def test_in_lockstep_the_classifiers_reward_and_say_whose_turn_it_is(
    tmp_path: Path, models: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    always = CorrectorStyle(patience_steps=1, enough=2.0, max_steps=10_000)
    monkeypatch.setattr("robot_rl.envs.make_corrector", lambda env, rng: ScriptedCorrector(env, rng, always))
    first, second, finished = train_pair(config(tmp_path, models, corrections="scripted"))
    assert finished
    runs = first, second
    assert [run.config().detector.model for run in runs] == list(models)
    check_judged(runs)
    ends = ends_in_order(runs)
    tasks = [task for task, _ in ends]
    assert {task for task, last in ends if last.rewards["success"]} == {"MoveCubeOut", "MoveCubeBack"}
    for (task, last), following in zip(ends, tasks[1:], strict=False):
        if last.rewards["success"]:
            assert following != task
    delays = [
        sum(r.rewards["truth"] for r in steps_of(run) if r.episode_id == last.episode_id)
        for run in runs
        for task, last in ends
        if task == run.config().task and last.rewards["success"]
    ]
    assert max(delays) >= GATE.k_on, "the truth was there some looks before, and ended nothing"
    assert all(run.evaluations_file.is_file() for run in runs)
    assert first.info()[RESETS] >= 1


def test_the_actor_opens_both_judges(tmp_path: Path, models: tuple[Path, Path]) -> None:
    envs = open_pair(config(tmp_path, models, lockstep=False))
    for env in envs:
        env.reset(seed=0)
        rewards = env.step(np.zeros(7, np.float32))[4]["rewards"]
        assert rewards["p_success"] < 0.5 and rewards["truth"] == 0.0
        assert not env.already_done()
    envs[0].close()


@pytest.mark.slow
def test_in_processes_too(tmp_path: Path, models: tuple[Path, Path]) -> None:
    first, second, finished = train_pair(config(tmp_path, models, lockstep=False))
    assert finished and steps_of(first)
    check_judged((first, second))
