"""A whole cloning run: demonstrations, training, rollouts, the evaluation at the end, the report."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robot_rl.core.errors import ConfigError, RobotRlError
from robot_rl.data.episode_log import Episode
from robot_rl.runtime.cloning.config import CloneConfig
from robot_rl.runtime.cloning.episodes import demonstration, gather, held_out_split
from robot_rl.runtime.cloning.meter import MakeMeter, no_meter
from robot_rl.runtime.environment import Env
from robot_rl.runtime.learner.checkpoint import best_checkpoint, latest_checkpoint, list_checkpoints, mark_best
from robot_rl.runtime.locks import FolderLock
from robot_rl.runtime.monitor.csv_log import CsvLog
from robot_rl.runtime.pictures import open_eyes
from robot_rl.runtime.run_folder import RunFolder, create_run
from robot_rl.runtime.stop import stop_on_signals
from robot_rl.runtime.tasks import open_simulation

if TYPE_CHECKING:
    from robot_rl.evaluation.evaluate import Evaluation
    from robot_rl.policies.base.train import Report

COLUMNS = ("update", "wall_s", "loss", "held_out_loss")
"""Of ``learner.csv``; an update is one step of the optimiser."""


@dataclass(frozen=True)
class CloneResult:
    """How a cloning run ended.

    Attributes:
        run: its folder.
        finished: training came to its end; False after Ctrl-C.
        evaluation: that at the end, None if there was none.
    """

    run: RunFolder
    finished: bool
    evaluation: Evaluation | None = None


def clone(config: CloneConfig, *, note: Callable[[str], None] = print, meter: MakeMeter = no_meter) -> CloneResult:
    """Clone demonstrations into a base policy, and see how well it does.

    Args:
        config: what to do.
        note: told sentences that stay.
        meter: shows progress and time left.

    Raises:
        RobotRlError: with a sentence for the user; the run folder keeps everything written so far.
    """
    if not _torch():
        raise ConfigError("torch is not installed: base policies need the extra, pip install 'robot-rl[diffusion]'")
    from robot_rl.policies.base.machine import training_device

    training_device(config.device)  # before anything is recorded
    env = open_simulation(config.world)
    try:
        run = create_run(config, env.state_spec, env.action_spec, env.hz)
        lock = FolderLock(run.path, "clones in")
        try:
            finished = _clone_in(run, config, env, note, meter)
        finally:
            lock.close()
    finally:
        env.close()
    if not finished:
        note(f"stopped; what was learnt so far: robot-rl eval {run.path}")
        return CloneResult(run, finished)
    return CloneResult(run, finished, _conclude(config, run, note, meter))


def _clone_in(run: RunFolder, config: CloneConfig, env: Env, note: Callable[[str], None], meter: MakeMeter) -> bool:
    """Gather and train in a folder that is locked; True if training came to its end."""
    note(f"run folder: {run.path}")
    status = "failed"
    counters: dict[str, Any] = {}
    try:
        episodes = gather(config, run.demos, env, note, meter)
        finished = _train(run, config, env, episodes, counters, note, meter)
        status = "finished" if finished else "interrupted"
    finally:
        end = datetime.now().astimezone().isoformat(timespec="seconds")
        run.update_info(end=end, status=status, counters=counters)
    return finished


def _train(
    run: RunFolder,
    config: CloneConfig,
    env: Env,
    episodes: list[Episode],
    counters: dict[str, Any],
    note: Callable[[str], None],
    meter: MakeMeter,
) -> bool:
    from robot_rl.policies.base.machine import training_device
    from robot_rl.policies.base.train import train_base

    device = training_device(config.device)
    eyes = open_eyes(config.pictures, copies=1)
    demos = [demonstration(e, eyes) for e in episodes]
    learnt, held = held_out_split(len(demos), config.held_out, config.seed)
    steps = sum(demos[i].steps for i in learnt)
    note(f"{len(learnt)} demonstrations of {steps} steps to learn from, {len(held)} held out")
    card = {"task": config.task, "run_id": run.run_id, "demonstrations": len(learnt), "demonstrated_steps": steps}
    counters.update(card)
    reports = train_base(
        config.model,
        [demos[i] for i in learnt],
        [demos[i] for i in held],
        state_spec=env.state_spec,
        action_spec=env.action_spec,
        hz=env.hz,
        name=f"{config.task}/{run.path.name}",
        card=card,
        seed=config.seed,
        device=device,
    )
    log, show = CsvLog(run.path / "learner.csv", COLUMNS), meter("training")
    began_s, next_rollout = time.monotonic(), config.rollout_every or config.model.fit.steps + 1
    try:
        with stop_on_signals() as stop:
            for report in reports:
                wall_s = time.monotonic() - began_s
                log.append(_row(report, wall_s))
                show(report.step, report.steps, _losses(report))
                counters.update(updates=report.step, wall_s=wall_s)
                if report.step == report.steps or stop.requested or report.step >= next_rollout:
                    saved = _save(run, report)
                if next_rollout <= report.step < report.steps and not stop.requested:
                    next_rollout += config.rollout_every
                    _roll_out(run, config, saved, note, meter)
                if stop.requested:
                    return report.step == report.steps
    finally:
        log.close()
    note(_losses(report))
    if config.rollout_every:
        _roll_out(run, config, saved, note, meter)
    return True


def _save(run: RunFolder, report: Report) -> Path:
    from robot_rl.policies.base.checkpoint import save_base

    folder = run.checkpoints / f"{report.step:09d}"
    save_base(folder, report.snapshot())
    return folder


def _roll_out(
    run: RunFolder, config: CloneConfig, checkpoint: Path, note: Callable[[str], None], meter: MakeMeter
) -> None:
    """Play a checkpoint from the initial states that are kept for choosing one."""
    result = _evaluate(checkpoint, config.rollout_episodes, config.validation_seed, 1, meter("rolling out"))
    mark_best(run.checkpoints, int(checkpoint.name), result.interval.low)
    note(f"update {int(checkpoint.name):,}: {result.line()}")


def _conclude(config: CloneConfig, run: RunFolder, note: Callable[[str], None], meter: MakeMeter) -> Evaluation | None:
    """Evaluate and report; a page that cannot be made does not spoil the run."""
    result = None
    try:
        if config.eval_episodes and list_checkpoints(run.checkpoints):
            choose = best_checkpoint if config.checkpoint == "best" else latest_checkpoint
            chosen, show = choose(run.checkpoints), meter("evaluating")
            result = _evaluate(chosen, config.eval_episodes, config.eval_seed, config.workers, show)
            low, high = result.interval.low, result.interval.high
            note(f"{result.line()}; 95 % Wilson interval [{low:.3f}, {high:.3f}]")
    finally:
        if config.report:
            from robot_rl.evaluation.report import write_report

            try:
                note(f"report: {write_report(run.path)}")
            except (RobotRlError, OSError) as e:
                note(f"no report was written: {e}")
    return result


def _evaluate(checkpoint: Path, n: int, seed: int, workers: int, show: Callable[..., None]) -> Evaluation:
    from robot_rl.evaluation.checkpoints import evaluate_checkpoint

    played: list[bool] = []
    mine = -(-n // min(workers, n))

    def on_episode(result: Any) -> None:
        played.append(result.success)
        show(len(played), mine, f"{sum(played)} of {len(played)} succeeded")

    return evaluate_checkpoint(checkpoint, n=n, seed=seed, workers=workers, on_episode=on_episode)


def _row(report: Report, wall_s: float) -> dict[str, Any]:
    held = "" if report.held_loss is None else report.held_loss
    return {"update": report.step, "wall_s": wall_s, "loss": report.loss, "held_out_loss": held}


def _losses(report: Report) -> str:
    held = "" if report.held_loss is None else f", held-out loss {report.held_loss:.4g}"
    return f"loss {report.loss:.4g}{held}"


def _torch() -> bool:
    from importlib.util import find_spec

    return find_spec("torch") is not None
