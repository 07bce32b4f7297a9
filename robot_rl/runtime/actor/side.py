"""One run that an actor acts for: its link and spool, its environment, the policy adopted last."""

from __future__ import annotations

import math

from robot_rl.core.errors import DeviceError
from robot_rl.core.marks import SUCCESS
from robot_rl.core.protocols import Policy
from robot_rl.core.transition import StepRecord
from robot_rl.data.codec import pack_record
from robot_rl.data.episode_log import EpisodeMeta
from robot_rl.policies.published import published_policy
from robot_rl.runtime.acting import ActingConfig
from robot_rl.runtime.actor.spool import Spool
from robot_rl.runtime.advisor import Advisor
from robot_rl.runtime.attend.messages import ActorStatus
from robot_rl.runtime.attend.seat import Attended
from robot_rl.runtime.collector import Collector
from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.detection import logged_cameras
from robot_rl.runtime.environment import Env
from robot_rl.runtime.episode_files import EpisodeSink
from robot_rl.runtime.operator import Seat
from robot_rl.runtime.paced import Paced
from robot_rl.runtime.pictures import layout_checksum, open_watch, seeing
from robot_rl.runtime.repeat import training_facts
from robot_rl.runtime.tasks import teleop_factory
from robot_rl.runtime.transport.link import Link
from robot_rl.runtime.transport.link_status import LinkStatus
from robot_rl.runtime.transport.stream import place_of
from robot_rl.vision.eyes import Eyes


class Side:
    """What an actor has of one run. An actor of a pair of tasks has two, and one robot.

    Args:
        name: of the actor within the run.
        run_id: of the run.
        config: of the run, as the learner sent it.
        env: closed by whoever made it.
        link: welcomed by the learner.
        spool: of this actor in this run.
        attended: who may take over.
        eyes: what the policy sees with; closed by whoever opened them.

    Attributes:
        config: as given.
        link: as given.
        spool: as given.
        env: as given; a simulation that runs faster than life slows down to it for as long as a person attends.
        taken: environment steps this actor has taken in this run, those of its predecessors included.
        version: of the policy adopted last.
        succeeded: whether the newest episode has ended in success.
    """

    def __init__(
        self,
        name: str,
        run_id: str,
        config: TrainConfig,
        env: Env,
        link: Link,
        spool: Spool,
        attended: Attended,
        eyes: Eyes | None = None,
    ) -> None:
        self.config, self.link, self.spool = config, link, spool
        self.env = Paced(env, when=lambda: bool(attended.operator))
        self._make_teleop = attended.helped_by(teleop_factory(config, env))
        meta = EpisodeMeta(env.task_id, env.state_spec, env.action_spec, run_id=run_id, seed=config.seed)
        spool.write_to(EpisodeSink(spool.folder, meta, training_facts(config, name)))
        self.taken, self.version, self.succeeded = 0, -1, False
        self._name, self._run_id = name, run_id
        self._advisor = Advisor(env.state_spec, env.hz, config.advisor)
        self._last_end = ""
        self._eyes = eyes
        self._problems_told = 0
        self._collector: Collector | None = None

    @property
    def learner(self) -> str:
        """What to call its learner in a sentence."""
        return f"the learner of {self.config.task}" if self.config.pair else "the learner"

    @property
    def collector(self) -> Collector:
        """Acts; there once `begin` was called."""
        assert self._collector is not None
        return self._collector

    def introduce(self) -> None:
        """Tell the learner what a predecessor left."""
        self.link.attach(self.spool, layout_checksum(self.env.state_spec, self._eyes), self.spool.last)

    @property
    def ready(self) -> bool:
        """Whether the learner has taken this actor in and sent parameters."""
        return self.link.status.admitted and self.link.parameters is not None

    def begin(self, seat: Seat) -> None:
        """Prepare to act from where the run stands, for the operator of a seat; it must be `ready`."""
        welcome = self.link.status.welcome
        assert welcome is not None
        waiting = self.spool.steps_after(welcome.cursor)
        self.taken = welcome.actor_steps + waiting
        first = max(self.spool.next_episode, 0 if welcome.cursor is None else welcome.cursor[0] + 1)
        self._collector = Collector(
            self.env,
            self._policy(),
            ActingConfig(
                self.config.seed,
                f"{self._run_id}-{self._name}",
                self.config.pace.random_steps,
                actor=self._name,
                keep_cameras=logged_cameras(self.config, self.config.pictures.cameras),
                veto_s=self.config.detector.veto_s if self.config.detector.model is not None else 0.0,
            ),
            make_teleop=self._make_teleop,
            first_episode=first,
            env_steps=welcome.env_steps + waiting,
            seat=seat,
            watch=open_watch(self.config.pictures, self.env.state_spec),
        )

    def status(self) -> LinkStatus:
        """What is known about the learner.

        Raises:
            DeviceError: the link is gone, or the learner refuses this actor.
        """
        status = self.link.status
        if status.refused or status.problem:
            raise DeviceError(status.refused or status.problem)
        return status

    def new_problems(self) -> list[str]:
        """Sentences about what a predecessor left that have not been told yet."""
        found = self.spool.problems[self._problems_told :]
        self._problems_told += len(found)
        return found

    def adopt(self) -> None:
        """Act with the newest parameters from the next step on."""
        newest = self.link.parameters
        if newest is not None and newest.version != self.version:
            self.collector.set_policy(self._policy())

    def step(self) -> None:
        """One control step; what became final is on the disk and on its way."""
        collector = self.collector
        # Random actions end for all actors together.
        collector.env_steps = max(collector.env_steps, self.link.status.env_steps)
        before = collector.env_steps
        if collector.between_episodes:
            self.succeeded = False
        records = collector.step()
        self.taken += collector.env_steps - before
        self.link.lateness = collector.lateness
        self._deliver(records)
        self.spool.hold(collector.pending)

    def leave(self) -> None:
        """End the running episode and hand out the rest of it."""
        self._deliver(self.collector.interrupt())
        self.spool.hold(None)

    def told(self) -> ActorStatus:
        """What guests are told while this side acts."""
        link, advisor = self.link.status, self._advisor
        return ActorStatus(
            advice=advisor.advice.text,
            human_s=advisor.human_s,
            budget_s=None if math.isinf(advisor.budget_left_s) else advisor.budget_left_s,
            share=advisor.share,
            last_end=self._last_end,
            task=self.config.task,
            task_options=self.config.task_options,
            policy_age_s=link.policy_age_s,
            health=link.health,
            lag_s=link.lag_s,
        )

    def _policy(self) -> Policy:
        newest = self.link.parameters
        assert newest is not None
        self.version = newest.version
        return seeing(published_policy(dict(newest.arrays), newest.version), self._eyes)

    def _deliver(self, records: list[StepRecord]) -> None:
        for record in records:
            self._last_end = record.stop_reason or self._last_end
            if record.last:
                self.succeeded = record.rewards.get(SUCCESS, 0.0) > 0.5
            self._advisor.see(record)
            self.spool.append(record)
            self.link.offer(place_of(record), pack_record(record))
