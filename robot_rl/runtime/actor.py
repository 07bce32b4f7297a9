"""The actor process: acts with the newest parameters, logs to its own disk, sends records. Loads no JAX.

Started by the learner, or by hand: ``python -m robot_rl.runtime.actor --run RUN --records tcp://127.0.0.1:P
--parameters tcp://127.0.0.1:Q``. It may be killed at any time: what it logged is sent by its successor. It exits with
code 0 when the learner says stop or on SIGTERM, 2 with one sentence when it cannot go on.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from robot_rl.core.errors import DeviceError, RobotRlError
from robot_rl.core.transition import Source, StepRecord
from robot_rl.data.episode_log import EpisodeMeta
from robot_rl.policies.gaussian import GaussianPolicy
from robot_rl.runtime.broadcast import ParameterSubscriber
from robot_rl.runtime.collector import ActingConfig, Collector, Env
from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.episode_files import EpisodeSink, episode_files, read_records
from robot_rl.runtime.run_folder import RunFolder, open_run
from robot_rl.runtime.stop import StopFlag, stop_on_signals
from robot_rl.runtime.stream import Outbox, place_of
from robot_rl.runtime.tasks import open_env, teleop_factory
from robot_rl.runtime.transport import RecordClient

PATIENCE_S = 60.0
FLUSH_S = 10.0
STALE_S = 60.0
WAIT_S = 0.02


class Actor:
    """Everything one actor process holds.

    Args:
        run: folder of the run.
        config: of the run.
        env: closed by whoever made it.
        records: endpoint of the learner's `RecordServer`.
        parameters: endpoint of its `ParameterPublisher`.
        name: of this actor within the run.
        patience_s: how long the learner may be silent.
    """

    def __init__(
        self,
        run: RunFolder,
        config: TrainConfig,
        env: Env,
        records: str,
        parameters: str,
        *,
        name: str = "a0",
        patience_s: float = PATIENCE_S,
    ) -> None:
        run_id = run.run_id
        self._config, self._env, self._name, self._run_id = config, env, name, run_id
        self._patience_s = patience_s
        self._folder = run.episodes
        self._outbox = Outbox(run_id, name, lambda first: read_records(run.episodes, first))
        self._client = RecordClient(run_id, name, records, self._outbox)
        self._parameters = ParameterSubscriber(run_id, parameters)
        meta = EpisodeMeta(env.task_id, env.state_spec, env.action_spec, run_id=run_id, seed=config.seed)
        self._sink = EpisodeSink(run.episodes, meta)
        self._stale = False

    def run(self, stop: StopFlag) -> None:
        """Act until the learner says stop or the flag is set.

        Raises:
            DeviceError: the environment or the learner is gone.
        """
        self._catch_up(stop)
        collector = self._collector(stop)
        if collector is None:
            return
        try:
            while not (stop.requested or self._client.stop):
                self._client.poll()
                self._adopt(collector)
                if collector.env_steps >= self._client.allowed:
                    self._client.poll(WAIT_S)
                    self._check_learner()
                    continue
                bad = collector.bad_episodes
                self._deliver(collector.step())
                if collector.bad_episodes > bad:
                    print(f"the episode was cut by a bad observation: {collector.last_problem}", flush=True)
            self._deliver(collector.interrupt())
            self._flush()
        finally:
            collector.close()

    def close(self) -> None:
        """Close log and sockets. May be called twice."""
        self._sink.close()
        self._client.close()
        self._parameters.close()

    def _catch_up(self, stop: StopFlag) -> None:
        """Tell the learner where the log ends, so that it asks for what a killed predecessor did not get across."""
        files = episode_files(self._folder)
        for number in sorted(files, reverse=True):
            records = list(read_records(self._folder, number))
            if records:
                self._outbox.last = place_of(records[-1])
                break
        while not (self._client.settled or stop.requested or self._client.stop):
            self._client.poll(WAIT_S)
            self._check_learner()

    def _collector(self, stop: StopFlag) -> Collector | None:
        policy = self._first_policy(stop)
        if policy is None:
            return None
        config = self._config
        last = self._outbox.last
        first = max([*episode_files(self._folder), -1 if last is None else last[0]]) + 1
        acting = ActingConfig(
            config.seed, f"{self._run_id}-{self._name}", config.pace.random_steps, teleop_source=Source.SCRIPTED
        )
        return Collector(
            self._env,
            policy,
            acting,
            make_teleop=teleop_factory(config, self._env),
            first_episode=first,
            env_steps=self._client.env_steps,
        )

    def _first_policy(self, stop: StopFlag) -> GaussianPolicy | None:
        while not (stop.requested or self._client.stop):
            message = self._parameters.latest(0.1)
            if message is not None:
                return GaussianPolicy.from_params(dict(message.arrays), message.version)
            self._client.poll()
            self._check_learner()
        return None

    def _adopt(self, collector: Collector) -> None:
        message = self._parameters.latest()
        if message is not None:
            collector.set_policy(GaussianPolicy.from_params(dict(message.arrays), message.version))
            self._stale = False
        elif self._parameters.age_s > STALE_S and not self._stale:
            self._stale = True
            print(f"no new parameters for {self._parameters.age_s:.0f} s, acting goes on with the old ones", flush=True)

    def _deliver(self, records: list[StepRecord]) -> None:
        for record in records:
            self._sink.append(record)
            self._client.send(record)

    def _flush(self) -> None:
        """Wait a little until the learner has everything; what it does not get now it gets from the log later."""
        end_s = time.monotonic() + FLUSH_S
        while not self._client.settled and time.monotonic() < end_s:
            self._client.poll(WAIT_S)

    def _check_learner(self) -> None:
        if self._client.silent_s > self._patience_s:
            raise DeviceError(
                f"the learner has been silent for {self._client.silent_s:.0f} s; everything is in {self._folder}"
            )


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the process; returns the exit code."""
    parser = argparse.ArgumentParser(prog="robot_rl.runtime.actor", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="run folder")
    parser.add_argument("--records", required=True, help="endpoint of the learner for records")
    parser.add_argument("--parameters", required=True, help="endpoint of the learner for parameters")
    parser.add_argument("--name", default="a0", help="name of this actor within the run")
    parser.add_argument("--parent", type=int, default=0, help="exit when this process is no longer the parent")
    parser.add_argument(
        "--patience-s", type=float, default=PATIENCE_S, help="how long the learner may be silent, seconds"
    )
    args = parser.parse_args(argv)
    try:
        run = open_run(args.run)
        config = run.config()
        env = open_env(config)
        try:
            with stop_on_signals() as stop:
                flag = ParentFlag(args.parent, stop) if args.parent else stop
                actor = Actor(
                    run, config, env, args.records, args.parameters, name=args.name, patience_s=args.patience_s
                )
                try:
                    actor.run(flag)
                finally:
                    actor.close()
        finally:
            env.close()
    except RobotRlError as e:
        print(f"robot-rl actor: {e}", file=sys.stderr, flush=True)
        return 2
    return 0


class ParentFlag(StopFlag):
    """Also set when the process that started this one is gone."""

    def __init__(self, parent: int, inner: StopFlag) -> None:
        self._parent = parent
        self._inner = inner

    @property
    def requested(self) -> bool:  # type: ignore[override]
        """Somebody asked to end, or nobody is left who could."""
        return self._inner.requested or os.getppid() != self._parent


if __name__ == "__main__":
    sys.exit(main())
