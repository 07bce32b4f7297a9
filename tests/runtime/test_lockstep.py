"""Lock-step training is deterministic, and stopping it changes nothing."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robot_rl.core.errors import DataError
from robot_rl.core.specs import Part, StateSpec
from robot_rl.runtime.checkpoint import latest_checkpoint, load_checkpoint
from robot_rl.runtime.config import EvalConfig, TrainConfig
from robot_rl.runtime.episode_files import episode_files, read_records
from robot_rl.runtime.lockstep import train_lockstep
from robot_rl.runtime.progress import Progress
from robot_rl.runtime.run_folder import RunFolder, create_run
from robot_rl.runtime.session import Session
from robot_rl.runtime.stop import StopFlag
from tests.runtime.fakes import ACTIONS, SPEC, Helper, PointEnv, stream, tiny_config


class StopAfter(StopFlag):
    """Asks to stop once the run has taken so many steps."""

    def __init__(self, session: Session, steps: int) -> None:
        self._session, self._steps = session, steps
        self.urgent = False

    @property
    def requested(self) -> bool:  # type: ignore[override]
        return self._session.learner.counters.env_steps >= self._steps


def start(config: TrainConfig, run: RunFolder | None = None) -> Session:
    folder = run if run is not None else create_run(config, SPEC, ACTIONS, 10.0)
    session = Session(folder, config, SPEC, ACTIONS, 10.0, Progress("Point", live=False))
    if run is not None:
        session.resume()
    else:
        session.learner.add_demos([stream([6], "demo-0")])
    return session


def go(session: Session, stop: StopFlag | None = None, **options: Any) -> bool:
    try:
        env = PointEnv(limit=12)
        return train_lockstep(
            session, env, stop or StopFlag(), make_teleop=lambda rng: Helper({1, 2}, rng.uniform(-1, 1)), **options
        )
    finally:
        session.finish("finished")
        session.close()


def final_arrays(run: RunFolder) -> dict[str, np.ndarray]:
    return load_checkpoint(latest_checkpoint(run.checkpoints)).agent


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that nobody stopped."""
    session = start(tiny_config(out_dir=tmp_path_factory.mktemp("straight")))
    assert go(session)
    return session.run


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def test_a_run_writes_what_its_folder_promises(straight: RunFolder) -> None:
    info = straight.info()
    assert info["status"] == "finished" and info["end"] and info["counters"]["env_steps"] >= 200
    table = rows(straight.path / "episodes.csv")
    assert [int(r["episode"]) for r in table] == list(range(len(table)))
    assert sum(int(r["length"]) for r in table) == info["counters"]["env_steps"]
    assert float(table[-1]["robot_s"]) == pytest.approx(info["counters"]["env_steps"] / 10)
    assert {r["source"] for r in table} <= {"policy", "policy+scripted"}
    assert all(int(r["intervention_steps"]) == min(2, max(0, int(r["length"]) - 1)) for r in table)
    learner = rows(straight.path / "learner.csv")
    assert [int(float(r["update"])) for r in learner] == [50, 100, 150]
    assert float(learner[-1]["utd"]) == pytest.approx(2.0, rel=0.05)
    assert "critic_loss" in learner[0]
    assert list(straight.tensorboard.iterdir())
    assert len(episode_files(straight.episodes)) == len(table)
    assert [r.step_index for r in read_records(straight.episodes)].count(0) == len(table)


def test_the_achieved_utd_is_the_target(straight: RunFolder) -> None:
    counters = straight.info()["counters"]
    assert counters["updates"] == counters["env_steps"] - 20
    assert counters["utd"] == pytest.approx(2.0)


def test_two_runs_with_one_seed_are_bit_identical(straight: RunFolder, tmp_path: Path) -> None:
    again = start(tiny_config(out_dir=tmp_path))
    go(again)
    assert same(final_arrays(straight), final_arrays(again.run))


def test_another_seed_is_another_run(straight: RunFolder, tmp_path: Path) -> None:
    other = start(tiny_config(out_dir=tmp_path, seed=1))
    go(other)
    assert not same(final_arrays(straight), final_arrays(other.run))


@pytest.mark.parametrize("steps", [15, 70, 130])
def test_a_stopped_and_resumed_run_is_bit_identical(straight: RunFolder, tmp_path: Path, steps: int) -> None:
    config = tiny_config(out_dir=tmp_path)
    first = start(config)
    assert not go(first, StopAfter(first, steps))
    second = start(config, first.run)
    assert second.learner.counters.env_steps >= steps
    assert go(second)
    assert same(final_arrays(straight), final_arrays(first.run))


class Killed(Exception):
    """Stands for a signal that leaves no time to save."""


class KillAfter(StopAfter):
    @property
    def requested(self) -> bool:  # type: ignore[override]
        if super().requested:
            raise Killed
        return False


def test_a_killed_run_repeats_what_came_after_its_checkpoint(straight: RunFolder, tmp_path: Path) -> None:
    config = tiny_config(out_dir=tmp_path)
    first = start(config)
    with pytest.raises(Killed):
        go(first, KillAfter(first, 100))
    saved = load_checkpoint(latest_checkpoint(first.run.checkpoints)).state["counters"]
    assert 60 <= saved["env_steps"] < 100
    second = start(config, first.run)
    assert second.learner.counters.env_steps == saved["env_steps"]
    assert go(second)
    assert same(final_arrays(straight), final_arrays(first.run))
    for name, column in (("episodes.csv", "episode"), ("learner.csv", "update")):
        numbers = [float(r[column]) for r in rows(first.run.path / name)]
        assert numbers == [float(r[column]) for r in rows(straight.path / name)]


def test_a_checkpoint_of_another_state_layout_is_refused(straight: RunFolder, tmp_path: Path) -> None:
    run = RunFolder(shutil.copytree(straight.path, tmp_path / "run"))
    other = StateSpec((Part("position", 1, "mm"), Part("goal", 1, "m")))
    session = Session(run, tiny_config(), other, ACTIONS, 10.0, Progress("Point", live=False))
    with pytest.raises(DataError, match="another state layout"):
        session.resume()
    session.close()


def test_evaluations_during_training_do_not_disturb_it(straight: RunFolder, tmp_path: Path) -> None:
    config = tiny_config(out_dir=tmp_path, evaluation=EvalConfig(every=60, episodes=3, final_episodes=0))
    session = start(config)
    made = []

    def make() -> PointEnv:
        made.append(PointEnv(limit=12))
        return made[-1]

    go(session, make_eval_env=make)
    lines = session.run.evaluations_file.read_text().splitlines()
    assert len(lines) == len(made) == 3 and all(env.closed for env in made)
    first = config.evaluation.validation_seed
    assert all(env.seeds == [first, first + 1, first + 2] for env in made)
    assert same(final_arrays(straight), final_arrays(session.run))
