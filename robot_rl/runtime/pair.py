"""Training two tasks that undo each other on one robot, which then needs nobody to reset it.

Each task has a policy, a replay, a learner and a run folder of its own; the folders name each other. After an episode
the task is due that is still to be done: the other one after a success, the same again after a failure, as in the bin
relocation of SERL (Luo et al. 2024, arXiv 2401.16013). An object out of reach, or with which a policy has failed
`PATIENCE` times in a row, is put back by the simulator in a person's place, which is counted. Pairs run in lock-step in
this process. A pair that is resumed begins with the object put back, so unlike a single run it is not repeated to the
bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from robot_rl.core.cells import IN_PROCESS
from robot_rl.core.config import write_yaml
from robot_rl.core.errors import ConfigError, RobotRlError, StorageError
from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.environment import Env
from robot_rl.runtime.learner.checkpoint import list_checkpoints
from robot_rl.runtime.locks import FolderLock
from robot_rl.runtime.monitor.progress import Progress
from robot_rl.runtime.run_folder import RunFolder, create_run, open_run
from robot_rl.runtime.stop import StopFlag, stop_on_signals
from robot_rl.runtime.tasks import gather_demos, open_simulation, teleop_factory

if TYPE_CHECKING:
    from robot_rl.envs import CellEnv
    from robot_rl.runtime.collector import Collector
    from robot_rl.runtime.learner.session import Session

PATIENCE = 3
"""Failures in a row after which the object is put back: a policy may never leave a place that it has not learnt."""
PAIR_RUN, RESETS = "pair_run", "resets"
"""Entries of ``run.json``: the folder of the other task's run, and how often an object was put back for this one."""


@dataclass
class Side:
    """One of the two tasks while they train.

    Attributes:
        env: on the robot of both.
        session: its learner and folder.
        collector: acts.
        make_eval_env: for evaluations, which begin where its own starts say.
        resets: objects put back for it before this process.
        saved_at: environment steps at its last checkpoint.
        failures: episodes in a row after which its task was still to be done.
    """

    env: CellEnv
    session: Session
    collector: Collector
    make_eval_env: Callable[[], Env]
    resets: int = 0
    saved_at: int = 0
    failures: int = 0


def check_pair(config: TrainConfig) -> None:
    """Check that a configuration asks for something that a pair can do.

    Raises:
        ConfigError: it names itself, or asks for something else than lock-step in this process.
    """
    if config.pair == config.task:
        raise ConfigError(f"--pair {config.pair} is the task itself: name the one that undoes it")
    if not config.lockstep or config.cell != IN_PROCESS:
        raise ConfigError(
            "--pair trains in lock-step in the simulation of this process: add --lockstep, and leave --cell at "
            f"{IN_PROCESS}"
        )


def pair_configs(config: TrainConfig) -> tuple[TrainConfig, TrainConfig]:
    """What the two runs are told; the given one is that of the first task."""
    return config, replace(config, task=config.pair, pair=config.task)


def train_pair(
    config: TrainConfig, *, resume: RunFolder | None = None, accept_loss: bool = False
) -> tuple[RunFolder, RunFolder, bool]:
    """Train both tasks for ``env_steps`` each on average, or go on with either of the two runs.

    Args:
        config: of the first task, with `TrainConfig.pair`.
        resume: one of the two runs.
        accept_loss: continue although a log lacks steps.

    Returns:
        Both folders, and whether all steps were taken.

    Raises:
        RobotRlError: with a sentence for the user.
    """
    from robot_rl.envs.pair import make_pair

    check_pair(config)
    configs = pair_configs(config)
    envs = make_pair(config.task, config.pair, config.env_options)
    with ExitStack() as stack:
        stack.enter_context(closing(envs[0]))
        progress = stack.enter_context(closing(Progress(f"{config.task} and {config.pair}", live=False)))
        runs = _folders(configs, envs, resume)
        for run in runs:
            stack.callback(FolderLock(run.path, "trains in").close)
        for own, run in zip(configs, runs, strict=True):
            if resume is not None:
                write_yaml(own, run.config_file)
                run.update_info(status="running", end=None)
            progress.note(f"run folder: {run.path}")
            if not list_checkpoints(run.checkpoints):
                gather_demos(own, run.demos, envs[0] if own is configs[0] else envs[1], progress.note)
        finished = _train(configs, runs, envs, resumed=resume is not None, accept_loss=accept_loss)
        if finished:
            _conclude(configs, runs, progress)
        else:
            progress.note(f"stopped and saved; go on with: robot-rl train {config.task} --resume {runs[0].path}")
    return (*runs, finished)


def _folders(
    configs: Sequence[TrainConfig], envs: Sequence[CellEnv], resume: RunFolder | None
) -> tuple[RunFolder, RunFolder]:
    if resume is None:
        first, second = (create_run(c, e.state_spec, e.action_spec, e.hz) for c, e in zip(configs, envs, strict=True))
    else:
        other = resume.info().get(PAIR_RUN)
        if not isinstance(other, str):
            raise ConfigError(f"{resume.run_file} names no run as {PAIR_RUN}, so there is no pair to go on with")
        first, second = resume, open_run(resume.path.parent / other)
    for run, other_run in ((first, second), (second, first)):
        run.update_info(**{PAIR_RUN: str(Path("..") / other_run.path.parent.name / other_run.path.name)})
    return first, second


def _train(
    configs: Sequence[TrainConfig],
    runs: Sequence[RunFolder],
    envs: Sequence[CellEnv],
    *,
    resumed: bool,
    accept_loss: bool,
) -> bool:
    from robot_rl.runtime.learner.resume import resume as resume_session
    from robot_rl.runtime.learner.session import Session

    status = "failed"
    sessions: list[Session] = []
    try:
        for config, run, env in zip(configs, runs, envs, strict=True):
            # Two lines cannot be redrawn in one place, so both are printed now and then.
            progress = Progress(config.task, live=False)
            session = Session(run, config, env.state_spec, env.action_spec, env.hz, progress)
            sessions.append(session)
            if not (resumed and resume_session(session, accept_loss=accept_loss)) and not resumed:
                session.begin()
        with stop_on_signals() as stop:
            finished = alternate([_side(s, e) for s, e in zip(sessions, envs, strict=True)], stop)
        status = "finished" if finished else "interrupted"
    finally:
        _finish(sessions, status)
    return finished


def _finish(sessions: Sequence[Session], status: str) -> None:
    for session in sessions:
        try:
            session.finish(status)
        except StorageError as e:  # a full disk has been reported by what met it first
            session.note(str(e))
        session.close()


def _side(session: Session, env: CellEnv) -> Side:
    from robot_rl.runtime.learner.lockstep import begin

    config = session.config
    collector = begin(session, env, teleop_factory(config, env))
    resets = int(session.run.info().get(RESETS, 0))
    return Side(env, session, collector, partial(open_simulation, config), resets, session.learner.counters.env_steps)


def alternate(sides: Sequence[Side], stop: StopFlag) -> bool:
    """Episodes of whichever side is due, until both together have taken all their steps or somebody asks to stop.

    Args:
        sides: two.
        stop: looked at between episodes, and between steps when it is urgent.

    Returns:
        Whether all steps were taken.

    Raises:
        RobotRlError: whatever stopped acting or learning; what was done is saved, unless the disk refuses.
    """
    total, turn = sum(s.session.config.env_steps for s in sides), 0
    try:
        while _steps(sides) < total and not stop.requested:
            _episode(sides[turn], stop)
            if not stop.urgent:
                turn = turn if _still_due(sides[turn]) else 1 - turn
        _leave(sides)
    except StorageError:
        raise  # what the log does not hold must not be in a checkpoint either
    except RobotRlError:
        _leave(sides)
        raise
    finally:
        for side in sides:
            side.collector.close()
    return _steps(sides) >= total


def _still_due(side: Side) -> bool:
    """Whether the side's task is still to be done, so that it has the next turn too."""
    from robot_rl.envs.pair import undone

    due = undone(side.env)
    side.failures = side.failures + 1 if due else 0
    if side.failures >= PATIENCE:
        side.env.give_up()
        side.failures = 0
    return due


def _steps(sides: Sequence[Side]) -> int:
    return sum(s.session.learner.counters.env_steps for s in sides)


def _episode(side: Side, stop: StopFlag) -> None:
    from robot_rl.runtime.learner.lockstep import advance, save_if_due

    session, collector = side.session, side.collector
    advance(session, collector)
    while not (collector.between_episodes or stop.urgent):
        advance(session, collector)
        session.show()
    if collector.between_episodes and save_if_due(session, side.make_eval_env):
        side.saved_at = session.learner.counters.env_steps
        session.run.update_info(**{RESETS: side.resets + side.env.put_back})


def _leave(sides: Sequence[Side]) -> None:
    from robot_rl.runtime.learner.lockstep import leave

    for side in sides:
        leave(side.session, side.collector, side.saved_at)
        side.session.run.update_info(**{RESETS: side.resets + side.env.put_back})


def _conclude(configs: Sequence[TrainConfig], runs: Sequence[RunFolder], progress: Progress) -> None:
    from robot_rl.runtime.train import conclude

    for config, run in zip(configs, runs, strict=True):
        conclude(config, run, progress)
        info = run.info()
        episodes = info.get("counters", {}).get("episodes", 0)
        progress.note(f"{config.task}: something had to be put back {info.get(RESETS, 0)} times in {episodes} episodes")
