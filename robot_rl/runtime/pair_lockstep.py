"""A pair of tasks in lock-step: two learners, two collectors and one simulated robot in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from robot_rl.core.errors import RobotRlError, StorageError
from robot_rl.core.marks import SUCCESS
from robot_rl.runtime.collector import Collector
from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.environment import Env
from robot_rl.runtime.learner.lockstep import advance, begin, leave, save_if_due
from robot_rl.runtime.learner.resets import RESETS
from robot_rl.runtime.learner.resume import resume as resume_session
from robot_rl.runtime.learner.session import Session
from robot_rl.runtime.monitor.progress import Progress
from robot_rl.runtime.run_folder import RunFolder
from robot_rl.runtime.stop import StopFlag
from robot_rl.runtime.tasks import open_simulation, teleop_factory
from robot_rl.runtime.turns import SharedEnv, Turns, disputed


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
    """

    env: SharedEnv
    session: Session
    collector: Collector
    make_eval_env: Callable[[], Env]
    resets: int = 0
    saved_at: int = 0


def train_in_turn(
    configs: Sequence[TrainConfig],
    runs: Sequence[RunFolder],
    envs: Sequence[SharedEnv],
    stop: StopFlag,
    *,
    resumed: bool,
    accept_loss: bool,
) -> bool:
    """Train both tasks until all steps are taken or somebody asks to stop.

    Args:
        configs: of the two runs.
        runs: their folders, with demonstrations and configurations.
        envs: of the two tasks, on one robot.
        stop: looked at between episodes, and between steps when it is urgent.
        resumed: go on with what the folders hold.
        accept_loss: although a log lacks steps.

    Returns:
        Whether all steps were taken.

    Raises:
        RobotRlError: with a sentence for the user.
    """
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
        finished = alternate([_side(s, e, stop) for s, e in zip(sessions, envs, strict=True)], stop)
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


def _side(session: Session, env: SharedEnv, stop: StopFlag) -> Side:
    config = session.config
    collector = begin(session, env, teleop_factory(config, env), stop)
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
    total, turns = sum(s.session.config.env_steps for s in sides), Turns([s.env for s in sides])
    try:
        while _steps(sides) < total and not stop.requested:
            side = sides[turns.turn]
            succeeded = _episode(side, stop)
            if not stop.urgent:
                disputes = turns.disputes
                turns.pass_on(succeeded=succeeded)
                if turns.disputes > disputes:
                    side.session.note(disputed(side.session.config))
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


def _steps(sides: Sequence[Side]) -> int:
    return sum(s.session.learner.counters.env_steps for s in sides)


def _episode(side: Side, stop: StopFlag) -> bool:
    """One episode, up to its end or an urgent stop; whether it ended in success."""
    session, collector, before = side.session, side.collector, side.collector.newest
    advance(session, collector)
    while not (collector.between_episodes or stop.urgent):
        advance(session, collector)
        session.show()
    if collector.between_episodes and save_if_due(session, side.make_eval_env):
        side.saved_at = session.learner.counters.env_steps
        session.run.update_info(**{RESETS: side.resets + side.env.put_back})
    last = collector.newest
    return last is not None and last is not before and last.last and last.rewards.get(SUCCESS, 0.0) > 0.5


def _leave(sides: Sequence[Side]) -> None:
    for side in sides:
        leave(side.session, side.collector, side.saved_at)
        side.session.run.update_info(**{RESETS: side.resets + side.env.put_back})
