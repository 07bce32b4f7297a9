"""One training run on disk: the learner's log, rows, checkpoints, evaluations and progress, the same in both modes."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from robot_rl.core.config import to_dict
from robot_rl.core.specs import ActionSpec, StateSpec
from robot_rl.core.transition import StepRecord
from robot_rl.data.cameras import observations
from robot_rl.data.demos import load_demos
from robot_rl.data.episode_log import SUFFIX, EpisodeMeta
from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.episode_files import episode_number
from robot_rl.runtime.learner.archive import Archive
from robot_rl.runtime.learner.checkpoint import mark_best, save_checkpoint
from robot_rl.runtime.learner.compatible import layout_facts, view_facts
from robot_rl.runtime.learner.learner import Learner
from robot_rl.runtime.learner.rebuild import to_plain
from robot_rl.runtime.monitor.metrics import EpisodeTally, MetricsWriter
from robot_rl.runtime.monitor.progress import Progress, StatusMeter
from robot_rl.runtime.repeat import training_facts
from robot_rl.runtime.run_folder import RunFolder, git_commit, versions
from robot_rl.vision.health import usual_pictures

LOG_EVERY_UPDATES = 50
SAY_EVERY_S = 5.0
LOST = "actor_lost"


class Session:
    """Ties a `Learner` to its run folder. Call `begin` first, or `robot_rl.runtime.learner.resume.resume`.

    Args:
        run: the folder.
        config: the run's configuration.
        state_spec: layout of the packed state.
        action_spec: which dimensions may be commanded.
        hz: control rate, steps per second of robot time.
        progress: where people look.

    Attributes:
        archive: the learner's own log; it knows how far each actor's stream has come.
        learner: replay, sampler and agent.
        demo_steps: of the demonstrations it began with.
        open_episodes: figures of the episodes under way, by id.
        told_config: what actors are told: the configuration, with what the demonstrations say about the cameras.
        needed_checkpoints: updates whose checkpoints rotation must leave alone.
        elsewhere: environment steps that the other run of a pair is known to have, which count for the end of both.
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
        self.run, self.config, self.hz = run, config, hz
        self.told_config = config
        self.learner = Learner(config, state_spec, action_spec, hz)
        run_id = run.run_id
        self.archive = Archive(run.episodes, run_id, self._header)
        self._meta = EpisodeMeta(config.task, state_spec, action_spec, run_id=run_id, seed=config.seed)
        self.state_spec, self.action_spec = state_spec, action_spec
        self._progress = progress
        self.needed_checkpoints: Callable[[], Collection[int]] = tuple
        self.demo_steps = self.elsewhere = 0
        self.open_episodes: dict[str, EpisodeTally] = {}
        self._next_log = self._next_checkpoint = self._next_evaluation = 0
        self.plan()
        self._meter = StatusMeter()
        self._metrics: MetricsWriter | None = None

    @property
    def metrics(self) -> MetricsWriter:
        """CSV files and TensorBoard; opened at first use so that they can be trimmed before."""
        if self._metrics is None:
            self._metrics = MetricsWriter(self.run.path, self.run.tensorboard)
        return self._metrics

    @property
    def finished(self) -> bool:
        """Whether all environment steps have been taken."""
        return self.learner.counters.env_steps + self.elsewhere >= self.all_steps

    @property
    def all_steps(self) -> int:
        """Environment steps that will be taken, those of both runs of a pair together."""
        return self.config.env_steps * (2 if self.config.pair else 1)

    def begin(self) -> int:
        """Start with the demonstrations in the run folder; returns their steps.

        Raises:
            DataError: one cannot be read or is of another task.
        """
        if self.config.pictures.on:
            self.run.update_info(views=view_facts(self.learner.views))
        if any(self.run.demos.glob(f"*{SUFFIX}")):
            wanted, gamma = self.config.demos, self.config.agent.gamma
            alone = gamma if wanted.relabel_only else None
            demos = load_demos(self.run.demos, self.state_spec, self.config.task, relabel=wanted.relabel, alone=alone)
            self.demo_steps = self._take_demos(demos)
            if self.config.pictures.on:
                seen = [obs for records in demos for obs in observations(records)]
                usual = usual_pictures(seen, self.config.pictures.cameras)
                self.told_config = replace(self.config, pictures=replace(self.config.pictures, usual=usual))
        return self.demo_steps

    def _take_demos(self, demos: Sequence[Sequence[StepRecord]]) -> int:
        steps, start_s = 0, time.monotonic()
        said_s = start_s
        for done, records in enumerate(demos, 1):
            steps += self.learner.add_demos([records])
            now_s = time.monotonic()
            if now_s - said_s > SAY_EVERY_S and done < len(demos):
                said_s, left_s = now_s, (now_s - start_s) / done * (len(demos) - done)
                self.note(f"looking at demonstrations: {done} of {len(demos)}, about {left_s:.0f} s left")
        return steps

    def add(self, record: StepRecord) -> bool:
        """Log a record and give it to the learner; the last one of an episode writes its row.

        Returns:
            Whether it is new; one that was known already changes nothing.

        Raises:
            DataError: it does not belong here, or steps before it are missing; nothing is changed.
            StorageError: the disk refuses; it has not been taken.
        """
        # What the log holds must fit the replay, or the run could not be resumed.
        self.learner.check(record)
        self.learner.shaper.check(record)
        if not self.archive.append(record):
            return False
        self.follow(record)
        return True

    def follow(self, record: StepRecord, *, counted: bool = True) -> None:
        """Learn from an archived record. What a checkpoint has `counted` before only fills the replay."""
        name = record.episode_id
        if record.step_index == 0:
            self._close_lost_episodes(name, counted=counted)
        self.learner.add(record, counted=counted)
        for line in self.learner.shaper.take_notices():
            self.event(line)
        self.open_episodes.setdefault(name, EpisodeTally()).add(record)
        if record.last:
            self._end_episode(name, record.stop_reason, counted=counted)

    def _close_lost_episodes(self, new_id: str, *, counted: bool) -> None:
        """An actor begins a new episode: what it left unfinished was lost with a process and will not go on."""
        actor = new_id.rpartition("-")[0]
        for lost in [i for i in self.open_episodes if i.rpartition("-")[0] == actor]:
            self.learner.abandon(lost)
            self._end_episode(lost, LOST, counted=counted)

    def _end_episode(self, episode_id: str, stop_reason: str, *, counted: bool) -> None:
        c, tally = self.learner.counters, self.open_episodes.pop(episode_id)
        if not counted:
            return
        robot_s = c.env_steps / self.hz
        row = tally.row(stop_reason, episode=c.episodes, env_step=c.env_steps, robot_s=robot_s, wall_s=self.wall_s)
        process = self.learner.shaper.take_row(episode_id, c.episodes, c.env_steps)
        c.episodes += 1
        c.next_episode = max(c.next_episode, episode_number(episode_id) + 1)
        self.metrics.episode(row)
        if process is not None:
            self.metrics.process(process)

    def plan(self) -> None:
        """Take up clock and intervals at the counters of now."""
        self._t_start_s, self._wall_before_s = time.monotonic(), self.learner.counters.wall_s
        c, every = self.learner.counters, self.config.evaluation.every
        self._next_log = (c.updates // LOG_EVERY_UPDATES + 1) * LOG_EVERY_UPDATES
        self._next_checkpoint = (c.env_steps // self.config.checkpoint_every + 1) * self.config.checkpoint_every
        self._next_evaluation = (c.env_steps // every + 1) * every if every else 0

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

    def save(self) -> Path:
        """Write a checkpoint; returns its folder.

        Raises:
            StorageError: the disk refuses; older ones stay.
        """
        c, every = self.learner.counters, self.config.checkpoint_every
        self._next_checkpoint = (c.env_steps // every + 1) * every
        c.wall_s = self.wall_s
        arrays, data = self.learner.state()
        state = {
            **data,
            **layout_facts(self.state_spec, self.action_spec, self.learner.views),
            "config": to_dict(self.config),
            "env_step": c.env_steps,
            "robot_s": c.env_steps / self.hz,
            "policy_version": self.learner.version,
            "episodes": to_plain(self.archive.lengths),
            "demo_steps": self.demo_steps,
            "versions": versions(),
            "git_commit": git_commit(),
        }
        path = save_checkpoint(
            self.run.checkpoints,
            c.updates,
            agent=arrays,
            actor=self.learner.actor_arrays(),
            state=state,
            keep=self.config.keep_checkpoints,
            keep_also=self.needed_checkpoints(),
        )
        self.run.update_info(counters=asdict(c))
        return path

    @property
    def evaluation_due(self) -> bool:
        """Whether an evaluation during training is wanted now."""
        return bool(self.config.evaluation.every) and self.learner.counters.env_steps >= self._next_evaluation

    def plan_next_evaluation(self) -> None:
        """Call when one has begun."""
        self._next_evaluation += self.config.evaluation.every

    def take_evaluation(self, row: Mapping[str, Any], line: str) -> None:
        """Write down an evaluation; the checkpoint with the highest lower bound is marked as the best.

        Args:
            row: for ``evaluations.jsonl``.
            line: the same for people.
        """
        self.metrics.evaluation(row)
        mark_best(self.run.checkpoints, int(row["checkpoint"]), float(row["wilson_low"]))
        self._progress.note(f"step {row['env_step']:,}: {line}")

    def show(self, *, force: bool = False, warming: bool = False) -> None:
        """Refresh the progress line if it is time to, or if forced; `warming` as in `StatusMeter.read`."""
        if not (force or self._progress.due):
            return
        self._progress.show(self._meter.read(self.learner, self.metrics, warming=warming), force=force)

    def note(self, line: str) -> None:
        """Print a line that stays."""
        self._progress.note(line)

    def event(self, line: str) -> None:
        """Print a line that stays, also in ``run.json``."""
        self.note(line)
        self.run.add_event(self.learner.counters.env_steps, line)

    def finish(self, status: str) -> None:
        """Note the end in ``run.json``; `status` is ``finished``, ``interrupted`` or ``failed``.

        Raises:
            StorageError: it cannot be written.
        """
        end = datetime.now().astimezone().isoformat(timespec="seconds")
        c = self.learner.counters
        c.wall_s = self.wall_s
        self.run.update_info(end=end, status=status, counters={**asdict(c), "utd": self.learner.achieved_utd})

    def close(self) -> None:
        """Close every file and the encoder. May be called twice."""
        self.archive.close()
        if self.learner.eyes is not None:
            self.learner.eyes.close()
        if self._metrics is not None:
            self._metrics.close()
            self._metrics = None

    def _header(self, actor: str, number: int) -> EpisodeMeta:
        return replace(self._meta, extra={"episode_number": str(number), **training_facts(self.config, actor)(number)})
