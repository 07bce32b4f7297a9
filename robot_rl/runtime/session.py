"""One training run on disk: the learner's rows, checkpoints, evaluations and progress, the same in both modes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from robot_rl.core.errors import DataError
from robot_rl.core.specs import ActionSpec, StateSpec
from robot_rl.core.transition import StepRecord
from robot_rl.policies.gaussian import GaussianPolicy
from robot_rl.runtime.checkpoint import (
    latest_checkpoint,
    list_checkpoints,
    load_checkpoint,
    mark_best,
    save_checkpoint,
)
from robot_rl.runtime.collector import Env
from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.episode_files import episode_number
from robot_rl.runtime.learner import Learner
from robot_rl.runtime.metrics import EpisodeTally, MetricsWriter, drop_rows_after
from robot_rl.runtime.progress import Progress, RateMeter, Status
from robot_rl.runtime.run_folder import RunFolder, versions

LOG_EVERY_UPDATES = 50
LOST = "actor_lost"


class Session:
    """Ties a `Learner` to its run folder.

    Args:
        run: the folder.
        config: the run's configuration.
        state_spec: layout of the packed state.
        action_spec: which dimensions may be commanded.
        hz: control rate, steps per second of robot time.
        progress: where people look.
    """

    def __init__(
        self,
        run: RunFolder,
        config: TrainConfig,
        state_spec: StateSpec,
        action_spec: ActionSpec,
        hz: float,
        progress: Progress,
    ) -> None:
        self.run = run
        self.config = config
        self.learner = Learner(config, state_spec, action_spec)
        self.cursors: dict[str, tuple[int, int]] = {}
        self._hz = hz
        self._state_spec = state_spec
        self._progress = progress
        self._tallies: dict[str, EpisodeTally] = {}
        self._t_start_s = time.monotonic()
        self._wall_before_s = 0.0
        self._next_log = LOG_EVERY_UPDATES
        self._next_checkpoint = config.checkpoint_every
        self._next_evaluation = config.evaluation.every
        self._steps_meter, self._updates_meter = RateMeter(), RateMeter()
        self._metrics: MetricsWriter | None = None

    @property
    def metrics(self) -> MetricsWriter:
        """CSV files and TensorBoard; opened at first use so that `resume` can trim them before."""
        if self._metrics is None:
            self._metrics = MetricsWriter(self.run.path, self.run.tensorboard)
        return self._metrics

    @property
    def finished(self) -> bool:
        """Whether all environment steps have been taken."""
        return self.learner.counters.env_steps >= self.config.env_steps

    def resume(self) -> bool:
        """Continue from the newest checkpoint; rows written after it are dropped.

        Returns:
            Whether there was one.

        Raises:
            DataError: it is broken or belongs to another configuration.
        """
        if not list_checkpoints(self.run.checkpoints):
            for name in ("episodes.csv", "learner.csv"):
                drop_rows_after(self.run.path / name, "env_step", -1)
            return False
        saved = load_checkpoint(latest_checkpoint(self.run.checkpoints))
        if saved.state.get("state_checksum") != self._state_spec.checksum:
            raise DataError(f"the checkpoint {saved.path} was made for another state layout than the task has now")
        self.learner.restore(saved.agent, saved.state)
        self.learner.replay.load(saved.replay_path)
        self.cursors = {name: (int(e), int(s)) for name, (e, s) in saved.state.get("cursors", {}).items()}
        self._tallies = {name: EpisodeTally.from_plain(t) for name, t in saved.state.get("tallies", {}).items()}
        c = self.learner.counters
        self._wall_before_s = c.wall_s
        drop_rows_after(self.run.path / "episodes.csv", "episode", c.episodes - 1)
        drop_rows_after(self.run.path / "learner.csv", "update", c.updates)
        self._next_log = (c.updates // LOG_EVERY_UPDATES + 1) * LOG_EVERY_UPDATES
        self._next_checkpoint = (c.env_steps // self.config.checkpoint_every + 1) * self.config.checkpoint_every
        every = self.config.evaluation.every
        self._next_evaluation = (c.env_steps // every + 1) * every if every else 0
        return True

    def add(self, record: StepRecord) -> bool:
        """Give a record to the learner; the last one of an episode writes its row. False if it was known already."""
        if not self.learner.add(record):
            return False
        if record.step_index == 0:
            self._close_lost_episodes(record.episode_id)
        tally = self._tallies.setdefault(record.episode_id, EpisodeTally())
        tally.add(record)
        if record.last:
            self._end_episode(record.episode_id, record.stop_reason)
        return True

    def _close_lost_episodes(self, new_id: str) -> None:
        """An actor begins a new episode: what it left unfinished was lost with a process and will not go on."""
        actor = new_id.rpartition("-")[0]
        for lost in [i for i in self._tallies if i.rpartition("-")[0] == actor]:
            self.learner.replay.abandon(lost)
            self._end_episode(lost, LOST)

    def _end_episode(self, episode_id: str, stop_reason: str) -> None:
        c = self.learner.counters
        row = self._tallies.pop(episode_id).row(
            stop_reason, episode=c.episodes, env_step=c.env_steps, robot_s=c.env_steps / self._hz, wall_s=self.wall_s
        )
        c.episodes += 1
        c.next_episode = max(c.next_episode, episode_number(episode_id) + 1)
        self.metrics.episode(row)

    @property
    def wall_s(self) -> float:
        """Time spent on this run, pauses left out."""
        return self._wall_before_s + time.monotonic() - self._t_start_s

    def after_update(self) -> None:
        """Write a row of ``learner.csv`` now and then."""
        if self.learner.counters.updates >= self._next_log:
            self._next_log += LOG_EVERY_UPDATES
            self.learner.counters.wall_s = self.wall_s
            self.metrics.learner(self.learner.figures())

    @property
    def checkpoint_due(self) -> bool:
        """Whether enough steps have passed since the last checkpoint."""
        return self.learner.counters.env_steps >= self._next_checkpoint

    def save(self) -> None:
        """Write a checkpoint with the replay."""
        c = self.learner.counters
        self._next_checkpoint = (c.env_steps // self.config.checkpoint_every + 1) * self.config.checkpoint_every
        c.wall_s = self.wall_s
        arrays, data = self.learner.state()
        state = {
            **data,
            "task": self.config.task,
            "task_options": dict(self.config.task_options),
            "seed": self.config.seed,
            "env_step": c.env_steps,
            "robot_s": c.env_steps / self._hz,
            "update": c.updates,
            "policy_version": self.learner.version,
            "cursors": {k: list(v) for k, v in self.cursors.items()},
            "tallies": {name: tally.to_plain() for name, tally in self._tallies.items()},
            "state_checksum": self._state_spec.checksum,
            "versions": versions(),
        }
        save_checkpoint(
            self.run.checkpoints,
            c.updates,
            agent=arrays,
            actor=self.learner.actor_arrays(),
            state=state,
            save_replay=self.learner.replay.save,
            keep=self.config.keep_checkpoints,
        )
        self.run.update_info(counters=asdict(c))

    @property
    def evaluation_due(self) -> bool:
        """Whether an evaluation during training is wanted now."""
        return bool(self.config.evaluation.every) and self.learner.counters.env_steps >= self._next_evaluation

    def evaluate(self, make_env: Callable[[], Env]) -> None:
        """Evaluate the parameters of now in an environment of its own, checkpoint them, and mark the best."""
        from robot_rl.evaluation.evaluate import evaluate_in, evaluation_seeds

        wanted = self.config.evaluation
        self._next_evaluation += wanted.every
        self.save()
        c = self.learner.counters
        policy = GaussianPolicy.from_params(self.learner.actor_arrays(), self.learner.version)
        env: Any = make_env()
        try:
            seeds = evaluation_seeds(wanted.episodes, wanted.validation_seed)
            result = evaluate_in(policy, env, self.config.task, seeds, task_options=self.config.task_options)
        finally:
            env.close()
        row = {
            "checkpoint": f"{c.updates:09d}",
            "env_step": c.env_steps,
            "robot_s": c.env_steps / self._hz,
            "wall_s": round(self.wall_s, 3),
            **result.row(),
        }
        with self.run.evaluations_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self.metrics.evaluation(c.env_steps, result.success, result.interval.low)
        mark_best(self.run.checkpoints, c.updates, result.success)
        self._progress.note(f"step {c.env_steps:,}: {result.line()}")

    def show(self, *, force: bool = False) -> None:
        """Refresh the progress line if it is time to."""
        if not (force or self._progress.due):
            return
        c, metrics = self.learner.counters, self.metrics
        status = Status(
            env_steps=c.env_steps,
            total_steps=self.config.env_steps,
            success=metrics.recent_success if metrics.recent else None,
            interventions=metrics.recent_interventions,
            updates_per_s=self._updates_meter.rate(c.updates),
            steps_per_s=self._steps_meter.rate(c.env_steps),
            utd=self.learner.achieved_utd,
        )
        self._progress.show(status, force=force)

    def note(self, line: str) -> None:
        """Print a line that stays."""
        self._progress.note(line)

    def finish(self, status: str) -> None:
        """Note the end in ``run.json``; `status` is ``finished``, ``interrupted`` or ``failed``."""
        end = datetime.now().astimezone().isoformat(timespec="seconds")
        c = self.learner.counters
        c.wall_s = self.wall_s
        self.run.update_info(end=end, status=status, counters={**asdict(c), "utd": self.learner.achieved_utd})

    def close(self) -> None:
        """Close every file. May be called twice."""
        if self._metrics is not None:
            self._metrics.close()
            self._metrics = None
