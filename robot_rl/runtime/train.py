"""A whole training run: demonstrations, learning in either mode, the evaluation at the end, the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from robot_rl.agents.config import describe
from robot_rl.core.config import write_yaml
from robot_rl.core.errors import RobotRlError
from robot_rl.runtime.checkpoint import best_checkpoint, latest_checkpoint, list_checkpoints
from robot_rl.runtime.collector import Env
from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.progress import Progress
from robot_rl.runtime.run_folder import RunFolder, create_run
from robot_rl.runtime.stop import StopFlag, stop_on_signals
from robot_rl.runtime.tasks import gather_demos, open_env, teleop_factory

if TYPE_CHECKING:
    from robot_rl.runtime.session import Session


@dataclass(frozen=True)
class TrainResult:
    """How a run ended.

    Attributes:
        run: its folder.
        finished: all environment steps were taken; False after Ctrl-C.
    """

    run: RunFolder
    finished: bool


def train(config: TrainConfig, *, resume: RunFolder | None = None, live: bool | None = None) -> TrainResult:
    """Train, or go on with a run.

    Args:
        config: what to do.
        resume: a run to continue from its newest checkpoint.
        live: redraw the progress line; None decides by the terminal.

    Raises:
        RobotRlError: with a sentence for the user; the run folder keeps everything written so far.
    """
    env = open_env(config)
    progress = Progress(config.task, live=live)
    session: Session | None = None
    status = "failed"
    try:
        run = resume if resume is not None else create_run(config, env.state_spec, env.action_spec, env.hz)
        if resume is not None:
            write_yaml(config, run.config_file)  # flags may have changed it, and the actor reads it
            run.update_info(status="running", end=None)
        progress.note(f"run folder: {run.path}")
        progress.note(f"agent: {describe(config.agent)}; {config.target_utd:g} gradient steps per environment step")
        saved = list_checkpoints(run.checkpoints)
        demos = [] if saved else gather_demos(config, run.demos, env, progress.note)
        from robot_rl.runtime.session import Session  # loads JAX, which takes seconds: not before the rest is right

        session = Session(run, config, env.state_spec, env.action_spec, env.hz, progress)
        with stop_on_signals() as stop:
            if resume is not None and session.resume():
                c = session.learner.counters
                progress.note(f"resumed at environment step {c.env_steps:,}, update {c.updates:,}")
            elif demos:
                progress.note(f"{len(demos)} demonstrations, {session.learner.add_demos(demos):,} steps")
            finished = not stop.requested and _learn(session, env, stop)
        status = "finished" if finished else "interrupted"
        session.show(force=True)
    finally:
        if session is not None:
            session.finish(status)
            session.close()
        progress.close()
        env.close()
    if finished:
        _conclude(config, run, progress)
    else:
        progress.note(f"stopped and saved; go on with: robot-rl train {config.task} --resume {run.path}")
    return TrainResult(run, finished)


def _learn(session: Session, env: Env, stop: StopFlag) -> bool:
    config = session.config
    if config.lockstep:
        from robot_rl.runtime.lockstep import train_lockstep

        return train_lockstep(
            session, env, stop, make_teleop=teleop_factory(config, env), make_eval_env=lambda: open_env(config)
        )
    from robot_rl.runtime.learner_process import train_two_processes

    return train_two_processes(session, stop, make_eval_env=lambda: open_env(config))


def _conclude(config: TrainConfig, run: RunFolder, progress: Progress) -> None:
    """Evaluate and report; a report that cannot be made does not spoil the run."""
    from robot_rl.evaluation.checkpoints import evaluate_checkpoint

    wanted = config.evaluation
    if wanted.final_episodes and list_checkpoints(run.checkpoints):
        choose = best_checkpoint if wanted.checkpoint == "best" else latest_checkpoint
        result = evaluate_checkpoint(choose(run.checkpoints), n=wanted.final_episodes, seed=wanted.seed)
        progress.note(result.line())
    if config.report:
        from robot_rl.evaluation.report import write_report

        try:
            progress.note(f"report: {write_report(run.path)}")
        except (RobotRlError, OSError) as e:
            progress.note(f"no report was written: {e}")
