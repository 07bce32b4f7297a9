"""Two tasks on one robot: turns, folders that name each other, going on after a stop, and that it learns."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import pytest

from robot_rl.agents.config import SacConfig, preset
from robot_rl.core.errors import ConfigError
from robot_rl.data.episode_log import read_episode
from robot_rl.runtime import pair_lockstep
from robot_rl.runtime.config import DemoConfig, EvalConfig, PaceConfig, TrainConfig
from robot_rl.runtime.episode_files import episode_files
from robot_rl.runtime.learner.resets import RESETS
from robot_rl.runtime.pair import PAIR_RUN, check_pair, pair_configs, train_pair
from robot_rl.runtime.run_folder import RunFolder, open_run
from robot_rl.runtime.train import check_modes, train
from robot_rl.runtime.turns import PATIENCE
from tests.runtime.runs import rows


def config(folder: Path, **changes: object) -> TrainConfig:
    values: dict[str, object] = {
        "task": "MoveCubeOut",
        "pair": "MoveCubeBack",
        "task_options": {"episode_steps": 60},
        "env_steps": 160,
        "lockstep": True,
        "demos": DemoConfig(n=1),
        "agent": SacConfig(hidden=(8,), batch_size=8, utd=1),
        "pace": PaceConfig(learning_starts=50),
        "evaluation": EvalConfig(every=0, final_episodes=2),
        "checkpoint_every": 120,
        "out_dir": folder,
        "report": False,
    }
    return TrainConfig(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, RunFolder]:
    result = train(config(tmp_path_factory.mktemp("pair")))
    assert result.finished
    return result.run, open_run(result.run.path.parent / result.run.info()[PAIR_RUN])


def test_the_folders_name_each_other_and_each_is_a_run_of_its_own(trained: tuple[RunFolder, RunFolder]) -> None:
    first, second = trained
    assert [r.config().task for r in trained] == ["MoveCubeOut", "MoveCubeBack"]
    assert [r.config().pair for r in trained] == ["MoveCubeBack", "MoveCubeOut"]
    assert (second.path.parent / second.info()[PAIR_RUN]).resolve() == first.path.resolve()
    for run in trained:
        assert run.info()["status"] == "finished"
        assert list(run.demos.glob("*.mcap")) and list(run.checkpoints.iterdir())
        assert run.evaluations_file.is_file(), "both are evaluated"
    steps = [r.info()["counters"]["env_steps"] for r in trained]
    assert sum(steps) >= 320


def test_a_failure_has_the_same_turn_again_and_gives_up_after_some(trained: tuple[RunFolder, RunFolder]) -> None:
    """Networks of eight units never move the cube: the first task keeps its turn, the cube is put back now and then."""
    first, second = trained
    episodes = first.info()["counters"]["episodes"]
    if second.info()["counters"]["episodes"] == 0:
        assert first.info()[RESETS] >= 1 + (episodes - 1) // PATIENCE
    for run in trained:
        for path in episode_files(run.episodes / "a0").values():
            assert read_episode(path, images=False).meta.task == run.config().task


def test_a_stopped_pair_goes_on_from_either_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = config(tmp_path, env_steps=250, evaluation=EvalConfig(every=0, final_episodes=0))
    original = pair_lockstep._episode
    played: list[int] = []

    def episode(side: pair_lockstep.Side, stop: object) -> None:
        original(side, stop)  # type: ignore[arg-type]
        played.append(1)
        if len(played) == 3:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(pair_lockstep, "_episode", episode)
    assert threading.current_thread() is threading.main_thread()
    first, second, finished = train_pair(wanted)
    assert not finished and first.info()["status"] == second.info()["status"] == "interrupted"
    before = first.info()["counters"]["env_steps"] + second.info()["counters"]["env_steps"]
    assert before < 500
    monkeypatch.setattr(pair_lockstep, "_episode", original)
    _, _, finished = train_pair(wanted, resume=first)
    assert finished
    after = [open_run(r.path).info()["counters"]["env_steps"] for r in (first, second)]
    assert sum(after) >= 500 > before


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"cell": "ros"}, "leave it out, then --pair trains in real time on the cell ros"),
        ({"actors": 2, "lockstep": False}, "--actors is 2, but a pair shares one robot"),
        ({"pair": "MoveCubeOut"}, "is the task itself"),
    ],
)
def test_what_a_pair_cannot_do_is_said(tmp_path: Path, changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        check_pair(config(tmp_path, **changes))


def test_each_run_listens_and_takes_its_demonstrations_where_the_other_does_not(tmp_path: Path) -> None:
    (tmp_path / "MoveCubeBack").mkdir()
    wanted = config(tmp_path, lockstep=False, listen="tcp://127.0.0.1:5555", demos=DemoConfig(dir=tmp_path))
    first, second = pair_configs(wanted)
    assert (first.listen, second.listen) == ("tcp://127.0.0.1:5555", "tcp://127.0.0.1:5557")
    assert (first.demos.dir, second.demos.dir) == (tmp_path, tmp_path / "MoveCubeBack")
    assert pair_configs(second, first) == (second, first), "either may be gone on with"


def test_a_run_that_is_no_pair_cannot_be_gone_on_with_as_one(tmp_path: Path) -> None:
    single = train(config(tmp_path, pair="", env_steps=60, evaluation=EvalConfig(every=0, final_episodes=0))).run
    with pytest.raises(ConfigError, match="names no run as pair_run"):
        train_pair(config(tmp_path), resume=single)


def test_a_person_cannot_be_asked_in_lockstep(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="reset_by=person needs somebody"):
        check_modes(config(tmp_path, pair="", task_options={"reset_by": "person"}))


@pytest.mark.slow
def test_both_directions_learn(tmp_path: Path) -> None:
    """About 20 minutes on one core. Where the other one ends it must be nearly sure, elsewhere better than chance."""
    learning = config(
        tmp_path,
        task_options={},
        env_steps=8000,
        demos=DemoConfig(n=20),
        agent=preset("laptop"),
        pace=PaceConfig(),
        evaluation=EvalConfig(every=0, final_episodes=50),
    )
    first, second, finished = train_pair(learning)
    assert finished
    for run in (first, second):
        successes = [int(row["success"]) for row in rows(run.path / "episodes.csv")]
        assert sum(successes[-50:]) >= 40
        evaluation = json.loads(run.evaluations_file.read_text().splitlines()[-1])
        assert evaluation["success"] >= 0.4
