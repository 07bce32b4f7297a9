"""A whole training run: demonstrations, learning in either mode, the evaluation at the end, the report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from robot_rl.agents.config import describe
from robot_rl.core.cells import IN_PROCESS
from robot_rl.core.config import write_yaml
from robot_rl.core.errors import ConfigError, RobotRlError
from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.environment import Env
from robot_rl.runtime.gathering import gather_demos
from robot_rl.runtime.learner.checkpoint import best_checkpoint, latest_checkpoint, list_checkpoints
from robot_rl.runtime.locks import FolderLock
from robot_rl.runtime.monitor.progress import Progress
from robot_rl.runtime.run_folder import RunFolder, create_run
from robot_rl.runtime.stop import StopFlag, stop_on_signals
from robot_rl.runtime.tasks import cell_config, open_simulation, teleop_factory

if TYPE_CHECKING:
    from robot_rl.runtime.learner.session import Session


@dataclass(frozen=True)
class TrainResult:
    """How a run ended.

    Attributes:
        run: its folder.
        finished: all environment steps were taken; False after Ctrl-C.
    """

    run: RunFolder
    finished: bool


def train(
    config: TrainConfig, *, resume: RunFolder | None = None, accept_loss: bool = False, live: bool | None = None
) -> TrainResult:
    """Train, or go on with a run.

    Args:
        config: what to do.
        resume: a run to continue from its newest checkpoint and its log.
        accept_loss: continue it although its log lacks steps.
        live: redraw the progress line; None decides by the terminal.

    Raises:
        RobotRlError: with a sentence for the user; the run folder keeps everything written so far.
    """
    check_modes(config, resume)
    if config.pair:
        from robot_rl.runtime.pair import train_pair

        first, _, finished = train_pair(config, resume=resume, accept_loss=accept_loss)
        return TrainResult(first, finished)
    env = open_simulation(config, judged=config.lockstep)
    progress = Progress(config.task, live=live)
    try:
        run = resume if resume is not None else create_run(config, env.state_spec, env.action_spec, env.hz)
        lock = FolderLock(run.path, "trains in")
        try:
            finished = _train_in(run, config, env, progress, resumed=resume is not None, accept_loss=accept_loss)
        finally:
            lock.close()
    finally:
        progress.close()
        env.close()
    if finished:
        conclude(config, run, progress)
    else:
        progress.note(f"stopped and saved; go on with: robot-rl train {config.task} --resume {run.path}")
    return TrainResult(run, finished)


def check_modes(config: TrainConfig, resume: RunFolder | None = None) -> None:
    """Check what only fits together.

    Raises:
        ConfigError: nobody could act, lock-step with several actors, a cell that cannot be used so, or a run that is
            resumed in the other mode.
    """
    _check_cell(config)
    if config.detector.model is not None:
        from robot_rl.runtime.detection import check_judge

        cell = cell_config(config) if config.actors else None
        check_judge(config, real=cell is not None and not cell.simulated)
    if config.pair:
        from robot_rl.runtime.pair import check_pair

        check_pair(config)
    if config.lockstep and config.task_options.get("reset_by") == "person":
        raise ConfigError("reset_by=person needs somebody who attends: leave out --lockstep, where nobody can")
    if config.lockstep and (config.actors != 1 or config.listen):
        raise ConfigError("--lockstep has one actor in its own process: leave out --actors and --listen")
    if not config.actors and not config.listen:
        raise ConfigError("--actors 0 starts no actor here: give --listen tcp://HOST:PORT for those on other machines")
    if resume is not None and resume.config().lockstep != config.lockstep:
        made = "without --lockstep" if config.lockstep else "with --lockstep"
        raise ConfigError(f"the run {resume.path} was made {made} and is resumed in the same way")


def _check_cell(config: TrainConfig) -> None:
    """What a cell in real time asks for; its description must be here if its actor is started here."""
    if config.cell == IN_PROCESS:
        return
    if config.lockstep:
        raise ConfigError(f"--lockstep is for --cell {IN_PROCESS}: time on the cell {config.cell} does not wait")
    if config.actors > 1:
        raise ConfigError(f"--actors is {config.actors}, but the cell {config.cell} has one arm, thus one actor")
    if not config.imperfections.off:
        raise ConfigError(f"--imperfections is for --cell {IN_PROCESS}; those of a simulated cell are in its YAML")
    if not config.randomise.off:
        raise ConfigError(f"--randomise is for --cell {IN_PROCESS}, where the scene is drawn in the actor's process")
    if config.crops:
        raise ConfigError(f"--crops is for --cell {IN_PROCESS}; on another cell it is cameras.NAME.crop in its YAML")
    if config.actors:
        cell_config(config)


def _train_in(
    run: RunFolder, config: TrainConfig, env: Env, progress: Progress, *, resumed: bool, accept_loss: bool
) -> bool:
    """Train in a folder that is locked; True if the run came to its end."""
    if resumed:
        write_yaml(config, run.config_file)  # flags may have changed it
        run.update_info(status="running", end=None)
    progress.note(f"run folder: {run.path}")
    agent = describe(config.agent, config.algorithm)
    progress.note(f"agent: {agent}; {config.target_utd:g} gradient steps per environment step")
    if not list_checkpoints(run.checkpoints):
        gather_demos(config, run.demos, env, progress.note)
    from robot_rl.runtime.learner.session import Session  # loads JAX, which takes seconds: not before the rest is right
    from robot_rl.runtime.learner.training import see_through

    session = Session(run, config, env.state_spec, env.action_spec, env.hz, progress)
    with stop_on_signals() as stop:
        return see_through(session, lambda: _learn(session, env, stop), stop, resumed=resumed, accept_loss=accept_loss)


def _learn(session: Session, env: Env, stop: StopFlag) -> bool:
    config = session.config
    if config.lockstep:
        from robot_rl.runtime.learner.lockstep import train_lockstep

        return train_lockstep(
            session, env, stop, make_teleop=teleop_factory(config, env), make_eval_env=lambda: open_simulation(config)
        )
    from robot_rl.runtime.learner.process import train_two_processes

    return train_two_processes(session, stop)


def conclude(config: TrainConfig, run: RunFolder, progress: Progress) -> None:
    """Evaluate, describe the data, report; a page that cannot be made does not spoil the run."""
    from robot_rl.data.card_page import write_card
    from robot_rl.evaluation.report import write_report

    try:
        evaluate_at_the_end(config, run, progress.note)
    finally:
        if config.report:
            _write(progress, "dataset card", lambda: write_card(run.path)[1])
            _write(progress, "report", lambda: write_report(run.path))


def evaluate_at_the_end(config: TrainConfig, run: RunFolder, note: Callable[[str], None]) -> None:
    """Evaluate what was trained on the cell of the run, if that is wanted and the cell is here.

    Raises:
        RobotRlError: it could not be done.
    """
    from robot_rl.evaluation.checkpoints import evaluate_checkpoint

    wanted = config.evaluation
    if not (wanted.final_episodes and list_checkpoints(run.checkpoints)):
        return
    if config.cell != IN_PROCESS and not config.actors:
        note(f"not evaluated: the cell {config.cell} is on another machine")
        return
    choose = best_checkpoint if wanted.checkpoint == "best" else latest_checkpoint
    result = evaluate_checkpoint(choose(run.checkpoints), n=wanted.final_episodes, seed=wanted.seed)
    note(result.line())


def _write(progress: Progress, name: str, make: Callable[[], Path]) -> None:
    try:
        progress.note(f"{name}: {make()}")
    except (RobotRlError, OSError) as e:
        progress.note(f"no {name} was written: {e}")
