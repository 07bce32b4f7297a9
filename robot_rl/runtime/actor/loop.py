"""The actor's control loop: act, write, hand over; hold when the learner, the disk or an old policy asks for it.

An arm that moves in real time is told to stand still before the loop waits in the middle of an episode.
"""

from __future__ import annotations

import math
import time

from robot_rl.core.errors import DeviceError
from robot_rl.core.transition import StepRecord
from robot_rl.data.codec import pack_record
from robot_rl.data.episode_log import EpisodeMeta
from robot_rl.policies.gaussian import GaussianPolicy
from robot_rl.runtime.acting import ActingConfig
from robot_rl.runtime.actor.spool import Spool
from robot_rl.runtime.advisor import Advisor
from robot_rl.runtime.attend.messages import ActorStatus
from robot_rl.runtime.attend.seat import Attended
from robot_rl.runtime.attend.tell import Teller
from robot_rl.runtime.collector import Collector
from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.environment import Env
from robot_rl.runtime.episode_files import EpisodeSink
from robot_rl.runtime.paced import Paced
from robot_rl.runtime.repeat import training_facts
from robot_rl.runtime.stop import StopFlag
from robot_rl.runtime.tasks import teleop_factory
from robot_rl.runtime.transport.link import Link
from robot_rl.runtime.transport.link_status import LinkStatus
from robot_rl.runtime.transport.stream import place_of

FLUSH_S = 10.0
WAIT_S = 0.02
CHECK_DISK_EVERY_S = 1.0


class Actor:
    """One actor's loop around an environment; nothing in it waits for the network.

    Args:
        name: of this actor within the run.
        run_id: of the run.
        config: of the run, as the learner sent it.
        env: closed by whoever made it.
        link: welcomed by the learner.
        spool: of this actor in this run.
        patience_s: how long the learner may be silent while the actor has nothing to do.
    """

    def __init__(
        self,
        name: str,
        run_id: str,
        config: TrainConfig,
        env: Env,
        link: Link,
        spool: Spool,
        *,
        patience_s: float = math.inf,
    ) -> None:
        self._name, self._run_id, self._config = name, run_id, config
        self._link, self._spool, self._patience_s = link, spool, patience_s
        meta = EpisodeMeta(env.task_id, env.state_spec, env.action_spec, run_id=run_id, seed=config.seed)
        spool.write_to(EpisodeSink(spool.folder, meta, training_facts(config, name)))
        self._taken = 0
        self._adopted = -1
        self._said = ""
        self._problems = 0
        self._waiting = False
        self._objection, self._objection_s = "", -math.inf
        self._last_end = ""
        self._attended = Attended(run_id, name, teleop_factory(config, env))
        self._teller = Teller(self._attended)
        self._advisor = Advisor(env.state_spec, env.hz, config.advisor)
        # A simulation that runs faster than life slows down to it for as long as a person attends.
        self._env = Paced(env, when=lambda: bool(self._attended.operator))
        if self._attended.problem:
            print(f"nobody can take over: {self._attended.problem}", flush=True)

    def run(self, stop: StopFlag) -> None:
        """Act until the learner says stop or the flag is set.

        Raises:
            StorageError: the spool's disk refuses.
            DeviceError: the environment or the learner is gone, or the learner refuses this actor.
        """
        try:
            collector = self._begin(stop)
            if collector is not None:
                self._act(collector, stop)
        finally:
            self._attended.close()

    def _act(self, collector: Collector, stop: StopFlag) -> None:
        try:
            while not (stop.requested or self._status().stop):
                self._tell_guests(collector)
                self._adopt(collector)
                if self._must_hold(collector):
                    self._stand_still(collector)
                    self._wait()
                    continue
                self._waiting = False
                self._step(collector)
            self._deliver(collector.interrupt())
            self._spool.hold(None)
            self._flush(stop)
        finally:
            collector.close()

    def _begin(self, stop: StopFlag) -> Collector | None:
        """Introduce what a predecessor left, and wait for the first parameters."""
        spool, link = self._spool, self._link
        link.attach(spool, self._env.state_spec.checksum, spool.last)
        while True:
            status = self._status()
            if stop.requested or status.stop:
                self._flush(stop)
                return None
            if status.admitted and link.parameters is not None and status.welcome is not None:
                break
            self._wait()
        welcome = status.welcome
        waiting = spool.steps_after(welcome.cursor)
        self._taken = welcome.actor_steps + waiting
        first = max(spool.next_episode, 0 if welcome.cursor is None else welcome.cursor[0] + 1)
        config = self._config
        acting = ActingConfig(
            config.seed,
            f"{self._run_id}-{self._name}",
            config.pace.random_steps,
            actor=self._name,
            keep_images=False,
        )
        return Collector(
            self._env,
            self._policy(),
            acting,
            make_teleop=self._attended.make_teleop,
            first_episode=first,
            env_steps=welcome.env_steps + waiting,
        )

    def _status(self) -> LinkStatus:
        status = self._link.status
        if status.refused or status.problem:
            raise DeviceError(status.refused or status.problem)
        for problem in self._spool.problems[self._problems :]:
            self._problems += 1
            print(problem, flush=True)
        return status

    def _policy(self) -> GaussianPolicy:
        newest = self._link.parameters
        assert newest is not None
        self._adopted = newest.version
        return GaussianPolicy.from_params(dict(newest.arrays), newest.version)

    def _adopt(self, collector: Collector) -> None:
        newest = self._link.parameters
        if newest is not None and newest.version != self._adopted:
            collector.set_policy(self._policy())

    def _must_hold(self, collector: Collector) -> bool:
        """Whether no step may be taken now; a reason that a person can do something about is said once."""
        status, pace = self._status(), self._config.pace
        reason = ""
        stale = status.policy_age_s > pace.max_policy_age_s
        if stale:
            what = "holding after this episode" if pace.pause_when_stale else "going on with it"
            reason = f"the learner has not confirmed policy {self._adopted} for {pace.max_policy_age_s:g} s: {what}"
        objection = self._disk_objection() if collector.between_episodes else ""
        if objection:
            reason = f"no new episode: {objection}, until the learner has caught up"
        if reason and reason != self._said:
            print(reason, flush=True)
        elif self._said and not reason:
            print("acting goes on as usual", flush=True)
        self._said = reason
        between = collector.between_episodes
        return self._taken >= status.allowed or (between and bool(objection or (stale and pace.pause_when_stale)))

    def _stand_still(self, collector: Collector) -> None:
        """Once when a wait begins; at the end of an episode the environment has done so."""
        if not (self._waiting or collector.between_episodes):
            self._env.hold()
        self._waiting = True

    def _disk_objection(self) -> str:
        now = time.monotonic()
        if now - self._objection_s > CHECK_DISK_EVERY_S:
            self._objection, self._objection_s = self._spool.objection(), now
        return self._objection

    def _step(self, collector: Collector) -> None:
        # Random actions end for all actors together.
        collector.env_steps = max(collector.env_steps, self._link.status.env_steps)
        before, bad = collector.env_steps, collector.bad_episodes
        records = collector.step()
        self._taken += collector.env_steps - before
        self._link.lateness = collector.lateness
        self._deliver(records)
        self._spool.hold(collector.pending)
        if collector.bad_episodes > bad:
            print(f"the episode was cut by a bad observation: {collector.last_problem}", flush=True)
        if collector.last_refusal:
            print(f"the episode was ended by a device: {collector.last_refusal}", flush=True)

    def _tell_guests(self, collector: Collector) -> None:
        if not self._attended.attended:
            return
        link, config, advisor = self._link.status, self._config, self._advisor
        status = ActorStatus(
            advice=advisor.advice.text,
            human_s=advisor.human_s,
            budget_s=None if math.isinf(advisor.budget_left_s) else advisor.budget_left_s,
            share=advisor.share,
            last_end=self._last_end,
            task=config.task,
            task_options=config.task_options,
            policy_age_s=link.policy_age_s,
            health=link.health,
            lag_s=link.lag_s,
        )
        self._teller.tell(collector, status)

    def _deliver(self, records: list[StepRecord]) -> None:
        for record in records:
            self._last_end = record.stop_reason or self._last_end
            self._advisor.see(record)
            self._spool.append(record)
            self._link.offer(place_of(record), pack_record(record))

    def _wait(self) -> None:
        start_s = time.monotonic()
        self._link.wait(WAIT_S)
        self._link.waited_s += time.monotonic() - start_s
        silent_s = self._link.status.silent_s
        if silent_s > self._patience_s:
            raise DeviceError(
                f"the learner has been silent for {silent_s:.0f} s; nothing is lost: {self._spool.folder}"
            )

    def _flush(self, stop: StopFlag) -> None:
        """Wait a little until the learner has everything; what it does not get now a successor sends later."""
        end_s = time.monotonic() + FLUSH_S
        while not (self._link.settled or stop.urgent) and time.monotonic() < end_s:
            self._status()
            self._link.wait(WAIT_S)
