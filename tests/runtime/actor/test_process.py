"""Real actor processes on a point instead of a robot: joining, holding, dying, disks that fail."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robot_rl.core.errors import ConfigError, DataError, DeviceError, StorageError
from robot_rl.core.transition import Observation
from robot_rl.policies.gaussian import GaussianPolicy
from robot_rl.runtime.actor import loop as acting
from robot_rl.runtime.actor.process import ActorOptions, act
from robot_rl.runtime.actor.spool import Spool
from robot_rl.runtime.config import PaceConfig
from robot_rl.runtime.episode_files import episode_files
from robot_rl.runtime.seeds import Stream, stream_seed
from robot_rl.runtime.stop import StopFlag
from robot_rl.runtime.transport.keys import load_learner_keys
from robot_rl.runtime.transport.parameters import ParameterSubscriber
from robot_rl.runtime.transport.sockets import Secured
from robot_rl.runtime.transport.stream import place_of
from tests.runtime.fakes import PointEnv, tiny_config
from tests.runtime.transport.stub_learner import StubLearner, keys_for, policy_arrays, until
from tests.runtime.transport.test_link import free_pair

ROOT = Path(__file__).parents[3]


@pytest.fixture
def learner() -> Iterator[StubLearner]:
    with closing(StubLearner()) as one:
        one.publisher.publish(1, policy_arrays())
        yield one


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    """What the loop prints; unlike reading what was captured, looking at it while it prints loses nothing."""
    out = StringIO()
    monkeypatch.setattr(acting, "print", partial(print, file=out), raising=False)
    return out


def spawn(
    learner: StubLearner, spool: Path, *flags: str, module: str = "tests.runtime.point_actor"
) -> subprocess.Popen:
    command = [sys.executable, "-m", module, "--spool", str(spool), "--learner", learner.server.endpoint]
    return subprocess.Popen(
        [*command, "--parameters", learner.publisher.endpoint, *flags],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen, learner: StubLearner) -> tuple[int, str, str]:
    with suppress(AssertionError):
        learner.pump_until(lambda: process.poll() is not None)
    process.kill()
    out, err = process.communicate(timeout=10)
    return process.returncode, out, err


def check_stream(learner: StubLearner, actor: str = "a0") -> list[tuple[int, int]]:
    """Each place once and in order, each episode from 0 without a gap."""
    places = [place_of(r) for r in learner.archive if f"-{actor}-" in r.episode_id]
    assert places == sorted(set(places))
    for a, b in zip([(-1, 0), *places], places, strict=False):
        assert b[1] == 0 or b == (a[0], a[1] + 1)
    return places


def test_an_actor_needs_only_an_address_and_respects_its_allowance(learner: StubLearner, tmp_path: Path) -> None:
    learner.allowed = 40
    process = spawn(learner, tmp_path)
    learner.pump_until(lambda: len(learner.archive) >= 38)
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        learner.pump()
    assert len(learner.archive) in (39, 40), "the newest step is handed out only when the one after it was taken"
    learner.pump_until(lambda: learner.hellos[-1].waited_s > 0.0)
    learner.stop = True
    learner.acknowledge("a0")
    code, out, err = finish(process, learner)
    assert (code, out, err) == (0, "", "")
    places = check_stream(learner)
    assert len(places) == 40 and learner.archive[-1].stop_reason == "interrupted"
    assert learner.hellos[0].run_id == learner.hellos[0].state_checksum == ""
    assert not episode_files(tmp_path / "run" / "a0"), "what is confirmed is not kept"


def test_a_killed_actors_successor_sends_what_it_left_and_counts_it(learner: StubLearner, tmp_path: Path) -> None:
    learner.allowed = 60
    process = spawn(learner, tmp_path)
    learner.pump_until(lambda: len(learner.archive) >= 20)
    until(lambda: len(list(episode_files(tmp_path / "run" / "a0"))) >= 3)  # it acts on, unheard
    process.kill()
    process.communicate()
    successor = spawn(learner, tmp_path)
    learner.pump_until(lambda: len(learner.archive) >= 59)
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        learner.pump()
    learner.stop = True
    learner.acknowledge("a0")
    code, _, err = finish(successor, learner)
    assert code == 0, err
    assert len(check_stream(learner)) == 60


def test_the_actor_goes_on_without_its_learner_and_loses_nothing(learner: StubLearner, tmp_path: Path) -> None:
    at = {"records": learner.server.endpoint, "parameters": learner.publisher.endpoint}
    learner.allowed = 300
    process = spawn(learner, tmp_path)
    learner.pump_until(lambda: len(learner.archive) >= 20)
    learner.close()
    until(lambda: len(episode_files(tmp_path / "run" / "a0")) >= 5)
    cursors = dict(learner.inbox.cursors)
    with closing(StubLearner(name="learner2", archive=learner.archive, cursors=cursors, allowed=300, **at)) as second:
        second.publisher.publish(2, policy_arrays())
        second.pump_until(lambda: len(second.archive) >= 299)
        second.stop = True
        second.acknowledge("a0")
        assert finish(process, second)[0] == 0
        assert len(check_stream(second)) == 300


def test_two_actors_of_one_name(learner: StubLearner, tmp_path: Path) -> None:
    first = spawn(learner, tmp_path / "here")
    try:
        learner.pump_until(lambda: len(learner.archive) >= 5)
        elsewhere = spawn(learner, tmp_path / "elsewhere")
        code, _, err = finish(elsewhere, learner)
        assert code == 2 and "another actor called 'a0' is at work" in err
        assert first.poll() is None
    finally:
        first.kill()
        first.communicate()


def test_several_actors_have_streams_and_initial_states_of_their_own(learner: StubLearner, tmp_path: Path) -> None:
    learner.allowed = 30
    actors = [spawn(learner, tmp_path, "--name", name) for name in ("a0", "a1")]
    learner.pump_until(lambda: len(learner.archive) >= 58)
    learner.stop = True
    for name, process in zip(("a0", "a1"), actors, strict=True):
        learner.acknowledge(name)
        assert finish(process, learner)[0] == 0
    assert len(check_stream(learner, "a0")) + len(check_stream(learner, "a1")) == len(learner.archive)
    starts = [r.obs.state.tobytes() for r in learner.archive if r.step_index == 0]
    assert len(set(starts)) == len(starts)


def test_another_run_or_layout_ends_the_actor_with_a_sentence(learner: StubLearner, tmp_path: Path) -> None:
    # It opens Reach, while the learner expects a point.
    process = spawn(learner, tmp_path, module="robot_rl.runtime.actor.process")
    learner.config = learner.config.replace("task: Point", "task: Reach")
    code, _, err = finish(process, learner)
    assert code == 2 and re.fullmatch(r"robot-rl actor: the state layout is \w{16} here\n", err)


def test_a_process_without_parent_ends(learner: StubLearner, tmp_path: Path) -> None:
    process = spawn(learner, tmp_path, "--parent", "1")
    code, _, err = finish(process, learner)
    assert (code, err) == (0, "")


class InThread:
    """`act` in a thread of this process, where the environment can be looked at."""

    def __init__(self, options: ActorOptions, monkeypatch: pytest.MonkeyPatch, env: PointEnv) -> None:
        monkeypatch.setattr("robot_rl.runtime.actor.process.open_env", lambda config: env)
        self.stop, self.error = StopFlag(), None
        self.thread = threading.Thread(target=self._run, args=(options,), daemon=True)
        self.thread.start()

    def _run(self, options: ActorOptions) -> None:
        try:
            act(options, self.stop)
        except Exception as e:
            self.error = e

    @property
    def done(self) -> bool:
        return not self.thread.is_alive()


def options(learner: StubLearner, spool: Path, **changes: Any) -> ActorOptions:
    values = {"parameters": learner.publisher.endpoint, "min_free_bytes": 0, **changes}
    return ActorOptions(learner.server.endpoint, spool, **values)


def test_a_failing_disk_stops_the_robot_first_and_loses_nothing_written(
    learner: StubLearner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = PointEnv(limit=12)
    seen_closed = []
    append = Spool.append

    def full(spool: Spool, record: Any) -> None:
        if len(learner.archive) >= 20 and record.step_index == 3:
            raise StorageError("cannot write: No space left on device")
        append(spool, record)

    monkeypatch.setattr(Spool, "append", full)
    monkeypatch.setattr(Spool, "close", lambda spool: (seen_closed.append(env.closed), spool._lock.close()))
    actor = InThread(options(learner, tmp_path), monkeypatch, env)
    learner.pump_until(lambda: actor.done)
    assert isinstance(actor.error, StorageError) and "No space left" in str(actor.error)
    assert seen_closed == [True], "the environment was closed before anything else"
    before = len(learner.archive)
    monkeypatch.undo()
    successor = InThread(options(learner, tmp_path), monkeypatch, PointEnv(limit=12))
    learner.pump_until(lambda: len(learner.archive) > before + 20)
    successor.stop.set()
    learner.pump_until(lambda: successor.done)
    assert successor.error is None
    check_stream(learner)


def test_a_full_spool_holds_the_actor_between_episodes_until_it_drains(
    learner: StubLearner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: StringIO
) -> None:
    monkeypatch.setattr(acting, "CHECK_DISK_EVERY_S", 0.0)
    env = PointEnv(limit=12)
    actor = InThread(options(learner, tmp_path, spool_limit_bytes=30_000), monkeypatch, env)
    learner.pump_until(lambda: learner.archive)
    until(lambda: "no new episode: the spool" in said.getvalue())  # nobody listens any more
    steps = len(env.actions)
    time.sleep(0.2)
    assert len(env.actions) == steps and not actor.done
    assert all(p.suffix == ".mcap" for p in episode_files(tmp_path / "run" / "a0").values()), "the episode was finished"
    learner.pump_until(lambda: len(env.actions) > steps + 20)
    actor.stop.set()
    learner.pump_until(lambda: actor.done)
    assert actor.error is None and "acting goes on as usual" in said.getvalue()
    check_stream(learner)


@pytest.mark.parametrize("pause", [False, True])
def test_a_stale_policy_is_reported_and_pauses_if_that_is_wanted(
    pause: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: StringIO
) -> None:
    config = tiny_config(lockstep=False, pace=PaceConfig(max_policy_age_s=0.8, pause_when_stale=pause))
    with closing(StubLearner(config=config)) as learner:
        learner.publisher.publish(1, policy_arrays())
        env = PointEnv(limit=12)
        actor = InThread(options(learner, tmp_path), monkeypatch, env)
        learner.pump_until(lambda: len(env.actions) > 20)
        until(lambda: "the learner has not confirmed policy 1 for 0.8 s" in said.getvalue())
        if pause:
            assert "holding after this episode" in said.getvalue()
            time.sleep(0.1)
            steps, episodes = len(env.actions), env.episode
            time.sleep(0.3)
            assert (len(env.actions), env.episode) == (steps, episodes)
            learner.pump_until(lambda: len(env.actions) > steps + 5)
        else:
            steps = len(env.actions)
            assert "going on with it" in said.getvalue()
            until(lambda: len(env.actions) > steps + 5)
        actor.stop.set()
        learner.pump_until(lambda: actor.done)
        assert actor.error is None
        check_stream(learner)


def test_an_arm_in_real_time_holds_while_its_learner_is_behind(
    learner: StubLearner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for each wait, and only in mid-episode; how late its steps are is told to the learner."""
    env = PointEnv(limit=12)
    env.lockstep = False
    learner.allowed = 30
    actor = InThread(options(learner, tmp_path), monkeypatch, env)
    learner.pump_until(lambda: len(learner.archive) >= 29)
    learner.pump_until(lambda: learner.hellos[-1].waited_s > 0.0)
    assert env.steps < 12 and env.holds == 1
    learner.pump_until(lambda: learner.hellos[-1].lateness.total == 30)
    assert learner.hellos[-1].lateness.counts[2] == 30
    learner.allowed = 60
    learner.acknowledge("a0")
    learner.pump_until(lambda: len(learner.archive) >= 59)
    learner.pump_until(lambda: env.holds == 2)
    actor.stop.set()
    learner.pump_until(lambda: actor.done)
    assert actor.error is None
    check_stream(learner)


def test_patience_ends_where_it_is_asked_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError, match=r"no learner has answered at tcp://127.0.0.1:9 for"):
        act(ActorOptions("tcp://127.0.0.1:9", tmp_path, patience_s=0.3), StopFlag())


def test_with_keys_the_name_is_that_of_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = keys_for(tmp_path / "keys", "a1")
    remote = Secured(f"tcp://127.0.0.2:{free_pair()}", load_learner_keys(folder))
    own = folder / "actors" / "a1"
    with pytest.raises(ConfigError, match="were made for the actor 'a1', not 'a7'"):
        act(ActorOptions("tcp://127.0.0.2:5", tmp_path, name="a7", keys=own), StopFlag())
    with pytest.raises(ConfigError, match="robot-rl keys create"):
        act(ActorOptions("tcp://127.0.0.2:5", tmp_path), StopFlag())
    with closing(StubLearner(remote=remote)) as learner:
        learner.publisher.publish(1, policy_arrays())
        there = ActorOptions(learner.server.remote_endpoint, tmp_path / "spool", keys=own, min_free_bytes=0)
        actor = InThread(there, monkeypatch, PointEnv(limit=12))
        learner.pump_until(lambda: len(learner.archive) > 20 or actor.done)
        actor.stop.set()
        learner.pump_until(lambda: actor.done)
        assert actor.error is None
        check_stream(learner, "a1")


def test_only_what_the_policy_uses_travels(learner: StubLearner) -> None:
    """What is published arrives bit for bit, and the policy is another one without any part of it."""
    arrays = policy_arrays()
    with closing(ParameterSubscriber("run", learner.publisher.endpoint)) as subscriber:
        got = []
        learner.pump_until(lambda: got.extend(filter(None, [subscriber.latest(0.05)])) or got)
    sent = got[0].arrays
    assert {k: (a.dtype, a.shape, a.tobytes()) for k, a in sent.items()} == {
        k: (a.dtype, a.shape, a.tobytes()) for k, a in arrays.items()
    }
    whole, state = GaussianPolicy.from_params(sent, 1), np.array([0.1, 0.3], np.float32)
    for name in sent:
        try:
            part = GaussianPolicy.from_params({k: v for k, v in sent.items() if k != name}, 1)
        except DataError as e:
            assert name.rpartition("/")[2] in str(e) or name.rpartition("/")[0] in str(e)
            continue
        actions = [policy.act(Observation(state), np.random.default_rng(0)) for policy in (whole, part)]
        assert not np.array_equal(*actions), f"{name} is sent and not used"


def test_the_first_actors_randomness_is_what_it_always_was() -> None:
    def as_ever(*entropy: int) -> int:
        return int(np.random.SeedSequence(entropy).generate_state(1, np.uint32)[0] >> 1)

    for number in range(5):
        assert stream_seed(3, Stream.EPISODE, number) == as_ever(3, int(Stream.EPISODE), number)
    seeds = {stream_seed(3, Stream.EPISODE, n, f"a{i}") for n in range(50) for i in range(20)}
    assert len(seeds) == 1000


def test_sigterm_ends_the_episode_and_the_process(learner: StubLearner, tmp_path: Path) -> None:
    process = spawn(learner, tmp_path)
    learner.pump_until(lambda: len(learner.archive) >= 20)
    os.kill(process.pid, signal.SIGTERM)
    code, _, err = finish(process, learner)
    assert (code, err) == (0, "") and learner.archive[-1].last
    check_stream(learner)
