"""Training two tasks that undo each other on one robot, which then needs nobody to reset it.

Each task has a policy, a replay, a learner and a run folder of its own; the folders name each other.
`robot_rl.runtime.turns` says whose turn it is. In lock-step everything happens in this process
(`robot_rl.runtime.pair_lockstep`); otherwise each learner is a process, and so is the one actor of both
(`robot_rl.runtime.pair_processes`). A pair that is resumed begins with the object put back in simulation, so unlike a
single run it is not repeated to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from os.path import normpath
from pathlib import Path

from robot_rl.core.cells import IN_PROCESS
from robot_rl.core.config import write_yaml
from robot_rl.core.errors import ConfigError
from robot_rl.runtime.config import DemoConfig, TrainConfig
from robot_rl.runtime.detection import other_side
from robot_rl.runtime.gathering import gather_demos
from robot_rl.runtime.learner.checkpoint import list_checkpoints
from robot_rl.runtime.learner.resets import RESETS
from robot_rl.runtime.locks import FolderLock
from robot_rl.runtime.monitor.progress import Progress
from robot_rl.runtime.run_folder import RunFolder, create_run, open_run
from robot_rl.runtime.stop import stop_on_signals
from robot_rl.runtime.tasks import simulate_pair
from robot_rl.runtime.transport.sockets import next_port
from robot_rl.runtime.turns import SharedEnv

PAIR_RUN = "pair_run"
"""Entry of ``run.json``: the folder of the other task's run."""
PREDECESSOR_S = 20.0
"""How long learners whose parent was killed are waited for: they save before they end."""


def check_pair(config: TrainConfig) -> None:
    """Check that a configuration asks for something that a pair can do.

    Raises:
        ConfigError: it names itself, asks for several actors, or to wait for time on a cell.
    """
    if config.pair == config.task:
        raise ConfigError(f"--pair {config.pair} is the task itself: name the one that undoes it")
    if config.lockstep and config.cell != IN_PROCESS:
        raise ConfigError(
            f"--lockstep is for --cell {IN_PROCESS}: leave it out, then --pair trains in real time on the cell "
            f"{config.cell}"
        )
    if config.actors > 1:
        raise ConfigError(f"--actors is {config.actors}, but a pair shares one robot, thus one actor")


def pair_configs(config: TrainConfig, other: TrainConfig | None = None) -> tuple[TrainConfig, TrainConfig]:
    """What the two runs are told.

    Args:
        config: of the first task.
        other: of the second one as it was told before; None for a new pair, whose second learner listens two ports
            above the first one, and whose demonstrations lie in a folder by task if there is one.
    """
    if other is not None:
        return config, replace(other_side(config), listen=other.listen, demos=other.demos)
    listen = next_port(next_port(config.listen)) if config.listen else ""
    first, second = (replace(side, demos=_demos_of(side.demos, side.task)) for side in (config, other_side(config)))
    return first, replace(second, listen=listen)


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
    check_pair(config)
    other = None if resume is None else _other_run(resume)
    configs = pair_configs(config, None if other is None else other.config())
    with closing(Progress(f"{config.task} and {config.pair}", live=False)) as progress:
        with ExitStack() as stack:
            envs = simulate_pair(config, judged=config.lockstep)
            stack.callback(envs[0].close)
            runs = _folders(configs, envs) if resume is None or other is None else (resume, other)
            for run in runs:
                stack.callback(FolderLock(run.path, "trains in", wait_s=PREDECESSOR_S).close)
            _prepare(configs, runs, envs, progress.note, resumed=resume is not None)
            with stop_on_signals() as stop:
                resumed = resume is not None
                if config.lockstep:
                    from robot_rl.runtime.pair_lockstep import train_in_turn  # loads JAX, which takes seconds

                    finished = train_in_turn(configs, runs, envs, stop, resumed=resumed, accept_loss=accept_loss)
                else:
                    from robot_rl.runtime.pair_processes import train_in_processes

                    stack.close()  # each learner locks its own folder
                    finished = train_in_processes(
                        configs, runs, stop, progress.note, resumed=resumed, accept_loss=accept_loss
                    )
        if finished:
            _conclude(configs, runs, progress)
        else:
            progress.note(f"stopped and saved; go on with: robot-rl train {config.task} --resume {runs[0].path}")
    return (*runs, finished)


def _demos_of(demos: DemoConfig, task: str) -> DemoConfig:
    own = None if demos.dir is None else demos.dir / task
    return replace(demos, dir=own) if own is not None and own.is_dir() else demos


def _other_run(resume: RunFolder) -> RunFolder:
    other = resume.info().get(PAIR_RUN)
    if not isinstance(other, str):
        raise ConfigError(f"{resume.run_file} names no run as {PAIR_RUN}, so there is no pair to go on with")
    return open_run(Path(normpath(resume.path.parent / other)))


def _folders(configs: Sequence[TrainConfig], envs: Sequence[SharedEnv]) -> tuple[RunFolder, RunFolder]:
    first, second = (create_run(c, e.state_spec, e.action_spec, e.hz) for c, e in zip(configs, envs, strict=True))
    for run, other_run in ((first, second), (second, first)):
        run.update_info(**{PAIR_RUN: str(Path("..") / other_run.path.parent.name / other_run.path.name)})
    return first, second


def _prepare(
    configs: Sequence[TrainConfig],
    runs: Sequence[RunFolder],
    envs: Sequence[SharedEnv],
    note: Callable[[str], None],
    *,
    resumed: bool,
) -> None:
    for own, run, env in zip(configs, runs, envs, strict=True):
        if resumed:
            write_yaml(own, run.config_file)  # flags may have changed it
            run.update_info(status="running", end=None)
        note(f"run folder: {run.path}")
        if not list_checkpoints(run.checkpoints):
            gather_demos(own, run.demos, env, note)


def _conclude(configs: Sequence[TrainConfig], runs: Sequence[RunFolder], progress: Progress) -> None:
    from robot_rl.runtime.train import conclude

    for config, run in zip(configs, runs, strict=True):
        conclude(config, run, progress)
        info = run.info()
        episodes = info.get("counters", {}).get("episodes", 0)
        progress.note(f"{config.task}: something had to be put back {info.get(RESETS, 0)} times in {episodes} episodes")
