"""Training runs on the point on a line, without the command line."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from robot_rl.data.episode_log import EpisodeMeta, EpisodeWriter
from robot_rl.runtime.config import PaceConfig, TrainConfig
from robot_rl.runtime.episode_files import read_records
from robot_rl.runtime.learner.checkpoint import latest_checkpoint, load_checkpoint
from robot_rl.runtime.learner.lockstep import train_lockstep
from robot_rl.runtime.learner.resume import resume
from robot_rl.runtime.learner.session import Session
from robot_rl.runtime.monitor.progress import Progress
from robot_rl.runtime.run_folder import RunFolder, create_run
from robot_rl.runtime.stop import StopFlag
from robot_rl.runtime.transport.stream import place_of
from tests.runtime.fakes import ACTIONS, SPEC, Helper, PointEnv, stream, tiny_config

POINT = "tests.runtime.point_actor"


def make_run(config: TrainConfig, *, demo_steps: int = 6) -> RunFolder:
    """A run folder with one demonstration."""
    run = create_run(config, SPEC, ACTIONS, 10.0)
    if demo_steps:
        with EpisodeWriter(run.demos / "000000.mcap", EpisodeMeta("Point", SPEC, ACTIONS)) as writer:
            for record in stream([demo_steps], "demo-0"):
                writer.append(record)
    return run


def open_session(run: RunFolder, config: TrainConfig) -> Session:
    return Session(run, config, SPEC, ACTIONS, 10.0, Progress("Point", live=False))


def start(config: TrainConfig, run: RunFolder | None = None) -> Session:
    """A session of a new run, or of one that goes on."""
    session = open_session(run or make_run(config), config)
    if run is None:
        session.begin()
    else:
        resume(session)
    return session


def go(session: Session, stop: StopFlag | None = None, **options: Any) -> bool:
    """Train in lock-step, with an operator now and then, and close the session."""
    try:
        env = PointEnv(limit=12)
        return train_lockstep(
            session, env, stop or StopFlag(), make_teleop=lambda rng: Helper({1, 2}, rng.uniform(-1, 1)), **options
        )
    finally:
        session.finish("finished")
        session.close()


def async_config(folder: Path, **changes: Any) -> TrainConfig:
    """For a learner with actors in other processes."""
    pace = PaceConfig(learning_starts=20, publish_every=3, slack=10)
    return tiny_config(**{"out_dir": folder, "lockstep": False, "pace": pace, **changes})


def final_arrays(run: RunFolder) -> dict[str, np.ndarray]:
    return load_checkpoint(latest_checkpoint(run.checkpoints)).agent


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def archived(run: RunFolder) -> Counter[tuple[str, int, int]]:
    """How often each (actor, episode, step) is in the learner's log."""
    return Counter((f.name, *place_of(r)) for f in sorted(run.episodes.iterdir()) for r in read_records(f))


def check_exactly_once(session: Session) -> list[dict[str, str]]:
    """The log, the counters, the replay and the table say the same; nothing is missing within an episode."""
    logged, counters = archived(session.run), session.learner.counters
    assert set(logged.values()) <= {1}
    assert len(logged) == counters.env_steps == sum(1 for _ in logged)
    assert session.learner.replay.counters.added == counters.env_steps + session.demo_steps
    assert session.learner.replay.counters.gaps == 0
    table = rows(session.run.path / "episodes.csv")
    assert [int(r["episode"]) for r in table] == list(range(counters.episodes))
    open_steps = sum(tally.length for tally in session.open_episodes.values())
    assert sum(int(r["length"]) for r in table) + open_steps == counters.env_steps
    return table
