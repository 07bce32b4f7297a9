"""Lock-step training: one process, one step at a time, deterministic.

Two runs with the same configuration are bit-identical, and so is a run that was stopped and resumed. An update call
returns before its result is there, so on a second core the arithmetic overlaps with the next environment step
without changing any result.
"""

from __future__ import annotations

from collections.abc import Callable

from robot_rl.core.errors import RobotRlError, StorageError
from robot_rl.core.protocols import Policy
from robot_rl.core.transition import StepRecord
from robot_rl.policies.published import published_policy
from robot_rl.runtime.acting import ActingConfig, TeleopFactory
from robot_rl.runtime.collector import Collector
from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.detection import logged_cameras
from robot_rl.runtime.environment import Env
from robot_rl.runtime.learner.checkpoint import list_checkpoints
from robot_rl.runtime.learner.evaluations import evaluate_now
from robot_rl.runtime.learner.session import Session
from robot_rl.runtime.learner.warmup import warm_up
from robot_rl.runtime.pictures import open_watch, seeing
from robot_rl.runtime.stop import StopFlag


def train_lockstep(
    session: Session,
    env: Env,
    stop: StopFlag,
    *,
    make_teleop: TeleopFactory | None = None,
    make_eval_env: Callable[[], Env] | None = None,
) -> bool:
    """Act and learn in turn until all environment steps are taken or somebody asks to stop.

    Args:
        session: begun or resumed.
        env: the task's environment.
        stop: looked at between steps.
        make_teleop: the operator's stand-in, or None.
        make_eval_env: builds an environment for evaluations during training.

    Returns:
        Whether the run came to its end, rather than being stopped.
    """
    learner = session.learner
    collector = begin(session, env, make_teleop, stop)
    saved_at = learner.counters.env_steps
    try:
        while not (collector.between_episodes and (session.finished or stop.requested)):
            if stop.urgent or (stop.requested and collector.prompt):
                break
            advance(session, collector)
            if collector.between_episodes and save_if_due(session, make_eval_env):
                saved_at = learner.counters.env_steps
            session.show()
        leave(session, collector, saved_at)
    except StorageError:
        raise  # what the log does not hold must not be in a checkpoint either
    except RobotRlError:
        leave(session, collector, saved_at)
        raise
    finally:
        collector.close()
    return session.finished


def begin(session: Session, env: Env, make_teleop: TeleopFactory | None, stop: StopFlag | None = None) -> Collector:
    """Warm up if the run is new, unless somebody asks to stop, and go on acting where it was."""
    learner, config, pace = session.learner, session.config, session.config.pace
    if learner.counters.env_steps == 0:
        warm_up(session, stop or StopFlag())
    return Collector(
        env,
        _policy(session),
        ActingConfig(config.seed, f"{session.run.run_id}-a0", pace.random_steps, keep_cameras=_logged(config)),
        make_teleop=make_teleop,
        first_episode=learner.counters.next_episode,
        env_steps=learner.counters.env_steps,
        watch=open_watch(session.told_config.pictures, env.state_spec),
    )


def _logged(config: TrainConfig) -> tuple[str, ...] | None:
    """Whose pictures are logged: without a success classifier all that the environment shows."""
    return None if config.detector.model is None else logged_cameras(config, config.pictures.cameras)


def leave(session: Session, collector: Collector, saved_at: int) -> None:
    """Keep what was done since the last checkpoint."""
    _take(session, collector.interrupt())
    session.learner.counters.next_episode = collector.next_episode
    if session.learner.counters.env_steps > saved_at or not list_checkpoints(session.run.checkpoints):
        session.save()


def save_if_due(session: Session, make_eval_env: Callable[[], Env] | None) -> bool:
    """Between two episodes: evaluate or write a checkpoint if it is time to; whether a checkpoint was written."""
    if session.evaluation_due and make_eval_env is not None:
        evaluate_now(session, make_eval_env)
    elif session.checkpoint_due:
        session.save()
    else:
        return False
    return True


def advance(session: Session, collector: Collector) -> None:
    """One control step, and the updates that are due after it."""
    bad = collector.bad_episodes
    _take(session, collector.step())
    if collector.bad_episodes > bad:
        session.note(f"the episode was cut by a bad observation: {collector.last_problem}")
    learner = session.learner
    while learner.due:
        learner.update()
        session.after_update()
        if learner.counters.updates % session.config.pace.publish_every == 0:
            collector.set_policy(_policy(session))
    if collector.between_episodes:
        learner.counters.next_episode = collector.next_episode
        # Every episode begins with the parameters of now: so does one that begins after a resume.
        collector.set_policy(_policy(session))


def _take(session: Session, records: list[StepRecord]) -> None:
    for record in records:
        session.add(record)


def _policy(session: Session) -> Policy:
    learner = session.learner
    return seeing(published_policy(learner.actor_arrays(), learner.version), learner.eyes)
