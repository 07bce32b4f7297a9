"""A whole run through `train`: what may not go together, who holds the folder, where demonstrations come from."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import robot_rl.envs
from robot_rl.core.errors import ConfigError, DataError
from robot_rl.data.episode_log import EpisodeMeta, EpisodeWriter, read_episode
from robot_rl.runtime.config import DemoConfig, EvalConfig
from robot_rl.runtime.locks import FolderLock
from robot_rl.runtime.run_folder import open_run
from robot_rl.runtime.train import check_modes, evaluate_at_the_end, train
from tests.runtime.fakes import ACTIONS, SPEC, PointEnv, stream, tiny_config
from tests.runtime.runs import final_arrays, make_run, same


@pytest.fixture(autouse=True)
def point_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(robot_rl.envs, "make_env", lambda task, **options: PointEnv(limit=12))


def write_demos(folder: Path, *lengths: int, task: str = "Point") -> None:
    folder.mkdir(parents=True)
    for n, length in enumerate(lengths):
        with EpisodeWriter(folder / f"d{n}.mcap", EpisodeMeta(task, SPEC, ACTIONS)) as writer:
            for record in stream([length], f"demo-{n}"):
                writer.append(replace(record, task=task))


def test_a_second_learner_gets_one_sentence(tmp_path: Path) -> None:
    config = tiny_config(out_dir=tmp_path)
    run = make_run(config)
    lock = FolderLock(run.path, "trains in")
    with pytest.raises(ConfigError, match=rf"process \d+ on .* trains in {run.path}"):
        train(config, resume=run, live=False)
    assert not (run.path / "episodes.csv").exists()
    lock.close()
    assert train(config, resume=run, live=False).finished


def test_demonstrations_are_copied_so_that_the_folder_is_enough(tmp_path: Path) -> None:
    write_demos(tmp_path / "mine", 5, 7)
    config = tiny_config(out_dir=tmp_path / "runs", demos=DemoConfig(dir=tmp_path / "mine"), env_steps=60)
    first = train(config, live=False)
    assert [p.name for p in sorted(first.run.demos.iterdir())] == ["d0.mcap", "d1.mcap"]
    assert len(read_episode(first.run.demos / "d1.mcap").records) == 7
    shutil.rmtree(tmp_path / "mine")
    again = train(replace(config, env_steps=150), resume=first.run, live=False)
    assert again.finished
    write_demos(tmp_path / "mine", 5, 7)
    straight = train(replace(config, env_steps=150, out_dir=tmp_path / "straight"), live=False)
    assert same(final_arrays(again.run), final_arrays(straight.run))


def test_lost_demonstrations_are_noticed(tmp_path: Path) -> None:
    write_demos(tmp_path / "mine", 5, 7)
    config = tiny_config(out_dir=tmp_path / "runs", demos=DemoConfig(dir=tmp_path / "mine"), env_steps=60)
    run = train(config, live=False).run
    (run.demos / "d1.mcap").unlink()
    with pytest.raises(DataError, match="holds 5 steps of demonstrations, the checkpoint was made with 12"):
        train(config, resume=run, live=False)
    assert train(config, resume=run, accept_loss=True, live=False).finished


def test_demonstrations_of_another_task_are_not_copied(tmp_path: Path) -> None:
    write_demos(tmp_path / "mine", 5, task="Other")
    config = tiny_config(out_dir=tmp_path / "runs", demos=DemoConfig(dir=tmp_path / "mine"))
    with pytest.raises(DataError, match="is a demonstration of task 'Other'"):
        train(config, live=False)
    (run,) = (tmp_path / "runs" / "Point").iterdir()
    assert not list((run / "demos").iterdir())


def test_a_resumed_run_says_so(tmp_path: Path) -> None:
    config = tiny_config(out_dir=tmp_path, env_steps=40)
    run = train(config, live=False).run
    train(replace(config, env_steps=80), resume=open_run(run.path), live=False)
    (event,) = run.info()["events"]
    assert event["text"].startswith("resumed at environment step 4") and event["env_step"] >= 40
    assert run.config().env_steps == 80 and run.info()["status"] == "finished"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"actors": 2}, "--lockstep has one actor"),
        ({"listen": "tcp://127.0.0.1:5555"}, "--lockstep has one actor"),
        ({"lockstep": False, "actors": 0}, "--actors 0 starts no actor here: give --listen"),
    ],
)
def test_what_does_not_go_together_is_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        check_modes(tiny_config(**changes))


def test_a_run_is_resumed_in_the_mode_it_was_made_in(tmp_path: Path) -> None:
    run = make_run(tiny_config(out_dir=tmp_path))
    with pytest.raises(ConfigError, match="was made with --lockstep and is resumed in the same way"):
        check_modes(tiny_config(lockstep=False), run)


def test_listening_elsewhere_needs_keys(tmp_path: Path) -> None:
    config = tiny_config(out_dir=tmp_path, lockstep=False, actors=0, listen="tcp://0.0.0.0:0")
    with pytest.raises(ConfigError, match="robot-rl keys"):
        train(config, live=False)


def test_a_cell_elsewhere_is_not_evaluated_from_here(tmp_path: Path) -> None:
    config = tiny_config(out_dir=tmp_path, env_steps=30, evaluation=EvalConfig(final_episodes=2))
    run = train(replace(config, evaluation=EvalConfig(final_episodes=0)), live=False).run
    said: list[str] = []
    evaluate_at_the_end(replace(config, cell="mine.yaml", actors=0), run, said.append)
    assert said == ["not evaluated: the cell mine.yaml is on another machine"]
    assert not (run.path / "evaluations.jsonl").exists()
    evaluate_at_the_end(config, run, said.append)
    assert said[1].startswith("Point: n=2 success=")


def test_the_lock_does_not_outlive_the_run(tmp_path: Path) -> None:
    run = train(tiny_config(out_dir=tmp_path, env_steps=30), live=False).run
    FolderLock(run.path, "looks at").close()
