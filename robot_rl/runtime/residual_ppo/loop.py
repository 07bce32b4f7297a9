"""A whole run of residual PPO: rollouts, iterations, evaluations, checkpoints, the report."""

from __future__ import annotations

from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from robot_rl.agents.arrays import flatten_state
from robot_rl.agents.ppo import Rollout, make_update
from robot_rl.agents.ppo_acting import actor_params
from robot_rl.agents.ppo_losses import begin_anew
from robot_rl.agents.ppo_state import PpoState, init
from robot_rl.core.base import BasePolicy
from robot_rl.core.errors import ConfigError, RobotRlError, StorageError
from robot_rl.core.specs import ActionSpec, StateSpec
from robot_rl.evaluation.evaluate import Evaluation, evaluation_seeds
from robot_rl.policies.plan import Planner
from robot_rl.runtime.based import BasedEnv
from robot_rl.runtime.learner.checkpoint import best_checkpoint, latest_checkpoint, mark_best, save_checkpoint
from robot_rl.runtime.locks import FolderLock
from robot_rl.runtime.monitor.progress import Progress
from robot_rl.runtime.residual_ppo.config import ResidualPpoConfig
from robot_rl.runtime.residual_ppo.crowd import Crowd
from robot_rl.runtime.residual_ppo.plans import Plans
from robot_rl.runtime.residual_ppo.pool import EnvPool
from robot_rl.runtime.residual_ppo.practice import Finished, Tally, TrainingSeeds, gather, play
from robot_rl.runtime.residual_ppo.records import Records
from robot_rl.runtime.run_folder import RunFolder, create_run, machine
from robot_rl.runtime.seeds import Stream, stream_rng, stream_seed
from robot_rl.runtime.stop import StopFlag, stop_on_signals


@dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes:
        run: its folder.
        finished: all environment steps were taken; False after Ctrl-C, when what was learned is in a checkpoint.
    """

    run: RunFolder
    finished: bool


@dataclass(frozen=True)
class World:
    """What is simulated, as far as learning knows it.

    Attributes:
        state_spec: layout of what an environment tells.
        row_spec: the same with the plan of the base, as the policy is given it when it acts alone.
        action_spec: meaning of an action.
        hz: control rate.
        limit_s: time limit of an episode.
    """

    state_spec: StateSpec
    row_spec: StateSpec
    action_spec: ActionSpec
    hz: float
    limit_s: float


def train_residual_ppo(config: ResidualPpoConfig, *, live: bool | None = None) -> Result:
    """Train a residual on a frozen base, evaluate it, write the report.

    Args:
        config: what to do.
        live: redraw the progress line; None decides by the terminal.

    Raises:
        RobotRlError: with a sentence for the user; the run folder keeps everything written so far.
    """
    if not config.base.path:
        raise ConfigError("residual PPO corrects a base policy: give the run folder of robot-rl bc with --base RUN")
    from robot_rl.policies.base.open import open_base  # loads torch

    config = with_resolved_base(config)
    with closing(open_base(config.base.path)) as base, closing(Progress(config.task, live=live)) as progress:
        world = look_at(config, base)
        run = create_run(config, world.row_spec, world.action_spec, world.hz)
        progress.note(f"run folder: {run.path}")
        with closing(FolderLock(run.path, "trains in")), stop_on_signals() as stop:
            finished = _train_in(run, config, world, base, progress, stop)
        if finished:
            conclude(config, run, progress)
        else:
            progress.note(f"stopped; what was learned so far is in {latest_checkpoint(run.checkpoints)}")
    return Result(run, finished)


def _train_in(
    run: RunFolder, config: ResidualPpoConfig, world: World, base: BasePolicy, progress: Progress, stop: StopFlag
) -> bool:
    """Train in a folder that is locked, and note in ``run.json`` how it ended."""
    told = {"path": config.base.path, "name": base.info.name, "checksum": base.info.checksum}
    run.update_info(algorithm="residual_ppo", base=told)
    status, counters = "failed", {}
    try:
        with closing(Session(config, run, world, base, progress)) as session:
            try:
                status = "finished" if session.train(stop) else "interrupted"
            finally:
                counters = session.counters
    finally:
        end = datetime.now().astimezone().isoformat(timespec="seconds")
        with suppress(StorageError):  # a full disk has been reported by what met it first
            run.update_info(end=end, status=status, counters=counters)
    return status == "finished"


def with_resolved_base(config: ResidualPpoConfig) -> ResidualPpoConfig:
    """The same with the path of the base from the root, so that the run can be evaluated from anywhere."""
    path = Path(config.base.path)
    return replace(config, base=replace(config.base, path=str(path.resolve()))) if path.exists() else config


def look_at(config: ResidualPpoConfig, base: BasePolicy) -> World:
    """What the run simulates.

    Raises:
        ConfigError: unknown task or option, or the base does not plan far enough.
        DataError: the base was trained for something else.
    """
    from robot_rl.envs import make_env

    options: dict[str, Any] = dict(config.task_options)
    with closing(make_env(config.task, **options)) as env:
        based = BasedEnv(env, Planner(base, replan_every=config.base.replan_every))
        limit_s = env.task.episode_steps / env.hz
        return World(env.state_spec, based.state_spec, env.action_spec, env.hz, limit_s)


class Session:
    """Everything open while a run trains.

    Args:
        config: of the run.
        run: its folder.
        world: what is simulated.
        base: what is corrected; stays open.
        progress: shows how it goes.

    Attributes:
        state: the agent.
        env_steps: so far.

    Raises:
        ConfigError: the base does not fit.
        DataError: an environment cannot be made.
        DeviceError: a process died.
    """

    def __init__(
        self, config: ResidualPpoConfig, run: RunFolder, world: World, base: BasePolicy, progress: Progress
    ) -> None:
        self.config, self._run, self._world, self._progress = config, run, world, progress
        agent = config.agent
        seed = stream_seed(config.seed, Stream.AGENT)
        self.state: PpoState = init(agent, world.state_spec, world.action_spec, config.envs, seed)
        self.env_steps, self.iteration, self._saved = 0, 0, -1
        self._update = make_update(agent)
        self._seeds, self._tally = TrainingSeeds(config.seed, config.envs), Tally(config.envs)
        size = world.state_spec.size
        plans = Plans(base, config.envs, size, config.base.replan_every)
        with ExitStack() as stack:
            self._records = stack.enter_context(closing(Records(run, world.hz)))
            workers = config.workers or min(int(machine()["cores"] or 1), config.envs)
            options = dict(config.task_options)
            pool = EnvPool(config.task, options, envs=config.envs, workers=workers, state_size=size)
            self._crowd = Crowd(stack.enter_context(closing(pool)), plans)
            self._open = stack.pop_all()

    def train(self, stop: StopFlag) -> bool:
        """Iterate to the end of the run; the base alone is evaluated before.

        Returns:
            False if it was stopped before; what was learned is saved in either case.

        Raises:
            RobotRlError: the simulation, the base or the disk failed.
        """
        config = self.config
        every, due = config.evaluation.every, 0
        try:
            self._begin()
            while self.env_steps < config.env_steps and not stop.requested:
                if every and self.env_steps >= due:
                    due += every
                    self._judge(stop)
                    self._begin()
                gathered = self._gather(stop)
                if gathered is None:
                    break
                self._learn(*gathered)
            done = self.env_steps >= config.env_steps
            if done and every:
                self._judge(stop)
            return done
        finally:
            self._save()

    @property
    def counters(self) -> dict[str, int]:
        """What was done so far."""
        return {"updates": self.iteration, "env_steps": self.env_steps, "episodes": self._records.episodes}

    def close(self) -> None:
        """End the simulation, close the files. May be called twice."""
        self._open.close()

    def _begin(self) -> None:
        self._crowd.start(self._seeds)
        self._tally.clear()
        self.state = self.state._replace(scaler=begin_anew(self.state.scaler))

    def _gather(self, stop: StopFlag) -> tuple[Rollout, list[Finished]] | None:
        config, done = self.config, 0

        def on_step() -> bool:
            nonlocal done
            done += config.envs
            if self._progress.due:
                self._progress.show(self._records.status(self.env_steps + done, config.env_steps))
            return not stop.requested

        rng = stream_rng(config.seed, Stream.POLICY, self.iteration)
        spec, steps = self._world.action_spec, config.steps
        return gather(self._crowd, self._tally, self.state, config.agent, spec, steps, rng, on_step)

    def _learn(self, rollout: Rollout, finished: list[Finished]) -> None:
        config = self.config
        self.state, info = self._update(self.state, rollout)
        self.iteration += 1
        self.env_steps += rollout.rewards.size
        self._records.iteration(self.iteration, self.env_steps, finished, info, rollout.rewards.size)
        if self.iteration % config.checkpoint_every == 0:
            self._save()

    def _judge(self, stop: StopFlag) -> None:
        """Evaluate the policy of now, checkpoint it, and mark the best."""
        config, world, wanted = self.config, self._world, self.config.evaluation
        self._save()
        seeds = evaluation_seeds(wanted.episodes, wanted.validation_seed)
        episodes = play(self._crowd, self.state, config.agent, world.action_spec, seeds, stop, world.hz)
        if episodes is None:
            return
        result = Evaluation(config.task, tuple(episodes), world.limit_s, self.iteration, dict(config.task_options))
        row = result.row()
        self._records.evaluation(f"{self.iteration:09d}", self.env_steps, row)
        mark_best(self._run.checkpoints, self.iteration, float(row["wilson_low"]))
        self._progress.note(f"step {self.env_steps:,}: {result.line()}")

    def _save(self) -> None:
        if self._saved == self.iteration:
            return
        config, world = self.config, self._world
        save_checkpoint(
            self._run.checkpoints,
            self.iteration,
            agent=flatten_state(self.state),
            actor=actor_params(self.state, config.agent, world.state_spec, world.action_spec),
            state={
                "counters": self.counters,
                "state_checksum": world.row_spec.checksum,
                "state_spec": world.row_spec.to_list(),
            },
            keep=config.keep_checkpoints,
        )
        self._saved = self.iteration


def conclude(config: ResidualPpoConfig, run: RunFolder, progress: Progress) -> None:
    """Evaluate and report; a page that cannot be made does not spoil the run."""
    from robot_rl.evaluation.checkpoints import evaluate_checkpoint
    from robot_rl.evaluation.report import write_report

    wanted = config.evaluation
    try:
        if wanted.final_episodes:
            choose = best_checkpoint if wanted.checkpoint == "best" else latest_checkpoint
            result = evaluate_checkpoint(choose(run.checkpoints), n=wanted.final_episodes, seed=wanted.seed)
            interval = result.interval
            progress.note(f"{result.line()}, 95 % Wilson interval [{interval.low:.3f}, {interval.high:.3f}]")
    finally:
        if config.report:
            try:
                progress.note(f"report: {write_report(run.path)}")
            except (RobotRlError, OSError) as e:
                progress.note(f"no report was written: {e}")
